"""Pinned calls: written for people, told from what is counted, and in force until they expire."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from expectations.contracts import FEEDBACK, REQUESTS
from tasks.curate.evalset import eval_set
from tasks.curate.judge import _refuse_written_by_hand
from tasks.curate.pins import add_pin, pins_path, read_pins
from tasks.curate.task import curate
from tasks.errors import DataError, UsageError
from tasks.model.logged_call import Conversation, LoggedCall
from tasks.model.run import RunRequest
from tasks.rules.in_force import samples_rules
from tasks.run import Run
from tasks.settings import Settings, parse_settings
from tasks.store.control import ledger
from tasks.store.evals.samples import read_eval_set

_NOW = datetime(2026, 11, 30, tzinfo=UTC).replace(tzinfo=None)
_SUITES = {"route": {"role": "primary", "owner": "support"}}


def _settings(folder: Path) -> Settings:
    return parse_settings({"home": "state", "suites": _SUITES}, base=str(folder))


def _call(text: str = "my printer is on fire") -> LoggedCall:
    messages = ({"role": "user", "content": text},)
    return LoggedCall("q1", Conversation("Be short.", messages), "billing", task="route")


def _pin(folder: Path, call: LoggedCall | None = None, expires: date | None = None) -> None:
    add_pin(
        _settings(folder), call or _call(), suite="route", target="printer", why="a lost customer",
        owner="support", expires=expires, today=date(2026, 11, 30),
    )  # fmt: skip


def _curated(folder: Path, run_id: str) -> tuple[str, list[tuple[str, float, bool, bool]], list]:
    """Digest, (origin, weight, counts, must pass) of every sample, and what the run warns of."""
    run = Run(run_id, RunRequest(seed=3), _settings(folder), clock=lambda: _NOW)
    with run.open_store() as store:
        ledger.begin_run(store, run_id, "{}", "digest", _NOW)
        if run_id == "first":
            texts = ["my printer is on fire", "an invoice twice", "the net is slow", "no dial tone"]
            store.insert(REQUESTS, [
                {"request_id": f"q{n}", "prompt_name": "route", "status": "ok",
                 "messages": json.dumps([{"role": "user", "content": text}]),
                 "response": json.dumps({"role": "assistant", "content": "billing"}),
                 "sources": ["a:1"], "format": "canonical", "content_digest": "d",
                 "run_id": "first", "ingested_at": _NOW}
                for n, text in enumerate(texts, 1)
            ])  # fmt: skip
            store.insert(FEEDBACK, [
                {"feedback_id": f"f{n}", "request_id": f"q{n}", "kind": "audit",
                 "corrected": "right", "source": "a:1", "run_id": "first"}
                for n in range(1, 5)
            ])  # fmt: skip
    receipt = curate(run)
    with run.open_store() as store:
        found = read_eval_set(store, receipt.key)
    told = [(s.origin, s.weight, s.is_counted, s.must_pass) for s in found]
    return receipt.key, sorted(told), list(receipt.notes["cautions"])


def test_a_pin_blocks_and_changes_nothing_of_what_is_counted(tmp_path: Path) -> None:
    before_digest, before, _ = _curated(tmp_path, "first")
    _pin(tmp_path)
    digest, after, _ = _curated(tmp_path, "second")
    assert ("pin", 1.0, False, True) in after
    assert [row for row in after if row[0] != "pin"] == before
    assert len(before) == 4
    assert digest != before_digest


def test_a_pin_holds_on_its_last_day_and_is_told_of_after(tmp_path: Path) -> None:
    _curated(tmp_path, "first")
    _pin(tmp_path, expires=date(2026, 11, 30))
    _, held, cautions = _curated(tmp_path, "second")
    assert [row[0] for row in held].count("pin") == 1
    assert not [text for text in cautions if "expired" in text]
    path = pins_path(_settings(tmp_path))
    path.write_text(path.read_text().replace("2026-11-30", "2026-11-29"))
    _, held, cautions = _curated(tmp_path, "third")
    assert [row[0] for row in held].count("pin") == 0
    (told,) = [text for text in cautions if "expired" in text]
    for said in ("q1", "2026-11-29", "support", "pins.jsonl:1"):
        assert said in told


def test_what_is_pinned_is_read_back_and_pinned_once(tmp_path: Path) -> None:
    _pin(tmp_path)
    (pin,) = read_pins(_settings(tmp_path))
    assert (pin.request_id, pin.why, pin.owner, pin.expires) == (
        "q1", "a lost customer", "support", None,
    )  # fmt: skip
    assert pin.draft.conversation == _call().conversation
    assert (pin.draft.suite, pin.draft.task, pin.draft.target) == ("route", "route", "printer")
    assert pin.draft.request_id is None
    with pytest.raises(UsageError, match=r"pinned already.*pins\.jsonl:1"):
        _pin(tmp_path)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ({"suite": "rout"}, "did you mean 'route'"),
        ({"expires": "soon"}, "the day a pin expires is none"),
        ({"whi": "x"}, "unknown key 'whi'"),
        ({"target": " "}, "no target"),
        ("no object", "not an object"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: object, told: str) -> None:
    _pin(tmp_path)
    path = pins_path(_settings(tmp_path))
    wrong = json.loads(path.read_text()) | line if isinstance(line, dict) else line
    with path.open("a") as file:
        file.write(json.dumps(wrong) + "\n")
    with pytest.raises(UsageError) as caught:
        read_pins(_settings(tmp_path))
    assert told in caught.value.line()
    assert "pins.jsonl:2" in caught.value.line()


def test_a_pin_that_breaks_a_rule_on_samples_is_not_left_out_in_silence(tmp_path: Path) -> None:
    call = LoggedCall("q9", Conversation(None, ({"role": "user", "content": "x"},)), task="route")
    _pin(tmp_path, call)

    pins = [pin.draft for pin in read_pins(_settings(tmp_path))]
    chosen = eval_set(pins, [0])
    failed = {chosen.samples[0].sample_id: "sample_has_target"}
    with pytest.raises(DataError, match="written by hand fail sample_has_target"):
        _refuse_written_by_hand(samples_rules(_settings(tmp_path)), chosen, failed)
