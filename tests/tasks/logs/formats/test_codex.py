"""Session files of the Codex CLI: one call a response, counted by its own usage."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.logs import formats
from tasks.logs.formats import codex
from tasks.logs.shapes.records import Call, Other, UnreadableError


def line(kind: str, **payload: Any) -> dict[str, Any]:
    return {"timestamp": "2026-11-03T08:00:00.000Z", "type": kind, "payload": payload}


def item(kind: str, **more: Any) -> dict[str, Any]:
    return line("response_item", type=kind, **more)


def message(role: str, text: str) -> dict[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    return item("message", role=role, content=[{"type": kind, "text": text}])


def count(last: tuple[int, int] | None, total: tuple[int, int]) -> dict[str, Any]:
    def usage(pair: tuple[int, int]) -> dict[str, int]:
        return {"input_tokens": pair[0], "cached_input_tokens": pair[0] // 2,
                "output_tokens": pair[1], "reasoning_output_tokens": 1,
                "total_tokens": sum(pair)}  # fmt: skip

    info = {"total_token_usage": usage(total), "model_context_window": 9}
    own = {} if last is None else {"last_token_usage": usage(last)}
    return line("event_msg", type="token_count", info={**info, **own})


META = line(
    "session_meta", id="s-1", cwd="/w", originator="codex_cli_rs", cli_version="0.50.0",
    instructions=None, base_instructions={"text": "be brief"}, model_provider="openai",
)  # fmt: skip
CONTEXT = line("turn_context", model="gpt-5-codex", cwd="/w")
CALLED = item("function_call", name="shell", arguments='{"c":1}', call_id="c1")
GAVE = item("function_call_output", call_id="c1",
            output='{"output":"gone","metadata":{"exit_code":1}}')  # fmt: skip
REASON = item("reasoning", summary=[{"type": "summary_text", "text": "hm"}], encrypted_content="x")
ASKED, SAID = message("user", "which colour?"), message("assistant", "Blue.")
NEW = [META, CONTEXT, ASKED, line("event_msg", type="user_message", message="which colour?"),
       REASON, CALLED, count((10, 5), (10, 5)), count((10, 5), (10, 5)), GAVE,
       line("event_msg", type="agent_message", message="Blue."), SAID,
       count((20, 3), (30, 8))]  # fmt: skip
#: counts before the items that they are of
OLD = [META, CONTEXT, ASKED, count((10, 5), (10, 5)), REASON, CALLED, GAVE,
       count((20, 3), (30, 8)), SAID]  # fmt: skip


def read(values: list[Any]) -> list[tuple[Any, Any]]:
    reader = codex.reader()
    found = [each for place, value in enumerate(values) for each in reader.feed(value, place)]
    return [*found, *reader.end()]


def calls(values: list[Any]) -> list[Call]:
    return [record for record, _ in read(values) if isinstance(record, Call)]


@pytest.mark.parametrize("session", [NEW, OLD])
def test_a_response_is_a_call_with_its_own_usage_and_its_items(session: list[Any]):
    assert {formats.recognise(value) for value in session} == {codex}
    first, second = calls(session)
    assert [(c.input_tokens, c.output_tokens, c.total_tokens) for c in (first, second)] == [
        (10, 5, 15), (20, 3, 23),
    ]  # fmt: skip
    assert (first.cached_tokens, first.reasoning_tokens) == (5, 1)
    assert (first.request_id, second.request_id, first.session_id) == ("s-1:1", "s-1:2", "s-1")
    assert (first.model, first.provider, first.finish_reason) == (
        "gpt-5-codex", "openai", "tool_calls",
    )  # fmt: skip
    assert first.tool_calls[0]["function"] == {"name": "shell", "arguments": '{"c":1}'}
    assert first.response["reasoning"] == "hm"
    assert (second.response["content"], second.finish_reason) == ("Blue.", "stop")
    assert [message["role"] for message in first.messages] == ["system", "user"]
    assert [message["role"] for message in second.messages] == [
        "system", "user", "assistant", "tool",
    ]  # fmt: skip
    assert second.messages[-1] == {
        "role": "tool", "tool_call_id": "c1", "content": "gone", "is_error": True,
    }  # fmt: skip
    assert (second.tags["num_tool_results"], second.tags["num_tool_errors"]) == (1, 1)


def test_totals_alone_are_what_they_grew_by():
    found = calls([CONTEXT, count(None, (10, 5)), count(None, (10, 5)), count(None, (30, 8))])
    assert [(call.input_tokens, call.output_tokens) for call in found] == [(10, 5), (20, 3)]
    assert found[0].request_id is None


def test_every_line_is_a_call_or_counted():
    found = read(NEW)
    assert len([1 for record, _ in found if isinstance(record, Other)]) == len(NEW) - 2


def test_the_oldest_files_have_bare_items_and_no_counts():
    values = [
        {"id": "old", "timestamp": "2026-11-03T08:00:00Z", "instructions": "be brief", "git": None},
        {"record_type": "state"},
        *({**value["payload"]} for value in (ASKED, CALLED, GAVE, SAID)),
    ]
    assert {formats.recognise(value) for value in values} == {codex}
    first, second = calls(values)
    assert (first.request_id, first.input_tokens) == ("old:1", None)
    assert second.response["content"] == "Blue."
    assert [message["role"] for message in second.messages] == [
        "system", "user", "assistant", "tool",
    ]  # fmt: skip


def test_a_compacted_history_takes_the_place_of_the_turns_before():
    compacted = line("compacted", message="so far: blue", replacement_history=[ASKED["payload"]])
    *_, last = calls([*NEW, compacted, SAID, count((1, 1), (31, 9))])
    assert [message["role"] for message in last.messages] == ["system", "user"]
    *_, last = calls([*NEW, line("compacted", message="so far: blue"), SAID])
    assert last.messages[-1] == {"role": "user", "content": "so far: blue"}


def test_errors_and_retries_are_told():
    error = line("event_msg", type="error", message="usage limit", codex_error_info="limit")
    retry = line("event_msg", type="stream_error", message="Reconnecting... 1/5")
    failed, after = calls([META, CONTEXT, ASKED, error, retry, SAID, count((1, 1), (1, 1))])
    assert (failed.status, failed.error_type, failed.tags["error_text"]) == (
        "error", "limit", "usage limit",
    )  # fmt: skip
    assert (after.status, after.retries) == ("ok", 1)


def test_a_line_of_something_else_is_left_to_others_and_a_new_kind_of_line_is_counted():
    reader = codex.reader()
    with pytest.raises(UnreadableError):
        list(reader.feed({"log": "{}", "stream": "stdout"}, 0))
    assert list(reader.feed(line("world_state", a=1), 1)) == [(Other(), 1)]
