"""Conversations of data sets: one row each, no call of production."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from expectations.calls import calls_rules
from tasks.ingest.task import ingest
from tasks.logs import formats
from tasks.logs.formats import conversations
from tasks.logs.shapes.records import Call
from tasks.validate.task import validate
from tests.tasks.logs.builders import call, make_run, query, write_lines

TURNS = [{"role": "user", "content": "which colour?"}, {"role": "assistant", "content": "Blue."}]
SHARED = {"id": "x_0", "conversations": [
    {"from": "system", "value": "be brief"}, {"from": "human", "value": "which colour?"},
    {"from": "gpt", "value": "Blue."}]}  # fmt: skip
WILD = {
    "conversation_hash": "h1", "model": "gpt-4", "timestamp": "2023-04-09T00:02:53+00:00",
    "conversation": [{**TURNS[0], "hashed_ip": "ip", "toxic": False}, TURNS[1]], "turn": 1,
    "language": "English", "openai_moderation": [{"flagged": True}, {"flagged": False}],
    "toxic": True, "redacted": False,
}  # fmt: skip
ARENA = {
    "conversation_id": "c1", "model": "vicuna-13b", "turn": 1, "language": "English",
    "conversation": [*TURNS, {"role": "user", "content": "why?"}], "redacted": True,
    "openai_moderation": [{"flagged": False}],
}  # fmt: skip
PREFERENCE = {
    "input": {"messages": TURNS[:1], "tools": [{"type": "function"}]},
    "preferred_output": TURNS[1:],
    "non_preferred_output": [{"role": "assistant", "content": "Red"}],
}  # fmt: skip


def one(value: Any) -> Call:
    assert formats.recognise(value) is conversations
    (found,) = conversations.records(value)
    assert isinstance(found, Call)
    assert found.response["content"] == "Blue."
    assert found.messages[-1]["content"] == "which colour?"
    told = (found.started_at, found.status, found.cost_usd, found.latency_s, found.input_tokens)
    assert told == (None,) * 5
    return found


def test_sharegpt():
    found = one(SHARED)
    assert [message["role"] for message in found.messages] == ["system", "user"]
    assert (found.tags, found.model) == ({"data_set": "sharegpt", "id": "x_0"}, None)
    called = {"from": "function_call", "value": '{"name": "look", "arguments": {"at": 1}}'}
    _, asked, answered = SHARED["conversations"]
    turns = [asked, called, {"from": "observation", "value": "blue"}, asked, answered]
    found = one({"conversations": turns, "system": "be brief"})
    assert [message["role"] for message in found.messages] == [
        "system", "user", "assistant", "tool", "user",
    ]  # fmt: skip
    assert found.messages[2]["tool_calls"][0]["function"]["arguments"] == '{"at":1}'


def test_wildchat_and_lmsys_tell_the_model_and_their_flags():
    found = one(WILD)
    assert (found.request_id, found.model, found.user) == ("h1", "gpt-4", "ip")
    assert found.tags == {
        "data_set": "wildchat", "language": "English", "toxic": True, "redacted": False, "turn": 1,
        "timestamp": "2023-04-09T00:02:53+00:00", "flagged": True,
    }  # fmt: skip
    found = one(ARENA)
    assert (found.request_id, found.model) == ("c1", "vicuna-13b")
    assert (found.tags["turns_after_answer"], found.tags["flagged"]) == (1, False)


def test_fine_tuning_lines_and_preference_pairs():
    assert one({"messages": TURNS, "tools": [{"x": 1}]}).params == {"tools": [{"x": 1}]}
    assert one({"system": "be brief", "messages": TURNS}).messages[0]["role"] == "system"
    blocks = [TURNS[0], {"role": "assistant", "content": [{"type": "text", "text": "Blue."}]}]
    one({"messages": blocks})
    found = one(PREFERENCE)
    assert found.tags["non_preferred_output"][0]["content"] == "Red"
    assert found.params == {"tools": [{"type": "function"}]}


@pytest.mark.parametrize("more", [
    {"model": "m"}, {"usage": {}}, {"response": "x"}, {"timestamp": "t"}, {"request_id": "r"},
])  # fmt: skip
def test_a_line_with_keys_of_a_call_is_no_such_conversation(more: dict[str, Any]):
    assert formats.recognise({"messages": TURNS, **more}) is not conversations


@pytest.mark.parametrize("value", [
    {"messages": TURNS[:1]}, {"conversations": []}, {"conversations": [{"a": 1}]},
    {"conversation": TURNS}, {"messages": "x"}, {"messages": [1]},
])  # fmt: skip
def test_what_is_no_conversation_is_not_taken(value: Any):
    assert formats.recognise(value) is not conversations


def test_a_conversation_is_admitted_without_model_time_or_outcome(tmp_path: Path):
    lines = write_lines(tmp_path / "set.jsonl", SHARED, WILD)
    broken = write_lines(tmp_path / "calls.jsonl", call(1, model=None))
    run = make_run(tmp_path, lines, broken)
    ingest(run)
    receipt = validate(run)
    assert receipt.notes["by_reason"] == {"has_model": 1}
    assert query(run, "SELECT format, model, status FROM landing ORDER BY model") == [
        ("conversations", "gpt-4", None), ("conversations", None, None),
    ]  # fmt: skip
    unasked = {rule.id for rule in calls_rules(300).rules if any(not w.equal for w in rule.when)}
    assert unasked == {"has_model", "has_started_at", "has_status"}
