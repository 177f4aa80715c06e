"""What traces recorded as input and output, in the shapes of frameworks."""

from __future__ import annotations

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
