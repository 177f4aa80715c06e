"""Simulated production of which a tenth is read: what comes of it is on average that of all calls.

Every question has a value that is known here and not there, and the truth is its mean over all
calls, by a plain loop. The history stays; who judges what, and the salt of the sample, differ from
run to run. A session keeps to its topic, so its calls have much in common.
"""

from __future__ import annotations

import json
import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pytest

from expectations.contracts import FEEDBACK, REQUESTS
from tasks.curate.assemble import Assembled, assemble
from tasks.curate.history import History, read_history
from tasks.curate.targets import TargetResolver
from tasks.model.reading import UNJUDGED
from tasks.model.sample import Sample
from tasks.settings import parse_settings
from tasks.statistics.intervals import labels_of
from tasks.statistics.paired import Pairs, compare
from tasks.store import Store

_NUM_CALLS = 3_000
_MAX_CALLS = 300
_NUM_RUNS = 100
_START = datetime.fromisoformat("2026-01-01")
#: a call of a question that production gets right, or not → its feedback
Judge = Callable[[random.Random, bool], dict[str, Any] | None]


def _always(draw: random.Random, is_right: bool) -> dict[str, Any] | None:
    if is_right:
        return {"kind": "thumbs", "value": 1.0}
    return {"kind": "correction", "corrected": "right"}


def _seldom(draw: random.Random, is_right: bool) -> dict[str, Any] | None:
    return _always(draw, is_right) if draw.random() < 0.08 else None


def _hardly(draw: random.Random, is_right: bool) -> dict[str, Any] | None:
    return _always(draw, is_right) if draw.random() < 0.006 else None


def _mostly_the_failures_and_an_audit(draw: random.Random, is_right: bool) -> dict[str, Any] | None:
    if draw.random() < (0.01 if is_right else 0.1):
        return _always(draw, is_right)
    return {"kind": "audit", "corrected": "right"} if draw.random() < 0.06 else None


@dataclass(frozen=True, slots=True)
class _Production:
    """`asked`: the question of every call; of a question its value, and whether production is
    right."""

    store: Store
    asked: list[int]
    value: list[float]
    is_right: list[bool]

    @property
    def truth(self) -> float:
        return fmean(self.value[question] for question in self.asked)

    def judged_by(self, judge: Judge, seed: int) -> dict[int, dict[str, Any]]:
        """Give feedback anew; of every call that has some."""
        draw = random.Random(seed)
        given = {
            call: said
            for call, question in enumerate(self.asked)
            if (said := judge(draw, self.is_right[question])) is not None
        }
        self.store.execute("DELETE FROM feedback")
        self.store.insert(FEEDBACK, [
            {"feedback_id": f"f{call}", "request_id": f"q{call}", "source": "a", "run_id": "r",
             **said}
            for call, said in given.items()
        ])  # fmt: skip
        return given


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Production]:
    draw = random.Random(0)
    is_right = [draw.random() < 0.8 for _ in range(600)]
    # on what production gets wrong a challenger can only win, and the other way
    value = [draw.choice((0.0, 0.0, -1.0)) if ok else draw.choice((0.0, 1.0)) for ok in is_right]
    asked: list[int] = []
    rows = []
    while len(asked) < _NUM_CALLS:
        topic = draw.randrange(60)
        session = f"s{len(asked)}" if draw.random() < 0.8 else None
        for _ in range(1 if session is None else draw.randint(1, 8)):
            popular = draw.random() < 0.3
            question = int(20 * draw.random() ** 2) if popular else 10 * topic + draw.randrange(10)
            rows.append(_row(len(asked), session, question))
            asked.append(question)
    with Store.open(tmp_path_factory.mktemp("production") / "flywheel.duckdb") as store:
        store.insert(REQUESTS, rows)
        yield _Production(store, asked, value, is_right)


def _row(number: int, session: str | None, question: int) -> dict[str, Any]:
    return {
        "request_id": f"q{number}", "started_at": _START + timedelta(minutes=number),
        "prompt_name": "route", "session_id": session, "status": "ok",
        "messages": json.dumps([{"role": "user", "content": f"what about {question}"}]),
        "response": json.dumps({"role": "assistant", "content": f"answer to {question}"}),
        "sources": ["a.jsonl:1"], "format": "canonical", "content_digest": "d", "run_id": "r",
        "ingested_at": _START,
    }  # fmt: skip


