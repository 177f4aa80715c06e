"""Chats with tools, template variables and an answer that goes on, as transformers renders them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine import LLM, Chat
from engine.errors import InvalidRequestError
from engine.loading.chat import checked_messages

TOOL = {
    "type": "function",
    "function": {
        "name": "order",
        "parameters": {"type": "object", "properties": {"id": {"type": "string"}}},
    },
}
CALL = {"id": "c1", "type": "function", "function": {"name": "order", "arguments": '{"id": "7"}'}}
HISTORY: list[dict[str, Any]] = [
    {"role": "user", "content": "where is 7?"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "content": "shipped", "tool_call_id": "c1"},
]
#: what templates for tools do: describe tools, write arguments as JSON, obey a variable
TEMPLATE = (
    "{%- if tools %}{{ tools | tojson }}\n{% endif %}"
    "{%- for m in messages %}<{{ m.role }}>{{ m.content }}"
    "{%- for c in m.tool_calls or [] %}[{{ c.function.name }} {{ c.function.arguments | tojson }}]"
    "{%- endfor %}\n{% endfor %}"
    "{%- if add_generation_prompt %}<assistant>{% if thinking is false %}</think>{% endif %}"
    "{%- endif %}"
)


@pytest.fixture
def told(chatty: LLM, monkeypatch: pytest.MonkeyPatch) -> Any:
    codec = chatty._intake.text
    monkeypatch.setattr(codec.tokenizer, "chat_template", TEMPLATE)
    return codec.chat_text


def test_tools_and_their_history_stand_as_transformers_writes_them(told: Any, chatty: LLM):
    as_objects = [dict(message) for message in HISTORY]
    function = {"name": "order", "arguments": {"id": "7"}}
    as_objects[1] |= {"content": "", "tool_calls": [CALL | {"function": function}]}
    expected = chatty._intake.text.tokenizer.apply_chat_template(
        as_objects, tools=[TOOL], tokenize=False, add_generation_prompt=True
    )
    assert told(Chat(HISTORY, [TOOL])) == expected
    assert json.dumps(TOOL["function"]["name"]) in expected
    assert '[order {"id": "7"}]' in expected
    assert json.dumps(TOOL["function"]["name"]) not in told(Chat(HISTORY[:1]))


def test_variables_reach_the_template_and_none_of_the_engines_own(told: Any):
    assert told(Chat(HISTORY[:1], variables={"thinking": False})).endswith("<assistant></think>")
    assert told(Chat(HISTORY[:1])).endswith("<assistant>")
    for name in ("messages", "tools", "add_generation_prompt", "chat_template"):
        with pytest.raises(InvalidRequestError, match=f"{name!r} is set by the engine"):
            told(Chat(HISTORY[:1], variables={name: []}))


def test_an_answer_goes_on_with_the_last_message(told: Any):
    begun = [*HISTORY, {"role": "assistant", "content": "It is"}]
    assert told(Chat(begun, continues=True)).endswith("<assistant>It is")


@pytest.mark.parametrize(
    ("messages", "told_of"),
    [
        ([], "no message"),
        ([{"role": "assistant", "content": None}], "content of type NoneType"),
        ([{"role": "assistant", "tool_calls": "x"}], "not a list of functions"),
        ([{"role": "assistant", "tool_calls": [{"function": {}}]}], "not a list of functions"),
    ],
)
def test_what_is_no_chat_is_told(messages: list[Any], told_of: str):
    with pytest.raises(InvalidRequestError, match=told_of):
        checked_messages(messages)


@pytest.mark.parametrize("arguments", ["{cut", "[1]", '"text"', "[" * 100_000])
def test_arguments_that_are_no_object_are_shown_as_they_were_said(arguments: str):
    call = {"function": {"name": "order", "arguments": arguments}}
    (message,) = checked_messages([{"role": "assistant", "tool_calls": [call]}])
    assert message["tool_calls"][0]["function"]["arguments"] == arguments
