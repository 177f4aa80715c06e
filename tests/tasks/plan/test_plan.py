"""What a set can decide, before it is answered."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from expectations.contracts import COMPLETIONS, RELEASES
from tasks.curate.task import curate
from tasks.errors import StoreError
from tasks.gate.verdict import decide
from tasks.model.answer import Answer, JudgedSample
from tasks.model.run import RunRequest
from tasks.model.sample import Sample
from tasks.model.verdict import SuiteRule
from tasks.plan.suite_plans import Past, SuitePlan, headline, ship_probability, suite_plans
from tasks.plan.task import plan
from tasks.run import Run
from tasks.settings import parse_settings
from tasks.store.control import ledger
from tests.tasks.gate.cases import GATE, GUARD, PRIMARY, REPORT, sample

NOW = datetime(2026, 11, 24, 12)  # noqa: DTZ001 - the store keeps UTC without a zone


def _samples(count: int, suite: str = "route", **changes: Any) -> list[Sample]:
    return [replace(sample(n, 0.0, 0.0, suite).sample, **changes) for n in range(count)]


def _plan(samples: list[Sample], *rules: SuiteRule, past: Past | None = None) -> SuitePlan:
    known = {} if past is None else {past.result.rule.name: past}
    return suite_plans(samples, rules or (PRIMARY,), GATE, known)[0]


def test_it_says_how_likely_an_equal_release_passes_and_how_many_samples_are_enough() -> None:
    planned = _plan(_samples(100))
    assert planned.pass_probability == pytest.approx(0.289, abs=0.001)  # exact enumeration
    assert planned.num_samples_for_80 == pytest.approx(340, abs=5)
    assert planned.stop_probability > 0.975
    assert (planned.discordance, planned.basis) == (0.1, "")


def test_only_what_gates_and_counts_is_planned() -> None:
    items = [*_samples(80), *_samples(50, is_counted=False), *_samples(30, "logged")]
    plans = suite_plans(items, (PRIMARY, GUARD, REPORT), GATE, {})
    assert [(one.suite, one.num_samples) for one in plans] == [("route", 80), ("mood", 0)]
    assert plans[1].pass_probability == 0.0
    assert ship_probability(plans) == 0.0


def test_every_value_of_a_guarded_slice_is_planned_with_its_own_margin() -> None:
    rule = replace(PRIMARY, slices={"parity": 0.1})
    plans = suite_plans(_samples(300), (rule,), GATE, {})
    assert [(one.suite, one.role, one.margin, one.num_samples) for one in plans] == [
        ("route", "primary", 0.05, 300),
        ("route, parity=even", "guarded slice", 0.1, 150),
        ("route, parity=odd", "guarded slice", 0.1, 150),
    ]
    assert ship_probability(plans) < plans[0].pass_probability


def test_clusters_and_weights_cost_a_set_its_power() -> None:
    alone = _plan(_samples(400)).pass_probability
    of_ten = [replace(one, cluster_id=str(n // 10)) for n, one in enumerate(_samples(400))]
    heavy = [replace(one, weight=20.0 if n < 20 else 1.0) for n, one in enumerate(_samples(400))]
    assert _plan(of_ten).pass_probability < alone
    assert _plan(heavy).pass_probability < alone / 2
    assert _plan(heavy).effective_clusters < 100
    often = [replace(one, num_draws=400.0 if n < 20 else 1.0) for n, one in enumerate(heavy)]
    assert _plan(often).pass_probability > _plan(_samples(400)).pass_probability
    assert _plan(often).effective_clusters == pytest.approx(780**2 / (20 + 380), abs=0.1)


def test_what_was_seen_before_takes_the_place_of_what_is_assumed() -> None:
    answers = [(1.0, 0.0 if n < 60 else 1.0) for n in range(200)]
    items = [sample(n, old, new) for n, (old, new) in enumerate(answers)]
    (result,) = decide(items, [PRIMARY], GATE, is_same_release=False).suites
    planned = _plan(_samples(200), past=Past("run-1", result))
    assert planned.basis == "run-1"
    assert planned.discordance == pytest.approx(61 / 210, abs=1e-4)
    other = replace(result, rule=replace(result.rule, metric="token_f1"))
    assert _plan(_samples(200), past=Past("run-1", other)).basis == ""


def test_of_graded_scores_the_past_interval_gives_the_scatter() -> None:
    """The probability it names is the share of equal graded sets that pass, by simulation."""
    draw = np.random.default_rng(3)

    def judged() -> list[JudgedSample]:
        scores = np.clip(draw.normal(0.6, 0.15, (2, 150)), 0, 1)
        return [sample(n, Answer(a), Answer(b)) for n, (a, b) in enumerate(scores.T)]

    results = [decide(judged(), [PRIMARY], GATE, is_same_release=False).suites[0]
               for _ in range(250)]  # fmt: skip
    passed = np.mean([result.verdict in ("no_worse", "better") for result in results])
    named = [_plan(_samples(150), past=Past("r", result)).pass_probability
             for result in results[:40]]  # fmt: skip
    assert np.mean(named) == pytest.approx(passed, abs=0.09)


def test_the_headline_says_first_what_cannot_be_decided() -> None:
    weak, strong = _plan(_samples(36)), _plan(_samples(2000))
    assert headline([weak, strong]).startswith("an equal release passes this set with probability")
    assert "more samples of route would give that suite 80%" in headline([weak, strong])
    assert "would give" not in headline([strong])
    assert headline([]) == "no suite gates, so nothing can be decided"


def _run(tmp_path: Path, run_id: str = "run-1") -> Run:
    lines = "".join(f'{{"input": "question {n} {n * 7919}", "target": "t"}}\n' for n in range(90))
    (tmp_path / "route.jsonl").write_text(lines)
    values = {"home": "state", "suites": {"route": {"role": "primary", "samples": "route.jsonl"}}}
    settings = parse_settings(values, base=str(tmp_path))
    run = Run(run_id, RunRequest(champion="a", challengers=("b",)), settings, clock=lambda: NOW)
    with run.open_store() as store:
        ledger.begin_run(store, run_id, run.request.to_json(), run_id, NOW)
    return run


def test_the_stage_keeps_the_plan_in_its_receipt(tmp_path: Path) -> None:
    run = _run(tmp_path)
    curate(run)
    receipt = plan(run)
    assert (receipt.rows_in, receipt.rows_out) == (90, 90)
    assert receipt.notes["num_completions"] == 180
    assert receipt.notes["num_tokens"] is None
    (suite,) = receipt.notes["suites"]
    assert suite["pass_probability"] == receipt.notes["ship_probability"]
    with run.open_store() as store:
        assert ledger.finished_stage(store, run.run_id, "plan") == receipt


def test_money_is_told_where_every_price_is_known(tmp_path: Path) -> None:
    """90 samples; a reads 1,000 tokens and writes 100 for one, of b nothing is known yet."""
    price = {"input": 1.0, "output": 10.0}
    first = _run(tmp_path)
    curate(first)
    with first.open_store() as store:
        store.insert(RELEASES, [{
            "release_digest": "d", "name": "a", "model": "m", "model_digest": "m",
            "prompt_digest": "p", "prompts": "{}", "sampling": "{}", "engine": "{}",
            "created_at": NOW,
        }])  # fmt: skip
        store.insert(COMPLETIONS, [
            {"release_digest": "d", "sample_id": str(n), "seed": 0, "text": "t",
             "finish_reason": "stop", "input_tokens": 900 + 200 * n, "output_tokens": 100,
             "run_id": "r", "created_at": NOW}
            for n in range(2)
        ])  # fmt: skip

    def notes(**of_b: Any) -> Any:
        releases = {"a": {"model": "m", "price": price}, "b": {"model": "m", "price": of_b}}
        settings = parse_settings(
            {**first.settings.model_dump(by_alias=True, exclude={"base"}), "releases": releases},
            base=str(tmp_path),
        )
        return plan(replace(first, settings=settings)).notes

    priced = notes(**{**price, "output": 20.0})
    assert priced["num_tokens"] == 90 * 2 * 1100
    # 90 · (1,000 · 1 + 100 · 10) / 1e6 and 90 · (1,000 · 1 + 100 · 20) / 1e6
    assert (priced["cost"], priced["currency"]) == (pytest.approx(0.45), "USD")
    assert (notes()["cost"], notes(**price, currency="EUR")["cost"]) == (None, None)


def test_a_run_without_an_eval_set_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no eval set"):
        plan(_run(tmp_path))
