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
from tests.tasks.record.conftest import _one_template
from tests.tasks.record.stores import client, home_with_mlflow

__all__ = ["_one_template"]

NOW = datetime(2026, 11, 24, 12)  # noqa: DTZ001 - the store keeps UTC without a zone
SUITES = {"order": {"role": "primary"}, "mood": {"role": "guard"}}
#: what is stored of one completion: None, no completion; else version of the scorer → value
Stored = dict[int, float | None] | None
#: release → sample → one a repeat
World = dict[str, list[list[Stored]]]


def _stored() -> st.SearchStrategy[Stored]:
    value = st.one_of(st.none(), st.sampled_from((0.0, 0.25, 1.0)))
    return st.one_of(st.none(), st.dictionaries(st.sampled_from((1, 2, 10)), value, max_size=2))


@st.composite
def worlds(draw: st.DrawFn) -> World:
    repeats, count = draw(st.integers(1, 3)), draw(st.integers(1, 6))
    repeated = st.lists(_stored(), min_size=repeats, max_size=repeats)
    samples = st.lists(repeated, min_size=count, max_size=count)
    return {"old": draw(samples), "new": draw(samples)}


def fill(home: Path, world: World, **mlflow: Any) -> Run:
    """A run that was evaluated: `new` challenges `old`; every third sample is a known failure."""
    repeats = len(world["old"][0])
    values = {"evaluate": {"repeats": repeats}, "suites": SUITES, "mlflow": mlflow}
    declared = parse_settings({"home": str(home), **values}, base=str(home))
    run = Run("r", RunRequest(champion="old", challenger="new"), declared, clock=lambda: NOW)
    samples = [
        {
            "sample_id": f"s{n}", "suite": _suite(n), "task": "t", "target": "t",
            "messages": json.dumps([{"role": "user", "content": f"question {n}"}]),
            "target_kind": "gold", "origin": "failure" if n % 3 == 2 else "suite",
            "slices": "{}", "must_pass": False, "weight": 1.0,
        }
        for n in range(len(world["old"]))
    ]  # fmt: skip
    members = [
        {"eval_set_digest": "set", "sample_id": s["sample_id"], "position": n, "cluster_id": str(n)}
        for n, s in enumerate(samples)
    ]
    eval_set = {"eval_set_digest": "set", "created_at": NOW, "run_id": "r", "rule": "{}",
                "num_samples": len(samples)}  # fmt: skip
    completions, scores = [], []
    for release, answers in world.items():
        for n, repeated in enumerate(answers):
            for seed, stored in enumerate(repeated):
                if stored is None:
                    continue
                key = {"release_digest": release, "sample_id": f"s{n}", "seed": seed}
                completions.append({**key, "text": f"{release} says {seed}", "run_id": "r",
                                    "finish_reason": "stop", "created_at": NOW})  # fmt: skip
                scores += [
                    {**key, "scorer": f"exact_match@{version}", "value": value,
                     "unscored_reason": "it broke" if value is None else None, "explanation": "e"}
                    for version, value in stored.items()
                ]  # fmt: skip
    releases = [
        {"release_digest": name, "name": name, "model": "m", "model_digest": "m",
         "prompt_digest": "p", "prompts": "{}", "sampling": "{}", "engine": "{}", "created_at": NOW}
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


def expected(world: World, release: str, number: int) -> float:
    """By hand: the suite's newest version; without a value of that version a repeat counts 0."""
    versions = [
        version
        for answers in world.values()
        for n, repeated in enumerate(answers)
        if _suite(n) == _suite(number)
        for stored in repeated
        for version in stored or ()
    ]
    newest = max(versions, default=0)
    values = [(stored or {}).get(newest) or 0.0 for stored in world[release][number]]
    return sum(values) / len(values)


def _suite(number: int) -> str:
    return "order" if number % 2 else "mood"


def _turn(run: Run) -> Turn:
    with run.open_store(read_only=True) as store:
        return read_turn(store, "r", run.seeds, {})


def _sent(turn: Turn, role: str) -> dict[str, list[tuple[str, float]]]:
    """Name of the score → (sample id, value) of the rows MLflow gets, without a server."""
    from tasks.tracking import rows

    class Tracing:
        def __init__(self) -> None:
            self.sent: dict[str, list[tuple[str, float]]] = {}

        def start_trace(self, info: Any) -> None:
            _, score = info.assessments
            row_id = json.loads(info.request_preview)["row_id"]
            self.sent.setdefault(score.name, []).append((row_id, float(score.value)))

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
        sent = _sent(turn, role)
        assert dict(row for rows in sent.values() for row in rows) == pytest.approx(by_hand)
        for suite in turn.verdict.suites:
            gating = [by_hand[f"s{n}"] for n in range(len(by_hand))
                      if _suite(n) == suite.rule.name and n % 3 != 2]  # fmt: skip
            told = suite.to_json()[role]
            values = [value for _, value in sent.get(f"{suite.rule.name}/exact_match", ())]
            if not gating:
                assert (told, values) == (None, [])
                continue
            assert told == pytest.approx(sum(gating) / len(gating), abs=1e-9)
            assert sum(values) / len(values) == pytest.approx(told, abs=1e-9)
            assert f"{100 * told:.1f}%" in html
    for item in turn.flips:
        shown = re.findall(rf"{item.sample.sample_id}</code>", html)
        assert len(shown) == 1


def test_one_challenger_repeat_unscored_counts_half_everywhere(tmp_path: Path) -> None:
    world: World = {"old": [[{1: 1.0}, {1: 1.0}]] * 2, "new": [[{1: 1.0}, {1: None}]] * 2}
    run = fill(tmp_path, world)
    gate(run)
    turn = _turn(run)
    assert [(i.score("challenger"), i.difference(), i.is_flip) for i in turn.judged] == [
        (0.5, -0.5, True)
    ] * 2
    assert "50.0% over 2 repeats" in page.render(turn, None)
    assert _sent(turn, "challenger")["mood/exact_match"] == [("s0", 0.5)]


def test_a_newer_version_of_the_scorer_counts_alone(tmp_path: Path) -> None:
    world: World = {"old": [[{1: 1.0, 2: 0.0}]] * 2, "new": [[{1: 1.0, 2: 0.0}]] * 2}
    run = fill(tmp_path, world)
    gate(run)
    turn = _turn(run)
    assert {i.score(role) for i in turn.judged for role in ROLES} == {0.0}
    assert turn.verdict.suites[0].scorer == "exact_match@2"


def test_means_computed_by_an_mlflow_client_equal_the_verdicts(tmp_path: Path) -> None:
    """Pooled by nobody: what gates by suite, known failures under a name of their own."""
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
        values: dict[str, list[float]] = {}
        for trace in traces:
            for assessment in trace.info.assessments:
                if assessment.name != "target":
                    values.setdefault(assessment.name, []).append(float(assessment.value))
        for suite in turn.verdict.suites:
            release = suite.releases[role]
            gating = values[f"{suite.rule.name}/exact_match"]
            known = values[f"{suite.rule.name}/exact_match (known failures)"]
            assert (len(gating), len(known)) == (suite.num_samples, suite.num_known_failures)
            assert sum(gating) / len(gating) == pytest.approx(release.mean, abs=1e-9)
            assert sum(known) / len(known) == pytest.approx(release.on_known_failures, abs=1e-9)