def _curated(
    production: _Production, seed: int, *, suite: str = "route", represent_all: bool = False
) -> tuple[History, Assembled]:
    values = {"max_calls": _MAX_CALLS, "max_samples": 120, "judged_represent_all": represent_all}
    settings = parse_settings({"suites": {"route": {}}, "curate": values}, base=".")
    history = read_history(production.store, settings, seed)
    suites = {"route": "route"} if suite == "route" else {}
    resolver = TargetResolver(suites, [], use_logged=suite == "logged")
    return history, assemble([], history.calls, resolver, settings.curate, seed, gating={"route"})


def _difference(production: _Production, samples: tuple[Sample, ...]) -> Pairs:
    """What the gate would be told: the value of every question, weighed and in clusters."""
    questions = [int(str(sample.messages[0]["content"]).split()[-1]) for sample in samples]
    return Pairs(
        np.array([production.value[question] for question in questions]),
        labels_of([sample.cluster_id for sample in samples]),
        np.array([sample.weight for sample in samples]),
        False,
        np.array([sample.num_draws for sample in samples]),
    )


def _check(production: _Production, pairs: list[Pairs]) -> None:
    found = [compare(one, 0.05, 1.0) for one in pairs]
    errors = [one.difference - production.truth for one in found]
    standard_error = stdev(errors) / math.sqrt(len(errors))
    covered = fmean(one.interval.low <= production.truth <= one.interval.high for one in found)
    assert standard_error < 0.015
    assert abs(fmean(errors)) < 3 * standard_error
    assert covered > 0.95 - 3 * math.sqrt(0.05 * 0.95 / len(found))


def test_the_mean_is_that_of_traffic_and_its_interval_holds(production: _Production) -> None:
    """Every call has a logged answer: what is drawn is drawn from all of them."""
    production.judged_by(_seldom, 0)
    made = [_curated(production, seed, suite="logged") for seed in range(_NUM_RUNS)]
    shares = [history.reading.num_read / _NUM_CALLS for history, _ in made]
    assert 0.08 < fmean(shares) < 0.12
    _check(production, [_difference(production, one.eval_set.samples) for _, one in made])


def test_strata_have_on_average_as_many_calls_as_the_history(production: _Production) -> None:
    """Where people judged no more than is read: a question is of the stratum of its judgements."""
    given = production.judged_by(_hardly, 0)
    calls_of = Counter(production.asked)
    said: dict[int, Counter[str]] = defaultdict(Counter)
    for call, what in given.items():
        stratum = "liked" if what["kind"] == "thumbs" else "failed"
        said[production.asked[call]][stratum] += 1
    truth: Counter[str] = Counter()
    for question, number in calls_of.items():
        # production is always right on a question or always wrong, so all said the same
        (stratum,) = said[question] or ("unjudged",)
        truth[stratum] += number
    found: dict[str, list[int]] = defaultdict(list)
    for seed in range(_NUM_RUNS):
        history, made = _curated(production, seed, suite="logged")
        assert {g.chance for g in history.reading.groups if g.kind != UNJUDGED} == {1.0}
        for part in made.drawn.strata:
            found[part.stratum].append(part.num_calls)
    assert found.keys() == truth.keys() == {"failed", "liked", "unjudged"}
    for stratum, numbers in found.items():
        standard_error = stdev(numbers) / math.sqrt(len(numbers))
        assert fmean(numbers) == pytest.approx(truth[stratum], abs=3 * standard_error)
        assert standard_error < 0.05 * truth[stratum]


@pytest.mark.parametrize(
    ("judge", "represent_all"),
    [(_mostly_the_failures_and_an_audit, False), (_always, False), (_seldom, True)],
)
def test_where_answers_are_known_of_some_calls_alone_the_mean_is_still_that_of_traffic(
    production: _Production, judge: Judge, represent_all: bool
) -> None:
    """All that people said is read; where they judged every call, that is read in part."""
    pairs = []
    for seed in range(_NUM_RUNS):
        production.judged_by(judge, seed)
        _, made = _curated(production, seed, represent_all=represent_all)
        assert all(sample.is_counted for sample in made.eval_set.samples)
        pairs.append(_difference(production, made.eval_set.samples))
    _check(production, pairs)
