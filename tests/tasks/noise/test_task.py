"""The stage with the real engine and a tiny model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.backends.base import OnReply, Reply
from tasks.backends.local import LocalBackend
from tasks.errors import StoreError
from tasks.evaluate.task import evaluate
from tasks.gate.task import gate
from tasks.model.failure import Failure
from tasks.model.noise import Noise
from tasks.model.receipt import Receipt
from tasks.noise import task
from tasks.noise.task import noise
from tasks.plan.task import plan
from tasks.releases.memory import Memory
from tasks.releases.source import EngineSource
from tasks.settings import Settings
from tests.tasks.evaluate.stage import begin, rows, sample, settings_for, store_eval_set
from tests.tiny_model import write_tiny_model

NUM = 60
KEPT = "SELECT release_digest, sample_id, seed, text FROM completions ORDER BY ALL"


@pytest.fixture(scope="module")
def letters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that says one of four letters, each as probably as any."""
    return write_tiny_model(tmp_path_factory.mktemp("letters"), even="abcd")


def made(folder: Path, model: Path, temperature: float, margin: float = 0.05) -> Settings:
    """A suite with NUM samples, one of four of which is answered rightly by chance."""
    sampling = {"max_tokens": 1, "temperature": temperature, "top_k": 4}
    engine = {"device": "cpu", "dtype": "float32"}
    releases = {
        name: {"model": str(model), "sampling": sampling, "engine": engine, "prompt": f"{name}.md"}
        for name in ("one", "two")
    }
    suites = {"letters": {"scorer": "exact_match", "role": "primary", "margin": margin}}
    settings = settings_for(
        folder, model, releases=releases, suites=suites, evaluate={"chunk_size": 16}
    )
    asked = {"suite": "letters", "task": "letters", "target": "b"}
    store_eval_set(settings, [sample(n, **asked) for n in range(NUM)])
    return settings


def measured(receipt: Receipt) -> Noise:
    return Noise.from_json(receipt.notes)


def decided(settings: Settings) -> tuple[list[str], list[dict[str, Any]]]:
    """Reasons and suites of the only verdict."""
    ((reasons, suites),) = rows(settings, "SELECT reasons, suites FROM verdicts")
    return json.loads(reasons), json.loads(suites)


def test_at_temperature_0_nothing_changes_anything(tmp_path: Path, tiny_model: Path) -> None:
    settings = settings_for(tmp_path, tiny_model, evaluate={"chunk_size": 6})
    store_eval_set(settings, [sample(n) for n in range(20)])
    evaluate(begin(settings, "r1"))
    before = rows(settings, KEPT)
    receipt = noise(begin(settings, "r2"))
    found = measured(receipt)
    assert (receipt.rows_in, receipt.notes["computed"]) == (20, 0)
    assert [suite.suite for suite in found.suites] == ["words", "labels"]
    for name in ("batch", "processor", "judge"):
        assert (found.num_answers(name), found.num_changed(name)) == (20, 0)  # type: ignore[arg-type]
    assert [suite.floor for suite in found.suites] == [0.0, 0.0]
    assert receipt.notes["headline"] == (
        "the engine changes nothing: another batch and order changed 0 of 20 answers; another "
        "number of threads changed 0 of 20 answers; there is no seed at temperature 0; judging "
        "again changed 0 of 20 scores"
    )
    assert rows(settings, KEPT) == before


def test_where_a_release_draws_the_seed_alone_moves_it_as_far_as_chance_does(
    tmp_path: Path, letters: Path
) -> None:
    settings = made(tmp_path, letters, temperature=1.0)
    receipt = noise(begin(settings, "r1"))
    found = measured(receipt)
    assert receipt.notes["computed"] == 2 * NUM  # under two seeds
    assert found.num_changed("batch") == found.num_changed("processor") == 0
    assert found.num_changed("judge") == 0
    (suite,) = found.suites
    # right one time in four: 2 · 1/4 · 3/4 of a difference's variance, on 60 samples
    assert suite.floor == pytest.approx(1.96 * (0.375 / NUM) ** 0.5, rel=0.3)
    assert suite.repetitions["seed"].num_changed == pytest.approx(0.75 * NUM, abs=16)
    assert (
        f"moves suite letters by up to {100 * (suite.floor or 0):.1f}" in receipt.notes["headline"]
    )
    # a week later the same samples are read and not drawn anew
    assert noise(begin(settings, "r2")).notes["computed"] == 0
    assert measured(noise(begin(settings, "r3"))) == found


def test_only_as_many_samples_as_allowed_are_asked(tmp_path: Path, letters: Path) -> None:
    settings = made(tmp_path, letters, temperature=0.0)
    few = settings.model_copy(
        update={"noise": settings.noise.model_copy(update={"max_samples": 8})}
    )
    receipt = noise(begin(few, "r1"))
    assert receipt.rows_in == receipt.notes["computed"] == 8
    (suite,) = measured(receipt).suites
    assert (suite.num_samples, suite.repetitions["batch"].num_answers) == (NUM, 8)


