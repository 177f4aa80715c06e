"""What traces recorded as input and output, in the shapes of frameworks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tasks.logs.formats.payloads import read_input, read_output

CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        # dumpd(): the class is in the path, older ones have no type
        ({"lc": 1, "id": ["langchain", "schema", "HumanMessage"], "kwargs": {"content": "hi"}},
         {"role": "user", "content": "hi"}),
        ({"lc": 1, "id": ["x", "ToolMessage"], "kwargs": {"content": "42", "tool_call_id": "c"}},
         {"role": "tool", "content": "42", "tool_call_id": "c"}),
        ({"lc": 1, "id": ["x", "ChatMessage"], "kwargs": {"content": "hi", "role": "critic"}},
         {"role": "critic", "content": "hi"}),
        ({"lc": 1, "id": ["x", "AIMessageChunk"], "kwargs": {
            "content": "", "type": "AIMessageChunk",
            "tool_calls": [{"name": "f", "args": {"a": 1}, "id": "c"}]}},
         {"role": "assistant", "content": "", "tool_calls": [CALL]}),
        # message_to_dict()
        ({"type": "system", "data": {"content": "be brief"}},
         {"role": "system", "content": "be brief"}),
        ({"type": "ai", "data": {"content": "", "additional_kwargs": {"tool_calls": [CALL]}}},
         {"role": "assistant", "content": "", "tool_calls": [CALL]}),
        ({"role": "function", "name": "f", "content": "42"},
         {"role": "tool", "name": "f", "content": "42"}),
        (["human", "hi"], {"role": "user", "content": "hi"}),
    ],
)  # fmt: skip
def test_messages_of_langchain(value: Any, expected: dict[str, Any]):
    assert read_input({"messages": [[value]]}) == [expected]


def test_two_texts_that_name_no_role_are_two_messages():
    assert [each["content"] for each in read_input(["hi", "you"]) or []] == ["hi", "you"]


def test_a_list_of_choices_is_the_first_and_the_others():
    answer = read_output([
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "ho"}},
        {"index": 1, "message": {"role": "assistant", "content": "hu"}},
    ])  # fmt: skip
    assert answer.message == {"role": "assistant", "content": "ho"}
    assert answer.finish_reason == "stop"
    assert answer.other_choices == [{"role": "assistant", "content": "hu"}]


def test_a_generation_of_langchain_keeps_its_tool_calls():
    message = {"lc": 1, "id": ["x", "AIMessage"], "kwargs": {
        "content": "", "tool_calls": [{"name": "f", "args": '{"a":1}', "id": "c"}]}}  # fmt: skip
    answer = read_output({"generations": [[{"text": "", "message": message}]]})
    assert answer.message is not None
    assert answer.message["tool_calls"] == [CALL]


def test_a_conversation_as_output_ends_with_the_answer():
    said = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]
    assert read_output({"messages": said}).message == said[1]


ASKED = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def test_tool_calls_that_stand_where_a_text_does():
    said = json.dumps([ASKED])
    asked, gave = read_input([{"role": "tool", "content": said}, {"role": "tool", "content": "x"}])  # type: ignore[misc]
    assert asked == {"role": "assistant", "content": None, "tool_calls": [ASKED]}
    assert gave == {"role": "tool", "content": "x"}
    assert read_output([{"role": "assistant", "content": said}]).message == asked
    blocks = [{"type": "text", "text": "a"}, {**ASKED, "function": {"name": "f", "arguments": {}}}]
    assert read_output({"role": "assistant", "content": blocks}).message == {
        "role": "assistant", "content": "a", "tool_calls": [ASKED]}  # fmt: skip
    quoted = json.dumps([{"type": "function", "function": {"name": "f"}}])  # no call: no arguments
    assert read_input([{"role": "tool", "content": quoted}]) == [
        {"role": "tool", "content": quoted}
    ]


def test_no_tool_calls_are_none():
    said = read_output({"role": "assistant", "content": "a", "tool_calls": []}).message
    assert said == {"role": "assistant", "content": "a"}


def test_an_input_that_is_a_content_alone():
    assert read_input({"content": "hi"}) == [{"role": "user", "content": "hi"}]


def test_thoughts_as_microsoft_has_them():
    thought = {"type": "Microsoft.Extensions.AI.TextReasoningContent",
               "content": {"text": "hm", "protectedData": "x"}}  # fmt: skip
    said = {"role": "assistant", "parts": [thought, {"type": "text", "content": "a"}]}
    assert read_output([said]).message == {
        "role": "assistant", "content": "a", "reasoning": "hm"}  # fmt: skip
