"""Session files of Claude Code: one call an answer, however many lines it has."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.logs import formats
from tasks.logs.formats import claude_code, sessions
from tasks.logs.shapes.records import Call, Dead, Other, UnreadableError


def line(uuid: str, parent: str | None, kind: str, **more: Any) -> dict[str, Any]:
    return {
        "parentUuid": parent, "isSidechain": False, "userType": "external", "cwd": "/w",
        "sessionId": "s-1", "version": "2.0.1", "gitBranch": "main", "type": kind, "uuid": uuid,
        "timestamp": f"2026-11-03T08:00:{len(uuid):02d}.000Z", **more,
    }  # fmt: skip


def user(uuid: str, parent: str | None, content: Any, **more: Any) -> dict[str, Any]:
    return line(uuid, parent, "user", message={"role": "user", "content": content}, **more)


def said(
    uuid: str, parent: str, own: str, *blocks: Any, out: int = 1, **more: Any
) -> dict[str, Any]:
    usage = {"input_tokens": 3, "cache_creation_input_tokens": 10,
             "cache_read_input_tokens": 100, "output_tokens": out}  # fmt: skip
    message = {"id": own, "type": "message", "role": "assistant", "model": "claude-x",
               "content": list(blocks), "stop_reason": None, "usage": usage}  # fmt: skip
    return line(uuid, parent, "assistant", message=message, requestId="req-1", **more)


def use(number: int) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"t{number}", "name": "Bash", "input": {"n": number}}


def result(number: int, text: str, **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": f"t{number}", "content": text, **more}


TEXT = {"type": "text", "text": "I look."}
SESSION = [
    {"type": "summary", "summary": "colours", "leafUuid": "z"},
    {"type": "file-history-snapshot", "messageId": "u", "snapshot": {}},
    user("u", None, "which colour?"),
    said("a", "u", "msg_1", {"type": "thinking", "thinking": "hm", "signature": "x"}),
    said("aa", "a", "msg_1", TEXT, out=2),
    said("aaa", "aa", "msg_1", use(1), out=40),
    user("r1", "aaa", [result(1, "blue")], toolUseResult={"stdout": "blue"}),
    said("aaaa", "aaa", "msg_1", use(2), out=41),
    user("r2", "aaaa", [result(2, "no such file", is_error=True)]),
    said("b", "r2", "msg_2", {"type": "text", "text": "Blue."}, out=5),
    {"type": "queue-operation", "sessionId": "s-1", "operation": "enqueue"},
]


def read(values: list[Any]) -> list[tuple[Any, Any]]:
    reader = claude_code.reader()
    found = [each for place, value in enumerate(values) for each in reader.feed(value, place)]
    return [*found, *reader.end()]


def calls(values: list[Any]) -> list[Call]:
    return [record for record, _ in read(values) if isinstance(record, Call)]


def test_every_kind_of_line_is_known():
    assert {formats.recognise(value) for value in SESSION} == {claude_code}
    assert formats.recognise({"role": "user", "content": "x", "sessionId": "s"}) is not claude_code


def test_the_lines_of_one_message_are_one_call_and_the_last_one_counts():
    found = read(SESSION)
    first, _ = (record for record, _ in found if isinstance(record, Call))
    assert [place for record, place in found if isinstance(record, Call)] == [3, 9]
    assert sum(isinstance(record, Other) for record, _ in found) == len(SESSION) - 2
    assert (first.request_id, first.session_id) == ("msg_1", "s-1")
    assert (first.input_tokens, first.cached_tokens, first.output_tokens) == (113, 100, 41)
    assert first.response["content"] == "I look."
    assert first.response["reasoning"] == "hm"
    assert [call["id"] for call in first.tool_calls] == ["t1", "t2"]
    assert (first.provider, first.model, first.status) == ("anthropic", "claude-x", "ok")
    assert str(first.started_at) == "2026-11-03 08:00:01"
    assert first.messages == [{"role": "user", "content": "which colour?"}]


def test_a_call_is_asked_with_what_came_before_it_and_with_each_result_once():
    _, second = calls(SESSION)
    assert [message["role"] for message in second.messages] == ["user", "assistant", "tool", "tool"]
    assert len(second.messages[1]["tool_calls"]) == 2
    assert {message["tool_call_id"]: message["content"] for message in second.messages[2:]} == {
        "t1": "blue", "t2": "no such file",
    }  # fmt: skip
    failed = [message for message in second.messages if message.get("is_error")]
    assert [message["tool_call_id"] for message in failed] == ["t2"]
    assert (second.tags["num_tool_results"], second.tags["num_tool_errors"]) == (2, 1)
    assert second.tags["parentUuid"] == "r2"


def test_a_side_chain_has_its_own_conversation_in_the_same_session():
    side = [
        user("s", None, "search", isSidechain=True, agentId="a7"),
        said("sa", "s", "msg_s", TEXT, isSidechain=True, agentId="a7"),
    ]
    found = calls([*SESSION[:6], side[0], side[1], *SESSION[6:]])
    of_side = next(call for call in found if call.request_id == "msg_s")
    assert of_side.messages == [{"role": "user", "content": "search"}]
    assert (of_side.session_id, of_side.tags["agentId"]) == ("s-1", "a7")
    assert len(found) == 3


def test_errors_of_the_api_are_calls_and_made_up_answers_are_none():
    retried = line("e", "u", "system", subtype="api_error", retryAttempt=1)
    made = {"role": "assistant", "model": "<synthetic>", "id": "m-9", "usage": {"input_tokens": 0},
            "content": [{"type": "text", "text": "API Error: 529 overloaded"}]}  # fmt: skip
    values = [
        SESSION[2], retried, line("f", "e", "assistant", message=made, isApiErrorMessage=True),
        line("g", "f", "assistant", message={**made, "id": "m-10"}),
    ]  # fmt: skip
    (call,) = calls(values)
    assert (call.status, call.http_status, call.model, call.retries) == ("error", 529, None, 1)
    assert call.error_type == "api_error"
    assert call.response is None
    named = {**values[2], "error": "rate_limit", "apiErrorStatus": 429}
    (call,) = calls([named])
    assert (call.error_type, call.http_status) == ("rate_limit", 429)


def test_older_lines_tell_cost_and_duration_and_no_content():
    old = said("a", "u", "msg_1", costUSD=0.25, durationMs=1500)
    del old["message"]["content"]
    (call,) = calls([old])
    assert (call.cost_usd, call.latency_s, call.status) == (0.25, 1.5, "ok")
    assert call.tags["messages_left_out"]


def test_what_is_held_is_bounded_and_a_call_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sessions, "MAX_CONVERSATION_BYTES", 100)
    long = [user("u", None, "x" * 200), *SESSION[3:]]
    assert [call.messages for call in calls(long)] == [None, None]
    assert "bytes" in calls(long)[0].tags["messages_left_out"]
    monkeypatch.setattr(claude_code, "MAX_HELD_BYTES", 300)
    assert calls(SESSION)[1].tags["messages_left_out"].startswith("the file does not hold")


def test_a_circle_of_parents_ends():
    (call,) = calls([user("u", "v", "x"), user("v", "u", "y"), said("a", "v", "m", TEXT)])
    assert call.messages is None


def test_one_broken_answer_does_not_cost_the_others():
    found = read([said("a", "u", "m1", TEXT, timestamp={}), said("b", "a", "m2", TEXT)])
    assert isinstance(found[0][0], Dead)
    assert found[1][0].request_id == "m2"


def test_a_line_of_something_else_is_left_to_others_and_a_new_kind_of_line_is_counted():
    reader = claude_code.reader()
    with pytest.raises(UnreadableError):
        list(reader.feed({"log": "{}", "stream": "stdout"}, 0))
    assert reader.oldest is None
    assert list(reader.feed({"type": "new", "sessionId": "s"}, 1)) == [(Other(), 1)]
    assert reader.oldest == 1
