"""Ids with something personal in them join still: feedback to calls, a call to itself met again."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tasks.ingest.task import ingest
from tasks.privacy.masking import KINDS, Redactor
from tasks.redact.task import redact
from tasks.store.intake.ids import _PLAIN, safe_ids
from tests.tasks.logs.builders import call, make_run, query, write_lines

MAIL = "ann@example.com"


def test_feedback_of_a_later_night_finds_its_call_and_the_call_met_again_is_known(tmp_path: Path):
    asked = call(1, request_id=f"of {MAIL}", feedback={"kind": "thumbs", "value": 1})
    run = make_run(tmp_path, write_lines(tmp_path / "a.jsonl", asked))
    ingest(run)
    redact(run)
    late = {"record": "feedback", "request_id": f"of {MAIL}", "kind": "thumbs", "value": -1}
    log = write_lines(tmp_path / "b.jsonl", asked, late)
    again = make_run(tmp_path, log, run_id="run-2")
    assert ingest(again).duplicates == 1
    redact(again)
    ids = query(run, "SELECT request_id FROM requests")
    assert ids[0][0].startswith("<hashed:")
    assert query(run, "SELECT DISTINCT request_id FROM feedback") == ids
    assert query(run, "SELECT count(*) FROM feedback") == [(2,)]


def test_two_ids_of_one_address_are_two_calls(tmp_path: Path):
    calls = [call(n, request_id=f"{who}-1") for n, who in enumerate((MAIL, MAIL.upper()))]
    run = make_run(tmp_path, write_lines(tmp_path / "a.jsonl", *calls))
    ingest(run)
    assert redact(run).rows_out == 2
    assert query(run, "SELECT count(DISTINCT request_id) FROM requests") == [(2,)]


@pytest.mark.parametrize(
    "request_id",
    ["r1", "call-12", "chatcmpl-9aBcD3fGh1jKlMnOpQrStUvWxYz12", "msg_01XFDUDYJgAACzvnptvVoYEL",
     "123e4567-e89b-12d3-a456-426614174000", "4bf92f3577b34da6a3ce929d0e0e4736",
     "content:91909fc20d2e31a5724c9a3bd2d08537"],
)  # fmt: skip
def test_usual_ids_need_no_closer_look_and_have_nothing_in_them(request_id: str):
    assert _PLAIN.fullmatch(request_id)
    assert not Redactor(key=b"test").spans(request_id)


@pytest.mark.parametrize(
    "request_id",
    ["4111111111111111", f"x{MAIL}", "sk-proj-abc123DEF456ghi789", "de89370400440532013000",
     "content:ad1200012030200359100100", f"{'ab' * 16}:be68539007547034"],
)  # fmt: skip
def test_an_id_with_a_card_an_account_or_an_address_in_it_gets_one(request_id: str, tmp_path: Path):
    assert safe_ids(make_run(tmp_path))(request_id).startswith("<hashed:")


def test_an_id_that_is_not_looked_into_has_nothing_to_mask():
    """Traces and spans, of which every call of OpenTelemetry has one of each."""
    redactor, draw = Redactor(KINDS, b"k" * 32), random.Random(1)
    drawn = [f"{draw.getrandbits(128):032x}:{draw.getrandbits(64):016x}" for _ in range(300)]
    passed = [each for each in drawn if _PLAIN.fullmatch(each)]
    assert len(passed) > 290
    counted = [f"{draw.getrandbits(128) | 0xA:032x}:{number:016x}" for number in range(300)]
    assert all(map(_PLAIN.fullmatch, counted))
    assert not [each for each in (*passed, *counted) if redactor.spans(each)]
    assert not _PLAIN.fullmatch("ab" * 16 + ":4111111111111111")
