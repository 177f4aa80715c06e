from __future__ import annotations

import json

import pytest

from expectations.contracts import FEEDBACK, LANDING, REQUESTS
from tasks.errors import UsageError
from tasks.privacy.masking import Redactor
from tasks.privacy.persons import pieces
from tasks.privacy.policy import (
    EXEMPT,
    FEEDBACK_TEXTS,
    JSON_COLUMNS,
    TEXT_COLUMNS,
    Policy,
    hidden_columns,
)
from tasks.settings import parse_settings

MAIL = "ann@example.com"


def policy(**fields: str) -> Policy:
    return Policy({name.replace("__", "."): action for name, action in fields.items()},
                  Redactor(key=b"test"))  # fmt: skip


def test_what_no_action_names_is_masked():
    found = policy()
    text = found.text("comment", f"ask {MAIL}")
    assert text is not None
    assert text.startswith("ask <email:")
    assert "<email:" in (found.json("messages", json.dumps([{"content": MAIL}])) or "")


def test_a_field_is_dropped_kept_or_hashed_whole():
    found = policy(comment="drop", corrected="keep", session_id="hash")
    assert found.text("comment", "x") is None
    assert found.text("corrected", MAIL) == MAIL
    hashed = found.text("session_id", "room 7 of Ann")
    assert hashed is not None
    assert hashed.startswith("<hashed:")
    assert hashed == found.text("session_id", "room 7 of Ann")
    assert hashed != found.text("session_id", "room 8 of Ann")
    assert found.text("session_id", hashed) == hashed
    assert found._redactor.counts == {"dropped": 1, "hashed": 3}


def test_members_have_actions_of_their_own():
    found = policy(tags__customer="hash", tags__raw="drop", tags__team="keep")
    tags = {"customer": "ACME", "raw": {"a": 1}, "team": MAIL, "note": MAIL}
    value = json.loads(found.json("tags", json.dumps(tags)) or "")
    assert value.keys() == {"customer", "team", "note"}
    assert value["customer"].startswith("<hashed:")
    assert value["team"] == MAIL
    assert value["note"].startswith("<email:")


def test_a_kept_column_still_hashes_its_member():
    found = policy(tags="keep", tags__customer="hash", tags__password="mask")
    tags = {"customer": 7, "note": MAIL, "password": "hunter2-hunter2"}
    value = json.loads(found.json("tags", json.dumps(tags)) or "")
    assert value["note"] == MAIL
    assert value["customer"].startswith("<hashed:")
    assert value["password"].startswith("<secret:")


@pytest.mark.parametrize("text", ["[1]", '"text"', "null", "3"])
def test_members_of_what_is_no_object_are_nothing(text: str):
    assert json.loads(policy(tags__a="drop").json("tags", text) or "") == json.loads(text)


def test_columns_that_are_hashed_or_dropped_are_not_shown():
    fields = {"tags.customer": "hash", "comment": "drop", "messages": "keep"}
    assert hidden_columns(fields) == {"tags", "comment"}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"mesages": "drop"}, "did you mean 'messages'"),
        ({"input_tokens": "drop"}, "there are messages, response"),
        ({"messages": "encrypt"}, "mask, hash, drop, keep"),
        ({"messages": "hash"}, "a member can"),
        ({"session_id.x": "drop"}, "session_id has no members"),
    ],
)
def test_a_wrong_policy_is_one_clear_line(fields: dict[str, str], words: str):
    with pytest.raises(UsageError, match=words):
        parse_settings({"redact": {"fields": fields}}, base=".")


def test_long_texts_are_cut_at_blanks_and_lose_nothing():
    text = "ab " * 50 + "x" * 40 + " end"
    spans = list(pieces(text, 20))
    assert "".join(text[start:stop] for start, stop in spans) == text
    assert all(0 < stop - start <= 20 for start, stop in spans)
    assert not any(text[start - 1].isalpha() and text[start].isalpha() for start, _ in spans[1:8])


def test_every_column_of_calls_and_feedback_is_masked_or_exempt_for_a_reason():
    masked = {*JSON_COLUMNS, *TEXT_COLUMNS, *FEEDBACK_TEXTS, "kind"}
    exempt = {name for names in EXEMPT.values() for name in names}
    assert not masked & exempt
    columns = {column for table in (LANDING, REQUESTS, FEEDBACK) for column in table.column_names}
    assert masked | exempt == columns


def test_names_of_models_and_releases_are_masked_but_a_version_is_no_address():
    found = policy()
    for column in TEXT_COLUMNS:
        assert MAIL not in (found.text(column, f"of {MAIL}") or "")
    assert found.text("prompt_version", "1.2.3.4") == "1.2.3.4"
    assert found.text("session_id", "1.2.3.4") != "1.2.3.4"
