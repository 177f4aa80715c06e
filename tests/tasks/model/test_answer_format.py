"""The form of an answer, in the words of every API's reference."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tasks.logs.shapes.json_text import dump
from tasks.model.answer_format import response_format, schema_of
from tasks.model.parameters import read_served
from tasks.model.served import AS_ASKED, Served

SCHEMA = {
    "type": "object",
    "properties": {"why": {"type": "string"}, "a": {"type": ["string", "null"]}},
    "required": ["why", "a"],
    "additionalProperties": False,
}
NAMED = {"name": "reply", "strict": True, "schema": SCHEMA}
GEMINI = {
    "type": "OBJECT",
    "properties": {"a": {"type": "STRING", "nullable": True},
                   "why": {"type": "STRING", "format": "enum", "enum": ["X", "Y"]},
                   "nullable": {"type": "BOOLEAN"}},
    "propertyOrdering": ["why", "a", "nullable"],
}  # fmt: skip


def _form(params: dict[str, Any]) -> Any:
    served = read_served(dump(params), None, None)
    assert Served.from_value(json.loads(json.dumps(served.to_value()))) == served
    return served.answer_format


@pytest.mark.parametrize(
    "params",
    [
        {"response_format": {"type": "json_object"}},
        {"text": {"format": {"type": "json_object"}, "verbosity": "low"}},
        {"extra_body": {"response_format": {"type": "json_object"}}},
        {"generationConfig": {"responseMimeType": "application/json"}},
        {"config": {"response_mime_type": "application/json"}},
        {"format": "json"},
        {"response_format": '{"type": "json_object"}'},
    ],
    ids=("chat", "responses", "extra body", "gemini", "genai", "ollama", "openinference"),
)
def test_json_without_a_schema(params: dict[str, Any]) -> None:
    form = _form(params)
    assert form == {"type": "json_object"}
    assert json.loads(schema_of(form)) == {"type": "object"}
    assert response_format(form) == {"type": "json_object"}


@pytest.mark.parametrize(
    ("params", "more"),
    [
        ({"response_format": {"type": "json_schema", "json_schema": NAMED}},
         {"name": "reply", "strict": True}),
        ({"text": {"format": {"type": "json_schema", **NAMED}}}, {"name": "reply", "strict": True}),
        ({"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}, {}),
        ({"output_format": {"type": "json_schema", "schema": SCHEMA}}, {}),
        ({"outputConfig": {"textFormat": {"type": "json_schema", "structure": {
            "jsonSchema": {"name": "reply", "schema": json.dumps(SCHEMA)}}}}}, {"name": "reply"}),
        ({"generationConfig": {"responseMimeType": "application/json",
                               "responseJsonSchema": SCHEMA}}, {}),
        ({"response_format": {"type": "json_object", "schema": SCHEMA}}, {}),
        ({"response_format": {"type": "json_object", "json_schema": SCHEMA}}, {}),
        ({"response_format": {"type": "json", "value": SCHEMA}}, {}),
        ({"format": SCHEMA}, {}), ({"extra_body": {"guided_json": SCHEMA}}, {}),
        ({"structured_outputs": {"json": SCHEMA}}, {}), ({"json_schema": SCHEMA}, {}),
        ({"parameters": {"grammar": {"type": "json", "value": SCHEMA}}}, {}),
    ],
    ids=("chat", "responses", "anthropic", "anthropic before", "converse", "gemini", "together",
         "cohere", "tgi's form", "ollama", "vllm", "vllm now", "llama.cpp", "tgi"),
)  # fmt: skip
def test_json_by_a_schema(params: dict[str, Any], more: dict[str, Any]) -> None:
    """Its members stand in their order, though a store sorts the keys of what was logged."""
    form = _form(params)
    text = form.pop("schema")
    assert form == {"type": "json_schema", "name": "answer", **more}
    assert json.loads(text) == SCHEMA
    assert list(json.loads(text)["properties"]) == ["why", "a"]
    told = response_format({**form, "schema": text})
    name = more.get("name", "answer")
    assert told == {
        "type": "json_schema", "json_schema": {**more, "name": name, "schema": SCHEMA},
    }  # fmt: skip


@pytest.mark.parametrize("key", ["responseSchema", "response_schema"])
def test_googles_dialect_as_json_schema(key: str) -> None:
    form = _form({"generationConfig": {"responseMimeType": "application/json", key: GEMINI}})
    schema = json.loads(form["schema"])
    assert list(schema["properties"]) == ["why", "a", "nullable"]
    assert schema == {
        "type": "object",
        "properties": {
            "why": {"type": "string", "enum": ["X", "Y"]},
            "a": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "nullable": {"type": "boolean"},
        },
    }


@pytest.mark.parametrize(
    "params",
    [
        {"response_format": {"type": "text"}}, {"text": {"format": {"type": "text"}}},
        {"text": {"verbosity": "high"}}, {"text": "words"}, {"format": "text"}, {"format": 3},
        {"response_format": "<class 'Reply'>"}, {"response_format": None},
        {"response_format": {"type": "grammar", "value": "x"}},
        {"response_format": {"type": "json_schema"}}, {"guided_json": 7},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}, "n": 1},
        {"generationConfig": {"responseMimeType": "text/x.enum", "responseSchema": GEMINI}},
        {"generationConfig": {"responseMimeType": "text/plain"}}, {"grammar": "root ::= a"},
        {"output_config": {"effort": "low"}}, {"structured_outputs": {"regex": "a"}},
    ],
    ids=str,
)  # fmt: skip
def test_any_other_form_is_passed_over(params: dict[str, Any]) -> None:
    assert _form(params) is None


def test_a_form_is_part_of_what_is_asked_and_none_is_not() -> None:
    assert AS_ASKED.to_value() == {}
    told = Served(tool_choice="required", answer_format={"type": "json_object"})
    assert told.to_value() == {"tool_choice": "required", "answer_format": {"type": "json_object"}}
    assert told.without_sampling() == told
