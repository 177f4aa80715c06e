"""A sample has one score: gate, report, MLflow and `--json` tell the same, whatever is stored."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expectations.contracts import (
    COMPLETIONS,
    EVAL_SET_SAMPLES,
    EVAL_SETS,
    RELEASES,
    SAMPLES,
    SCORES,
)
from tasks.gate.task import gate
from tasks.model.answer import ROLES
from tasks.model.run import RunRequest
from tasks.model.turn import Turn
from tasks.record.reading import read_turn
from tasks.report import page
from tasks.run import Run
from tasks.settings import parse_settings
from tasks.store.control import ledger
from tasks.tracking import publish
from tests.mlflow_home import home_with_mlflow
from tests.tasks.record.stores import client

NOW = datetime(2026, 11, 24, 12)  # noqa: DTZ001 - the store keeps UTC without a zone
SUITES = {"order": {"role": "primary"}, "mood": {"role": "guard"}}
#: instead of a version: the release itself failed to give an answer
FAILED = 0
#: what is stored of one completion: None, no completion; else version of the scorer → value
Stored = dict[int, float | None] | None
#: release → sample → one a repeat
World = dict[str, list[list[Stored]]]


def _stored() -> st.SearchStrategy[Stored]:
    value = st.one_of(st.none(), st.sampled_from((0.0, 0.25, 1.0)))
    scored = st.dictionaries(st.sampled_from((1, 2, 10)), value, max_size=2)
    return st.one_of(st.none(), st.just({FAILED: None}), scored)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    repeats, count = draw(st.integers(1, 3)), draw(st.integers(1, 6))
    repeated = st.lists(_stored(), min_size=repeats, max_size=repeats)
    samples = st.lists(repeated, min_size=count, max_size=count)
    return {"old": draw(samples), "new": draw(samples)}


def fill(home: Path, world: World, **mlflow: Any) -> Run:
    """A run that was evaluated: `new` challenges `old`; every third sample is not counted, every
    fourth stands for more traffic than the others."""
    repeats = len(world["old"][0])
    values = {"evaluate": {"repeats": repeats}, "suites": SUITES, "mlflow": mlflow}
    declared = parse_settings({"home": str(home), **values}, base=str(home))
    run = Run("r", RunRequest(champion="old", challengers=("new",)), declared, clock=lambda: NOW)
    samples = [
        {
            "sample_id": f"s{n}", "suite": _suite(n), "task": "t", "target": "t",
            "messages": json.dumps([{"role": "user", "content": f"question {n}"}]),
            "target_kind": "gold", "origin": "suite",
            "slices": "{}", "must_pass": False, "weight": 1.0,
        }
        for n in range(len(world["old"]))
    ]  # fmt: skip
    members = [
        {"eval_set_digest": "set", "sample_id": s["sample_id"], "position": n,
         "cluster_id": str(n), "weight": _weight(n), "is_counted": n % 3 != 2}
        for n, s in enumerate(samples)
    ]  # fmt: skip
    eval_set = {"eval_set_digest": "set", "created_at": NOW, "run_id": "r", "rule": "{}",
                "num_samples": len(samples)}  # fmt: skip
    completions, scores = [], []
    for release, answers in world.items():
        for n, repeated in enumerate(answers):
            for seed, stored in enumerate(repeated):
                if stored is None:
                    continue
                key = {"release_digest": release, "sample_id": f"s{n}", "seed": seed}
                failed = FAILED in stored
                completions.append({**key, "text": None if failed else f"{release} says {seed}",
                                    "error": "too long" if failed else None,
                                    "fault": "release" if failed else None, "run_id": "r",
                                    "finish_reason": "stop", "created_at": NOW})  # fmt: skip
                scores += [
                    {**key, "scorer": f"exact_match@{version}", "value": value,
                     "unscored_reason": "it broke" if value is None else None, "explanation": "e",
                     "fault": "judge" if value is None else None}
                    for version, value in stored.items()
                    if version != FAILED
                ]  # fmt: skip
    releases = [
        {"release_digest": name, "name": name, "model": "m", "model_digest": "m",
         "prompt_digest": name, "prompts": "{}", "sampling": "{}", "engine": "{}",
         "created_at": NOW}
        for name in world
    ]  # fmt: skip
    with run.open_store() as store, store.transaction():
        for contract, rows in ((SAMPLES, samples), (EVAL_SETS, [eval_set]), (RELEASES, releases),
                               (EVAL_SET_SAMPLES, members), (COMPLETIONS, completions),
                               (SCORES, scores)):  # fmt: skip
            store.insert(contract, rows)
        ledger.begin_run(store, "r", run.request.to_json(), "digest", NOW)
        ledger.annotate_run(store, "r", eval_set_digest="set", champion_digest="old",
                            challenger_digest="new")  # fmt: skip
    return run


def expected(world: World, release: str, number: int) -> float | None:
    """By hand: the suite's newest version; a repeat that the release itself failed counts 0, any
    other without a value of that version counts for nobody."""
    versions = [
        version
        for answers in world.values()
        for n, repeated in enumerate(answers)
        if _suite(n) == _suite(number)
        for stored in repeated
        for version in stored or ()
        if version != FAILED
    ]
    newest = max(versions, default=0)
    values = [0.0 if FAILED in (stored or {}) else (stored or {}).get(newest)
              for stored in world[release][number]]  # fmt: skip
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _weight(number: int) -> float:
    return 3.5 if number % 4 == 0 else 1.0


def _mean(values: list[tuple[float | None, float]]) -> float | None:
    """Weighted, of what is known."""
    known = [(value, weight) for value, weight in values if value is not None]
    total = sum(weight for _, weight in known)
    return sum(value * weight for value, weight in known) / total if known else None


def _suite(number: int) -> str:
    return "order" if number % 2 else "mood"


def _turn(run: Run) -> Turn:
    with run.open_store(read_only=True) as store:
        return read_turn(store, "r", run.seeds, {})


def _sent(turn: Turn, role: str) -> dict[str, list[tuple[str, float | None, float]]]:
    """Name of the score → (sample id, value, weight) of the rows MLflow gets, without a server."""
    from tasks.tracking import rows

    class Tracing:
        store = None  # as of a server

        def __init__(self) -> None:
            self.sent: dict[str, list[tuple[str, float | None, float]]] = {}

        def start_trace(self, info: Any) -> None:
            _, score = info.assessments
            row_id = json.loads(info.request_preview)["row_id"]
            value = None if score.value is None else float(score.value)
            weight = float(info.tags.get("flywheel.weight", 1))
            self.sent.setdefault(score.name, []).append((row_id, value, weight))

        def log_spans(self, *_: Any) -> None: ...
        def link_traces_to_run(self, *_: Any) -> None: ...

    tracing = Tracing()
    session: Any = SimpleNamespace(tracing=tracing, client=tracing, experiment_id="1")
    rows.send_rows(session, turn, role, turn.judged, mlflow_run_id="m", model_id="m",
                   on_sent=lambda _: None)  # fmt: skip
    return tracing.sent


@settings(deadline=None, max_examples=25)
@given(worlds())
def test_every_reader_tells_the_score_that_was_counted(world: World) -> None:
    with TemporaryDirectory() as folder:
        run = fill(Path(folder), world)
        gate(run)
        turn = _turn(run)
    html = page.render(turn, None)
    for role, release in zip(ROLES, ("old", "new"), strict=True):
        by_hand = {f"s{n}": expected(world, release, n) for n in range(len(world[release]))}
        assert {i.sample.sample_id: i.score(role) for i in turn.judged} == pytest.approx(by_hand)
        place = {name: place for place, name in enumerate(turn.health.releases)}.get(release)
        health = {item.sample.sample_id: None if place is None else item.scores[place]
                  for item in turn.health.samples}  # fmt: skip
        assert health == pytest.approx(by_hand)
        sent = _sent(turn, role)
        values_sent = {row_id: value for rows in sent.values() for row_id, value, _ in rows}
        assert values_sent == pytest.approx(by_hand)
        for suite in turn.verdict.suites:
            counted = [(by_hand[f"s{n}"], _weight(n)) for n in range(len(by_hand))
                       if _suite(n) == suite.rule.name and n % 3 != 2]  # fmt: skip
            told = suite.to_json()[role]
            rows = [row[1:] for row in sent.get(f"{suite.rule.name}/exact_match", ())]
            assert told == pytest.approx(_mean(counted), abs=1e-9)
            assert told == pytest.approx(_mean(rows), abs=1e-9)
            assert told is None or f"{100 * told:.1f}%" in html
    changes = html[: html.index("Health of the set")]
    for item in turn.judged:
        shown = re.findall(rf'data-outcome="(\w+)"[^>]*>(?:(?!</details>).)*title="'
                           rf'{item.sample.sample_id}">', changes, re.DOTALL)  # fmt: skip
        assert shown == [item.outcome]


def test_one_challenger_repeat_that_failed_counts_half_everywhere(tmp_path: Path) -> None:
    world: World = {"old": [[{1: 1.0}, {1: 1.0}]] * 2, "new": [[{1: 1.0}, {FAILED: None}]] * 2}
    run = fill(tmp_path, world)
    gate(run)
    turn = _turn(run)
    assert [(i.score("challenger"), i.difference(), i.is_flip) for i in turn.judged] == [
        (0.5, -0.5, True)
    ] * 2
    assert "50.0% over 2 repeats" in page.render(turn, None)
    assert _sent(turn, "challenger")["mood/exact_match"] == [("s0", 0.5, 3.5)]


def test_one_challenger_repeat_unscored_counts_for_nobody_anywhere(tmp_path: Path) -> None:
    world: World = {"old": [[{1: 1.0}, {1: 1.0}]] * 2, "new": [[{1: 1.0}, {1: None}]] * 2}
    run = fill(tmp_path, world)
    gate(run)
    turn = _turn(run)
    assert [(i.score("challenger"), i.difference(), i.is_flip) for i in turn.judged] == [
        (1.0, 0.0, False)
    ] * 2
    assert _sent(turn, "challenger")["mood/exact_match"] == [("s0", 1.0, 3.5)]


def test_a_newer_version_of_the_scorer_counts_alone(tmp_path: Path) -> None:
    world: World = {"old": [[{1: 1.0, 2: 0.0}]] * 2, "new": [[{1: 1.0, 2: 0.0}]] * 2}
    run = fill(tmp_path, world)
    gate(run)
    turn = _turn(run)
    assert {i.score(role) for i in turn.judged for role in ROLES} == {0.0}
    assert turn.verdict.suites[0].scorer == "exact_match@2"


def test_means_computed_by_an_mlflow_client_equal_the_verdicts(tmp_path: Path) -> None:
    """Pooled by nobody: what counts by suite, what does not under a name of its own."""
    old: list[list[Stored]] = [[{1: float(n % 3 == 0)}, {1: 1.0}] for n in range(30)]
    new: list[list[Stored]] = [[{1: float(n % 4 != 0)}, {1: None if n == 4 else 0.25}]
                               for n in range(29)]  # fmt: skip
    run = fill(home_with_mlflow(tmp_path), {"old": old, "new": [*new, [None, None]]})
    gate(run)
    turn = _turn(run)
    published = publish.publish(run.settings, turn, lambda links: publish.Pages("note", ()))
    mlflow = client(run.settings)
    for role in ROLES:
        traces = mlflow.search_traces(
            locations=[published.links.experiment_id],
            run_id=published.links.child_run_ids[role],
            max_results=100,
        )
        assert len(traces) == 30
        values: dict[str, list[tuple[float | None, float]]] = {}
        for trace in traces:
            weight = float(trace.info.tags.get("flywheel.weight", 1))
            for assessment in trace.info.assessments:
                if assessment.name != "target":
                    value = None if assessment.value is None else float(assessment.value)
                    values.setdefault(assessment.name, []).append((value, weight))
        for suite in turn.verdict.suites:
            release = suite.releases[role]
            counted = values[f"{suite.rule.name}/exact_match"]
            shown = values[f"{suite.rule.name}/exact_match (not counted)"]
            assert (len(counted), len(shown)) == (suite.num_samples, suite.num_shown)
            assert _mean(counted) == pytest.approx(release.mean, abs=1e-9)
            assert _mean(shown) == pytest.approx(release.on_shown, abs=1e-9)
