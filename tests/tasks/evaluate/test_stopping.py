"""A run that stops when it is decided, from evaluate through the gate to what record reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tasks.backends.base import Pace, Reply
from tasks.backends.local import LocalBackend
from tasks.evaluate.task import evaluate
from tasks.gate.task import gate
from tasks.model.receipt import Receipt
from tasks.record.reading import read_turn
from tasks.run import Run
from tasks.settings import Settings
from tests.tasks.evaluate.stage import begin, rows, sample, settings_for, store_eval_set

NUM = 300
ASKED = "SELECT count(*), count(*) FILTER (WHERE is_in_turn) FROM run_samples"


def _settings(
    folder: Path, model: Path, *, stop: bool = True, demanded: int = -1, **extra: Any
) -> Settings:
    folder.mkdir(exist_ok=True)
    made = settings_for(
        folder, model, evaluate={"chunk_size": 10, "stop_when_decided": stop},
        suites={"words": {"scorer": "token_f1", "role": "primary"}}, **extra,
    )  # fmt: skip
    samples = [
        sample(n, suite="words", task="words", target="an answer", must_pass=n == demanded)
        for n in range(NUM)
    ]
    store_eval_set(made, samples)
    return made


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What champion and challenger say, by their prompt, and which questions were asked."""
    told: dict[str, Any] = {"one": "wrong", "two": "an answer", "asked": 0, "but": {}}

    def answer(_: LocalBackend, asks: Any, on_reply: Any, meter: Any) -> None:
        told["asked"] += len(asks)
        for place, ask in enumerate(asks):
            release = "two" if "briefly" in ask.messages[0]["content"] else "one"
            question = ask.messages[-1]["content"]
            text = told["but"].get((release, question), told[release])
            on_reply(place, Reply(text, "stop", 10, 0, 2, None))

    monkeypatch.setattr(LocalBackend, "answer", answer)
    return told


def test_larger_chunks_end_with_the_one_that_decided(
    tmp_path: Path, tiny_model: Path, said: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of actors are: a chunk more is asked at most, and the verdict is the same."""
    _, verdict, _ = _decide(_settings(tmp_path / "small", tiny_model), "r1")
    num_asked = said["asked"]
    monkeypatch.setattr(LocalBackend, "pace", lambda _, size, is_looked_at: Pace(4 * size, size))
    said["asked"] = 0
    receipt, again, _ = _decide(_settings(tmp_path / "large", tiny_model), "r1")
    assert again == verdict == "better"
    assert num_asked <= said["asked"] < num_asked + 4 * 10
    assert receipt.notes["stopped"]


def _decide(settings: Settings, run_id: str) -> tuple[Receipt, str, Run]:
    run = begin(settings, run_id)
    receipt = evaluate(run)
    return receipt, str(gate(run).notes["verdict"]), run


def test_a_release_that_wins_everywhere_needs_a_part_of_the_samples(
    tmp_path: Path, tiny_model: Path, said: dict[str, Any]
) -> None:
    settings = _settings(tmp_path, tiny_model)
    receipt, verdict, run = _decide(settings, "r1")
    stopped = receipt.notes["stopped"]
    assert (verdict, stopped["challengers"]) == ("better", {"challenger": "ship"})
    num_asked = stopped["num_samples"]
    assert num_asked < NUM / 2
    assert receipt.rows_in == said["asked"] == 2 * num_asked
    assert stopped["num_answers_saved"] == 2 * (NUM - num_asked)
    with run.open_store() as store:
        turn = read_turn(store, "r1", run.seeds, {})
    assert len(turn.judged) == num_asked
    assert turn.verdict.suites[0].num_unknown == 0
    assert f"Stopped after {num_asked} of {NUM} samples" in " ".join(turn.verdict.reasons)
    # the next night it is known before anything is asked
    before = said["asked"]
    receipt, verdict, _ = _decide(settings, "r2")
    assert (verdict, said["asked"], receipt.notes["computed"]) == ("better", before, 0)


def test_where_each_release_has_an_engine_of_its_own_what_was_computed_is_not_said_to_be_saved(
    tmp_path: Path, tiny_model: Path, said: dict[str, Any]
) -> None:
    """The champion answers everything first."""
    releases = {
        name: {"model": str(tiny_model), "prompt": f"{name}.md", "engine": {"dtype": dtype}}
        for name, dtype in (("one", "float32"), ("two", "bfloat16"))
    }
    receipt, verdict, _ = _decide(_settings(tmp_path, tiny_model, releases=releases), "r1")
    notes, num_asked = receipt.notes, receipt.notes["stopped"]["num_samples"]
    assert (verdict, len(notes["engines"])) == ("better", 2)
    assert receipt.rows_in == 2 * num_asked < NUM
    assert (notes["computed"], notes["cached"]) == (said["asked"], 0)
    assert said["asked"] == NUM + num_asked
    assert notes["stopped"]["num_answers_saved"] == NUM - num_asked


def test_a_release_that_loses_is_stopped_sooner_than_it_is_asked_everything(
    tmp_path: Path, tiny_model: Path, said: dict[str, Any]
) -> None:
    said |= {"one": "an answer", "two": "wrong"}
    receipt, verdict, _ = _decide(_settings(tmp_path, tiny_model), "r1")
    assert verdict == "worse"
    assert receipt.notes["stopped"]["num_samples"] < NUM / 2


def test_before_a_release_ships_the_samples_that_must_pass_are_asked_out_of_turn(
    tmp_path: Path, tiny_model: Path, said: dict[str, Any]
) -> None:
    settings = _settings(tmp_path, tiny_model, demanded=NUM - 1)
    receipt, verdict, _ = _decide(settings, "r1")
    num_asked = receipt.notes["stopped"]["num_samples"]
    (counts,) = rows(settings, ASKED)
    assert counts == (num_asked + 1, num_asked)
    assert verdict == "better"


def test_one_that_fails_there_blocks_it(
    tmp_path: Path, tiny_model: Path, said: dict[str, Any]
) -> None:
    said["but"] = {("two", f"question {NUM - 1}"): "wrong"}
    _, verdict, _ = _decide(_settings(tmp_path, tiny_model, demanded=NUM - 1), "r1")
    assert verdict == "blocked"


def test_a_killed_run_goes_on_and_stops_where_it_would_have(
    tmp_path: Path, tiny_model: Path, said: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _, _ = _decide(_settings(tmp_path / "a", tiny_model), "r1")
    settings = _settings(tmp_path / "b", tiny_model)
    real, calls = LocalBackend.answer, []

    def stops(self: LocalBackend, asks: Any, told: Any, meter: Any) -> list[Reply]:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(self, asks, told, meter)

    monkeypatch.setattr(LocalBackend, "answer", stops)
    with pytest.raises(KeyboardInterrupt):
        evaluate(begin(settings, "r1"))
    resumed, verdict, _ = _decide(settings, "r1")
    assert resumed.notes["stopped"] == whole.notes["stopped"]
    assert resumed.notes["computed"] == whole.notes["computed"]
    assert verdict == "better"


def test_without_the_setting_everything_is_asked(
    tmp_path: Path, tiny_model: Path, said: dict[str, Any]
) -> None:
    settings = _settings(tmp_path, tiny_model, stop=False)
    receipt, verdict, _ = _decide(settings, "r1")
    assert ("stopped" in receipt.notes, verdict, said["asked"]) == (False, "better", 2 * NUM)
    assert rows(settings, ASKED) == [(0, 0)]
