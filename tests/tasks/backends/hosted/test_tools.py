from __future__ import annotations

import json
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


NAMED = {"type": "function", "function": {"name": "find"}}
SOME = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [
    NAMED, {"type": "function", "function": {"name": "mail"}}]}}  # fmt: skip
CHAT: dict[str, str] = {}
RESPONSES = {"endpoint": "responses"}
ANTHROPIC = {"api": "anthropic"}
GEMINI = {"api": "gemini"}


def _mode(mode: str, *names: str) -> dict[str, Any]:
    allowed = {"allowedFunctionNames": list(names)} if names else {}
    return {"toolConfig": {"functionCallingConfig": {"mode": mode, **allowed}}}


@pytest.mark.parametrize(
    ("of", "choice", "sent"),
    [
        (CHAT, "required", {"tool_choice": "required"}), (CHAT, "none", {"tool_choice": "none"}),
        (CHAT, NAMED, {"tool_choice": NAMED}), (CHAT, SOME, {"tool_choice": SOME}),
        (RESPONSES, "required", {"tool_choice": "required"}),
        (RESPONSES, NAMED, {"tool_choice": {"type": "function", "name": "find"}}),
        (RESPONSES, SOME, {"tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [
            {"type": "function", "name": "find"}, {"type": "function", "name": "mail"}]}}),
        (ANTHROPIC, "required", {"tool_choice": {"type": "any"}}),
        (ANTHROPIC, "none", {"tool_choice": {"type": "none"}}),
        (ANTHROPIC, NAMED, {"tool_choice": {"type": "tool", "name": "find"}}),
        (GEMINI, "required", _mode("ANY")), (GEMINI, "none", _mode("NONE")),
        (GEMINI, NAMED, _mode("ANY", "find")), (GEMINI, SOME, _mode("ANY", "find", "mail")),
    ],
)  # fmt: skip
def test_whether_a_tool_is_called_in_the_words_of_each_api(
    of: dict[str, str], choice: Any, sent: dict[str, Any]
) -> None:
    body, _ = _body(of, _ask(tool_choice=choice))
    assert {name: body[name] for name in sent} == sent
    without, _ = _body(of, _ask())
    assert without.keys() == body.keys() - sent.keys()


@pytest.mark.parametrize(
    ("of", "choice", "sent"),
    [
        (CHAT, None, {"parallel_tool_calls": False}),
        (CHAT, NAMED, {"parallel_tool_calls": False, "tool_choice": NAMED}),
        (RESPONSES, "required", {"parallel_tool_calls": False, "tool_choice": "required"}),
        (ANTHROPIC, None, {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}),
        (ANTHROPIC, NAMED, {"tool_choice": {"type": "tool", "name": "find",
                                            "disable_parallel_tool_use": True}}),
        (ANTHROPIC, "none", {"tool_choice": {"type": "none"}}),
        (GEMINI, None, {}), (GEMINI, "required", _mode("ANY")),
    ],
)  # fmt: skip
def test_one_call_at_most_in_the_words_of_each_api(
    of: dict[str, str], choice: Any, sent: dict[str, Any]
) -> None:
    body, _ = _body(of, _ask(tool_choice=choice, is_single=True))
    without, _ = _body(of, _ask())
    assert {name: body[name] for name in sent} == sent
    assert without.keys() == body.keys() - sent.keys()


SCHEMA_TEXT = '{"type":"object","properties":{"b":{"type":"string"},"a":{"type":"string"}}}'
BY_SCHEMA = {"type": "json_schema", "name": "reply", "strict": True, "schema": SCHEMA_TEXT}
IS_JSON = {"type": "json_object"}
READ = {"name": "reply", "strict": True, "schema": json.loads(SCHEMA_TEXT)}


@pytest.mark.parametrize(
    ("of", "form", "sent"),
    [
        (CHAT, IS_JSON, {"response_format": IS_JSON}),
        (CHAT, BY_SCHEMA, {"response_format": {"type": "json_schema", "json_schema": READ}}),
        (RESPONSES, IS_JSON, {"text": {"format": IS_JSON}}),
        (RESPONSES, BY_SCHEMA, {"text": {"format": {"type": "json_schema", **READ}}}),
        (ANTHROPIC, IS_JSON, {}),
        (ANTHROPIC, BY_SCHEMA,
         {"output_config": {"format": {"type": "json_schema", "schema": READ["schema"]}}}),
    ],
)  # fmt: skip
def test_the_form_of_an_answer_in_the_words_of_each_api(
    of: dict[str, str], form: Any, sent: dict[str, Any]
) -> None:
    body, _ = _body(of, replace(ask(), answer_format=form))
    without, _ = _body(of, ask())
    assert body == {**without, **sent}
    if "schema" in form and sent:  # its members in their order
        assert '"properties": {"b"' in json.dumps(body)


@pytest.mark.parametrize(
    ("of", "more"), [(RESPONSES, {"text": {"verbosity": "low"}}),
                     (ANTHROPIC, {"output_config": {"effort": "low"}})],
)  # fmt: skip
def test_what_else_the_body_says_is_beside_the_form(of: Any, more: dict[str, Any]) -> None:
    body, _ = _body({**of, "body": more}, replace(ask(), answer_format=BY_SCHEMA))
    ((name, told),) = more.items()
    assert body[name].keys() == {"format", *told}
    assert body[name].items() >= told.items()


@pytest.mark.parametrize("form", [IS_JSON, BY_SCHEMA])
def test_gemini_has_the_form_in_its_configuration(form: Any) -> None:
    body, _ = _body(GEMINI, replace(ask(), answer_format=form))
    told = body["generationConfig"]
    assert told["responseMimeType"] == "application/json"
    assert told.get("responseJsonSchema") == (READ["schema"] if "schema" in form else None)


@pytest.mark.parametrize(
    ("of", "changes", "what"),
    [
        (ANTHROPIC, {"tools": (TOOL,), "tool_choice": SOME}, "only some of the tools"),
        (GEMINI, {"tools": (TOOL,), "tool_choice": {"type": "allowed_tools", "allowed_tools": {
            "mode": "auto", "tools": [NAMED]}}}, "only some of the tools"),
        ({"endpoint": "completions"}, {"answer_format": IS_JSON}, "the form of an answer"),
    ],
)  # fmt: skip
def test_what_an_api_cannot_be_told_is_not_sent(
    of: dict[str, str], changes: dict[str, Any], what: str
) -> None:
    with serving_api() as api:
        (reply,) = answers(api, [replace(ask(), **changes)], **of)
        assert not api.books.bodies
    assert what in reply.failure.message  # type: ignore[union-attr]


def test_calls_in_tags_are_understood_where_the_server_does_not() -> None:
    said = "<function=find>\n<parameter=city>\nOslo\n</parameter>\n</function>"
    with serving_api(answer=lambda _: said) as api:
        (reply,) = answers(api, [_ask()])
    assert reply.text == '<tool_call>{"arguments":{"city":"Oslo"},"name":"find"}</tool_call>'


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
