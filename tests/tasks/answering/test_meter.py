"""No budget is exceeded, not by a request, a token or a cent."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.answering.journal import Journal
from tasks.answering.meter import RunMeter
from tasks.answering.needs import Need
from tasks.backends.base import BudgetSpentError, Reply, Usage
from tasks.model.guardrail import Price
from tasks.model.run import RunRequest
from tasks.run import Run
from tasks.settings import parse_settings
from tasks.store.evals.spending import Spent
from tests.tasks.answering.test_needs import _release, _sample

NOTHING = Spent()


def _meter(folder: Path, spent: Spent = NOTHING, **budget: Any) -> RunMeter:
    settings = parse_settings({"evaluate": {"budget": budget}}, base=str(folder))
    release = replace(_release("a"), price=Price(1.0, 2.0, "USD"))
    chunk = [Need(release, _sample(number), 0) for number in range(100)]
    (folder / "completions.journal").unlink(missing_ok=True)
    return RunMeter(Run("r", RunRequest(), settings), chunk, spent, Journal(folder, "r", "USD"))


def _reply(usage: Usage) -> Reply:
    return Reply("x", "stop", usage.input_tokens, None, usage.output_tokens)


def test_each_attempt_counts_and_none_goes_out_beyond_the_last(tmp_path: Path) -> None:
    meter = _meter(tmp_path, Spent(requests=7), max_requests=10)
    for _ in range(3):
        attempt = meter.begin(0, Usage(1, 1))
        assert attempt is not None
        meter.failed(attempt, may_be_billed=False)
    with pytest.raises(BudgetSpentError, match=r"evaluate\.budget\.max_requests is 10"):
        meter.begin(0, Usage(1, 1))
    assert meter.spent == Spent(requests=10)


def test_what_may_not_fit_waits_for_those_under_way(tmp_path: Path) -> None:
    meter = _meter(tmp_path, max_tokens=100)
    first = meter.begin(0, Usage(40, 20))
    assert first == 1
    assert meter.begin(1, Usage(40, 20)) is None
    meter.arrived(first, 0, _reply(Usage(10, 5)), Usage(10, 5))
    assert meter.begin(1, Usage(40, 20)) == 2
    meter.failed(2, may_be_billed=True)  # 75 of 100, as far as anybody knows
    with pytest.raises(BudgetSpentError, match="max_tokens is 100"):
        meter.begin(2, Usage(40, 20))


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 30), st.integers(0, 3)), max_size=40))
def test_no_budget_is_exceeded_whatever_comes_in_whatever_order(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("meter")
    meter = _meter(folder, max_requests=20, max_tokens=500, max_cost=0.0006)
    under_way: list[tuple[int, Usage]] = []
    for read, written, what in steps:
        if what == 3 and under_way:
            attempt, worst = under_way.pop(0)
            used = Usage(worst.input_tokens // 2, worst.output_tokens)
            meter.arrived(attempt, 0, _reply(used), used)
        elif what == 2 and under_way:
            meter.failed(under_way.pop()[0], may_be_billed=bool(read % 2))
        else:
            try:
                attempt_or_none = meter.begin(0, Usage(read, written))
            except BudgetSpentError:
                continue
            if attempt_or_none is not None:
                under_way.append((attempt_or_none, Usage(read, written)))
    for attempt, _ in under_way:
        meter.failed(attempt, may_be_billed=True)
    assert meter.spent.requests <= 20
    assert meter.spent.tokens <= 500
    assert meter.spent.cost <= 0.0006 + 1e-12