def test_an_engine_whose_answers_depend_on_the_batch_is_found_and_named(
    tmp_path: Path, letters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = LocalBackend.answer

    def by_place(self: LocalBackend, asks: Any, on_reply: OnReply, meter: Any) -> None:
        def take(place: int, reply: Reply) -> None:
            other = replace(reply, text="b" if reply.text != "b" else "a")
            on_reply(place, reply if place else other)

        real(self, asks, take, meter)

    settings = made(tmp_path, letters, temperature=0.0)
    monkeypatch.setattr(LocalBackend, "answer", by_place)
    receipt = noise(begin(settings, "r1"))
    found = measured(receipt)
    changed = found.num_changed("batch")
    assert changed > 0
    assert found.num_changed("processor") == 0  # the same batches
    assert (
        f"another batch and order changed {changed} of {NUM} answers" in receipt.notes["headline"]
    )
    assert "the engine changes nothing" not in receipt.notes["headline"]
    promised = next(condition for condition in found.conditions if condition.name == "batch")
    assert found.is_promise_broken == promised.is_promised
    assert ("which the engine promises not to" in receipt.notes["headline"]) == promised.is_promised
    assert (found.suites[0].floor or 0) > 0


def test_an_answer_that_the_harness_lost_is_not_compared(
    tmp_path: Path, letters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = made(tmp_path, letters, temperature=0.0)
    run = begin(settings, "r1", challenger="one")
    evaluate(run)
    real = LocalBackend.answer

    def loses(self: LocalBackend, asks: Any, on_reply: OnReply, meter: Any) -> None:
        def take(place: int, reply: Reply) -> None:
            lost = Failure("device", "gone", "harness", True)
            on_reply(place, reply if place % 16 else replace(reply, text=None, failure=lost))

        real(self, asks, take, meter)

    monkeypatch.setattr(LocalBackend, "answer", loses)
    part = measured(noise(run)).suites[0].repetitions["processor"]
    assert (part.num_lost, part.num_answers, part.num_changed) == (4, NUM - 4, 0)
    assert part.num_samples == NUM - 4


def test_plan_warns_and_the_gate_holds_what_lies_below_the_floor(
    tmp_path: Path, letters: Path
) -> None:
    settings = made(tmp_path, letters, temperature=1.0, margin=0.05)
    receipt = noise(begin(settings, "r1"))
    run = begin(settings, "r2")
    (caution,) = plan(run).notes["cautions"]
    assert caution == receipt.notes["cautions"][0]
    assert caution.startswith(
        "suite letters: the margin of 5 points is below the noise floor: 19 times"
    )
    evaluate(run)
    assert gate(run).notes["verdict"] in ("cannot_tell", "worse")
    reasons, (suite,) = decided(settings)
    assert suite["noise_floor"] == pytest.approx(measured(receipt).suites[0].floor)
    assert any(reason.startswith("Noise floor (run r1, ") for reason in reasons)
    assert f"{caution}." in reasons


def test_another_champion_has_no_floor_yet(tmp_path: Path, letters: Path) -> None:
    settings = made(tmp_path, letters, temperature=0.0)
    noise(begin(settings, "r1", champion="two"))
    run = begin(settings, "r2", challenger="one")
    assert plan(run).notes["cautions"] == []
    evaluate(run)
    gate(run)
    reasons, _ = decided(settings)
    assert "Noise floor: not measured, flywheel noise does it." in reasons


def test_a_gpu_is_named_and_not_changed(tmp_path: Path, letters: Path) -> None:
    settings = made(tmp_path, letters, temperature=0.0)
    here = task.resolve_release("one", settings, Memory(tmp_path / "memory.json"))
    assert isinstance(here.source, EngineSource)
    there = replace(here.source.identity, device="cuda:0", gpu="NVIDIA H200 9.0")
    release = replace(here, source=replace(here.source, identity=there))
    conditions = {c.name: c for c in task._conditions(release)}
    assert conditions["processor"].not_measured == (
        "another processor was not tried: NVIDIA H200 9.0 is part of the release"
    )
    assert conditions["batch"].not_measured == ""


def test_a_set_of_which_no_suite_gates_and_a_run_without_a_set(
    tmp_path: Path, letters: Path
) -> None:
    settings = made(tmp_path, letters, temperature=0.0)
    report = settings.suites["letters"].model_copy(update={"role": "report"})
    silent = settings.model_copy(update={"suites": {"letters": report}})
    receipt = noise(begin(silent, "r1"))
    assert receipt.notes["headline"] == "no suite gates: there is nothing to measure"
    with pytest.raises(StoreError, match="no eval set"):
        noise(begin(settings, "r2", eval_set=None))
