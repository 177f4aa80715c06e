from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tasks.backends.base import Ask
from tasks.backends.hosted import backend as policy
from tasks.backends.hosted.plain import with_ids
from tests.fake_api import FakeApi, serving_api
from tests.tasks.backends.hosted.asking import KEY, VARIABLE, answers, ask

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOL = {"type": "function", "function": {"name": "find", "description": "d", "parameters": SCHEMA}}
CALL = {"type": "function", "function": {"name": "find", "arguments": '{"city": "Oslo"}'}}
HISTORY = (
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Where?"},
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "content": "at home"},
    {"role": "user", "content": "And then?"},
)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, KEY)
    monkeypatch.setattr(policy, "_FIRST_WAIT_S", 0.02)


def _ask(**changes: Any) -> Ask:
    return replace(ask(), messages=HISTORY, tools=(TOOL,), **changes)


def _body(of: dict[str, str], asked: Ask) -> tuple[dict[str, Any], str | None]:
    with serving_api() as api:
        (reply,) = answers(api, [asked], **of)
        assert reply.failure is None, reply
        return api.books.bodies[0], reply.text


def test_openai_chat_takes_tools_and_their_history_as_they_are() -> None:
    body, _ = _body({}, _ask(template={"enable_thinking": False}))
    assert body["tools"] == [TOOL]
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert body["messages"] == [
        *HISTORY[:2],
        {**HISTORY[2], "tool_calls": [{**CALL, "id": "call_1"}]},
        {**HISTORY[3], "tool_call_id": "call_1"},
        HISTORY[4],
    ]


def test_responses_has_calls_and_answers_as_items_of_their_own() -> None:
    body, _ = _body({"endpoint": "responses"}, _ask())
    assert body["tools"] == [{"type": "function", "strict": False, **TOOL["function"]}]
    assert body["input"][2:4] == [
        {"type": "function_call", "call_id": "call_1", "name": "find",
         "arguments": '{"city": "Oslo"}'},
        {"type": "function_call_output", "call_id": "call_1", "output": "at home"},
    ]  # fmt: skip


def test_anthropic_has_them_as_blocks_of_alternating_turns() -> None:
    body, _ = _body({"api": "anthropic"}, _ask())
    assert body["tools"] == [{"name": "find", "description": "d", "input_schema": SCHEMA}]
    assert body["system"] == "Be brief."
    assert body["messages"] == [
        {"role": "user", "content": "Where?"},
        {"role": "assistant", "content": [
            {"type": "tool_use", "id": "call_1", "name": "find", "input": {"city": "Oslo"}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "call_1", "content": "at home"},
            {"type": "text", "text": "And then?"}]},
    ]  # fmt: skip


def test_gemini_has_them_as_parts() -> None:
    body, _ = _body({"api": "gemini"}, _ask())
    declared = {"name": "find", "description": "d", "parameters_json_schema": SCHEMA}
    assert body["tools"] == [{"functionDeclarations": [declared]}]
    assert body["contents"][1:] == [
        {"role": "model", "parts": [{"functionCall": {"name": "find", "args": {"city": "Oslo"}}}]},
        {"role": "user", "parts": [
            {"functionResponse": {"name": "find", "response": {"result": "at home"}}},
            {"text": "And then?"}]},
    ]  # fmt: skip


@pytest.mark.parametrize(
    "of", [{}, {"endpoint": "responses"}, {"api": "anthropic"}, {"api": "gemini"}], ids=str
)
def test_calls_of_tools_come_back_as_one_text(of: dict[str, str]) -> None:
    with serving_api(call=lambda _: ("find", {"city": "Oslo", "days": 2})) as api:
        (reply,) = answers(api, [_ask()], **of)
    said = '{"arguments":{"city":"Oslo","days":2},"name":"find"}'
    assert (reply.text, reply.failure) == (f"<tool_call>{said}</tool_call>", None)


def _continued(of: dict[str, str], api: FakeApi) -> Any:
    said = {"role": "assistant", "content": "It is"}
    messages = ({"role": "user", "content": "Where?"}, said)
    (reply,) = answers(api, [replace(ask(), messages=messages, continues=True)], **of)
    return reply


def test_an_answer_is_gone_on_with_where_the_api_can() -> None:
    with serving_api() as api:
        assert _continued({}, api).failure is None
        assert _continued({"api": "anthropic"}, api).failure is None
        assert api.books.bodies[0]["continue_final_message"] is True
        assert api.books.bodies[0]["add_generation_prompt"] is False
        assert api.books.bodies[1]["messages"][-1] == {"role": "assistant", "content": "It is"}


@pytest.mark.parametrize("of", [{"endpoint": "responses"}, {"api": "gemini"}], ids=str)
def test_where_it_cannot_nothing_is_sent(of: dict[str, str]) -> None:
    with serving_api() as api:
        failure = _continued(of, api).failure
        assert not api.books.bodies
    assert failure.message == "a message to go on with cannot be put to this API"


def test_the_worst_price_of_a_request_counts_its_tools() -> None:
    without = replace(_ask(), tools=())
    more = policy._worst(_ask()).input_tokens - policy._worst(without).input_tokens
    assert more > len(str(SCHEMA))


def test_answers_of_tools_find_their_calls() -> None:
    calls = [{**CALL, "id": "a"}, {**CALL}]
    told = with_ids([
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "content": "2"}, {"role": "tool", "content": "1", "tool_call_id": "x"},
    ])  # fmt: skip
    assert [call["id"] for call in told[0]["tool_calls"]] == ["a", "call_2"]
    assert [message["tool_call_id"] for message in told[1:]] == ["a", "call_2"]
