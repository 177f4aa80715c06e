from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from tasks.model.logged_call import (
    Conversation,
    Opinion,
    Signal,
    is_question,
    opinion_of,
    read_conversation,
    read_response,
)

_USER = {"role": "user", "content": "Where is my tent?"}


def _read(*messages: object) -> Conversation | None:
    return read_conversation(json.dumps(list(messages)))


def test_leading_system_messages_are_kept_apart() -> None:
    found = _read(
        {"role": "system", "content": "Be kind."}, {"role": "developer", "content": "x"}, _USER
    )
    assert found == Conversation("Be kind.\n\nx", (_USER,))


def test_later_system_messages_stay_in_place() -> None:
    later = {"role": "system", "content": "now in French"}
    found = _read(_USER, later, _USER)
    assert found is not None
    assert found.messages == (_USER, later, _USER)


def test_text_parts_become_one_text() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "content": "b"}, "c"]
    found = _read({"role": "user", "content": parts})
    assert found is not None
    assert found.messages[0]["content"] == "a\nb\nc"


def test_tool_calls_and_their_answers_stay() -> None:
    calling = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
    answer = {"role": "tool", "content": "42", "tool_call_id": "1"}
    found = _read(_USER, calling, answer)
    assert found is not None
    assert found.messages[1:] == ({**calling, "content": ""}, answer)


@pytest.mark.parametrize(
    "messages",
    [
        None, "", "not json", "{}", "[]", "3", '["text"]', '[{"content": "no role"}]',
        '[{"role": "system", "content": "alone"}]',
        '[{"role": "user", "content": "   "}]',
        '[{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}]',
        '[{"role": "user", "content": {"deep": 1}}]',
        "[" * 100_000,
    ],
)  # fmt: skip
def test_what_a_text_model_cannot_be_asked_is_not_replayable(messages: str | None) -> None:
    assert read_conversation(messages) is None


@pytest.mark.parametrize(
    ("response", "text"),
    [
        ('{"role": "assistant", "content": "Tomorrow."}', "Tomorrow."),
        ('"Tomorrow."', "Tomorrow."),
        ('{"content": [{"type": "text", "text": "a"}]}', "a"),
        ('{"content": "  "}', None),
        ('{"content": null, "tool_calls": []}', None),
        ("null", None),
        (None, None),
    ],
)
def test_response_text_is_read(response: str | None, text: str | None) -> None:
    assert read_response(response) == text


def test_later_feedback_replaces_earlier() -> None:
    at = [datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2)]
    down, up = (
        Signal("1", "thumbs", -1.0, given_at=at[0]),
        Signal("2", "thumbs", 1.0, given_at=at[1]),
    )
    assert opinion_of([up, down]).is_liked
    first = Signal("3", "correction", corrected="old", given_at=at[0])
    second = Signal("4", "correction", corrected="new", given_at=at[1])
    assert opinion_of([second, first]).corrected == "new"


def test_blank_corrections_and_ratings_say_nothing() -> None:
    signals = [Signal("1", "correction", corrected=" "), Signal("2", "rating", 1.0)]
    assert opinion_of(signals) == Opinion()


def test_thumbs_down_correction_and_incident_are_failures() -> None:
    assert opinion_of([Signal("1", "thumbs", -1.0)]).is_failure
    assert opinion_of([Signal("1", "correction", corrected="x")]).is_failure
    assert opinion_of([Signal("1", "incident")]).is_failure
    assert not opinion_of([Signal("1", "thumbs", 1.0)]).is_failure


def test_an_audit_gives_the_right_answer_and_is_no_opinion() -> None:
    opinion = opinion_of([Signal("1", "audit", corrected="right"), Signal("2", "audit")])
    assert opinion == Opinion(audited="right")
    assert not opinion.is_failure
    assert not opinion.is_liked


def test_an_incident_outweighs_a_thumbs_up() -> None:
    assert not opinion_of([Signal("1", "thumbs", 1.0), Signal("2", "incident")]).is_liked


def test_embeddings_and_tool_runs_are_no_questions() -> None:
    assert is_question("chat")
    assert is_question(None)
    assert not is_question("embeddings")
    assert not is_question("execute_tool")
