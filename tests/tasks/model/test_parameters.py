"""Bodies are those of the API references; each says the same of one function in its own words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tasks.model.parameters import read_served
from tasks.model.served import AS_ASKED, Served
from tasks.model.tool_calls import with_calls

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {
    "type": "function",
    "function": {"name": "find", "description": "Finds it.", "parameters": SCHEMA},
}
IN_CAPITALS = {
    "type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"],
}  # fmt: skip
TEXTS = {"name": "find", "description": "Finds it."}
USER = {"role": "user", "content": "q"}
SAID = {"role": "assistant", "content": "It is"}


def _read(params: Any, last: Any = USER, model: str | None = None) -> Served:
    return read_served(json.dumps(params), last, model)


@pytest.mark.parametrize(
    "params",
    [
        {"tools": [TOOL]},
        {"functions": [{**TEXTS, "parameters": SCHEMA}]},
        {"tools": [{"type": "function", **TEXTS, "parameters": SCHEMA}]},
        {"tools": [{**TEXTS, "input_schema": SCHEMA}]},
        {"tools": [{"type": "custom", **TEXTS, "input_schema": SCHEMA}]},
        {"tools": [{"functionDeclarations": [{**TEXTS, "parameters": IN_CAPITALS}]}]},
        {"config": {"tools": [{"function_declarations": [
            {**TEXTS, "parameters_json_schema": SCHEMA}]}]}},
        {"toolConfig": {"tools": [{"toolSpec": {**TEXTS, "inputSchema": {"json": SCHEMA}}}]}},
        {"tool_params": {"tools_available": [{**TEXTS, "parameters": SCHEMA}]}},
        {"tools": json.dumps([TOOL])},
        {"tools": [json.dumps({**TEXTS, "input_schema": SCHEMA})]},
        {"optional_params": {"tools": [TOOL]}},
    ],
    ids=("chat", "functions", "responses", "anthropic", "anthropic custom", "gemini", "genai",
         "converse", "tensorzero", "otlp", "openinference", "litellm"),
)  # fmt: skip
def test_one_function_in_the_words_of_every_api(params: Any) -> None:
    assert _read(params).tools == (TOOL,)


def test_tools_that_run_at_the_provider_are_passed_over() -> None:
    builtin = [
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 5},
        {"type": "file_search", "vector_store_ids": ["v"]},
        {"googleSearch": {}}, {"name": 7}, "find", None, 3,
    ]  # fmt: skip
    assert _read({"tools": [*builtin, TOOL]}).tools == (TOOL,)
    assert _read({"tools": {"find": 1}}) == AS_ASKED


@pytest.mark.parametrize(
    "params",
    [
        {"temperature": 0.2, "top_p": 0.9, "max_tokens": 70, "stop": ["x"], "seed": 3},
        {"max_completion_tokens": 70, "temperature": 0.2, "top_p": 0.9, "stop": "x"},
        {"max_output_tokens": "70", "temperature": "0.2", "top_p": 0.9, "stop_sequences": ["x"]},
        {"generationConfig": {"temperature": 0.2, "topP": 0.9, "maxOutputTokens": 70,
                              "stopSequences": ["x", ""]}},
        {"inferenceConfig": {"temperature": 0.2, "topP": 0.9, "maxTokens": 70,
                             "stopSequences": ["x"]}},
        {"options": {"temperature": 0.2, "top_p": 0.9, "num_predict": 70, "stop": ["x"]}},
        {"options": {"temperature": 1.9}, "temperature": 0.2, "top_p": 0.9, "max_tokens": 70.0,
         "stop": '["x"]'},
    ],
)  # fmt: skip
def test_sampling_in_the_words_of_every_api(params: Any) -> None:
    said = {"temperature": 0.2, "top_p": 0.9, "max_tokens": 70, "stop": ["x"]}
    assert _read(params).sampling == said


def test_values_that_were_never_in_force_are_passed_over() -> None:
    wrong = {"temperature": -1, "top_p": 0, "max_tokens": 0, "stop": [1, ""], "top_k": -1,
             "min_p": True, "repetition_penalty": "much"}  # fmt: skip
    assert _read(wrong) == AS_ASKED
    assert [read_served(text, USER, None) for text in (None, "", "[1]", "{", "[" * 9000)] == [
        AS_ASKED
    ] * 5


def test_template_arguments() -> None:
    thinking = {"enable_thinking": False}
    assert _read({"chat_template_kwargs": thinking}).template == thinking
    assert _read({"extra_body": {"chat_template_kwargs": thinking}}).template == thinking
    assert _read({"enable_thinking": False}).template == thinking


@pytest.mark.parametrize(
    ("params", "last", "model", "continues"),
    [
        ({"continue_final_message": True}, SAID, None, True),
        ({}, {**SAID, "prefix": True}, "mistral-large", True),
        ({}, SAID, "claude-sonnet-4-5", True),
        ({}, SAID, "anthropic.claude-3-haiku", True),
        ({"continue_final_message": False}, SAID, "claude-sonnet-4-5", False),
        ({}, SAID, "gpt-5", False),
        ({"continue_final_message": True}, USER, None, False),
        ({}, {**SAID, "tool_calls": [{}]}, "claude-sonnet-4-5", False),
        ({}, "text", None, False),
    ],
)  # fmt: skip
def test_whether_the_answer_goes_on_with_the_last_message(
    params: Any, last: Any, model: str | None, continues: bool
) -> None:
    assert _read(params, last, model).continues is continues


def test_what_is_not_there_is_no_part_of_the_value() -> None:
    assert AS_ASKED.to_value() == {}
    whole = Served((TOOL,), {"enable_thinking": False}, True, {"temperature": 0.2})
    assert Served.from_value(json.loads(json.dumps(whole.to_value()))) == whole
    assert whole.without_sampling().to_value().keys() == {"tools", "template", "continues"}


def test_calls_of_tools_as_a_text() -> None:
    calls = [("find", '{"b": 1, "a": "é"}'), ("find", "{broken"), ("stop", None)]
    assert with_calls("Wait.", calls).split("\n") == [
        "Wait.",
        '<tool_call>{"arguments":{"a":"é","b":1},"name":"find"}</tool_call>',
        '<tool_call>{"arguments":"{broken","name":"find"}</tool_call>',
        '<tool_call>{"arguments":{},"name":"stop"}</tool_call>',
    ]
    assert with_calls("  ", []) == "  "
    assert with_calls("", [("stop", {})]).startswith("<tool_call>")
