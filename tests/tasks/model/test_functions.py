"""Whether a tool has to be called, in the words of every API's reference."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.loading.chat import read_tool_choice
from tasks.model.parameters import read_served
from tasks.model.served import Served

TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in ("find", "mail", "now")
]
FIND = {"type": "function", "function": {"name": "find"}}
MAIL = {"type": "function", "function": {"name": "mail"}}
SEARCH = {"type": "web_search"}


def _choice(params: dict[str, Any]) -> Any:
    served = read_served(json.dumps({"tools": TOOLS, **params}), None, None)
    assert Served.from_value(json.loads(json.dumps(served.to_value()))) == served
    if served.tool_choice is not None:  # the engine understands it
        read_tool_choice(served.tool_choice, served.tools)
    return served.tool_choice


@pytest.mark.parametrize(
    "params",
    [
        {"tool_choice": "required"}, {"tool_choice": "any"}, {"tool_choice": "REQUIRED"},
        {"tool_choice": {"type": "any"}}, {"tool_choice": '{"type": "any"}'},
        {"toolConfig": {"toolChoice": {"any": {}}}},
        {"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}},
        {"config": {"tool_config": {"function_calling_config": {"mode": "ANY"}}}},
        {"tool_params": {"tool_choice": "required"}},
        {"tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [
            {"type": "function", "name": name} for name in ("now", "mail", "find")]}},
    ],
    ids=("chat", "mistral", "cohere", "anthropic", "as text", "converse", "gemini", "genai",
         "tensorzero", "responses, all allowed"),
)  # fmt: skip
def test_some_tool_has_to_be_called(params: dict[str, Any]) -> None:
    assert _choice(params) == "required"


@pytest.mark.parametrize(
    "params",
    [
        {"tool_choice": FIND}, {"tool_choice": {"type": "function", "name": "find"}},
        {"tool_choice": {"type": "tool", "name": "find"}}, {"function_call": {"name": "find"}},
        {"toolConfig": {"toolChoice": {"tool": {"name": "find"}}}},
        {"toolConfig": {"functionCallingConfig": {
            "mode": "ANY", "allowedFunctionNames": ["find"]}}},
        {"tool_params": {"tool_choice": {"specific": "find"}}}, {"tool_choice": "find"},
        {"tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [
            SEARCH, {"type": "function", "name": "find"}]}},
    ],
    ids=("chat", "responses", "anthropic", "functions", "converse", "gemini", "tensorzero",
         "its name", "the other runs at the provider"),
)  # fmt: skip
def test_one_tool_has_to_be_called(params: dict[str, Any]) -> None:
    assert _choice(params) == FIND


@pytest.mark.parametrize(
    ("params", "mode"),
    [
        ({"tool_choice": {"type": "allowed_tools", "allowed_tools": {
            "mode": "required", "tools": [FIND, MAIL]}}}, "required"),
        ({"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [
            {"type": "function", "name": "find"}, {"type": "function", "name": "mail"}]}}, "auto"),
        ({"toolConfig": {"functionCallingConfig": {
            "mode": "ANY", "allowedFunctionNames": ["find", "mail"]}}}, "required"),
    ],
)  # fmt: skip
def test_some_tools_may_be_called(params: dict[str, Any], mode: str) -> None:
    allowed = {"mode": mode, "tools": [FIND, MAIL]}
    assert _choice(params) == {"type": "allowed_tools", "allowed_tools": allowed}


@pytest.mark.parametrize("told", ["none", {"type": "none"}, "NONE"])
def test_no_tool_may_be_called(told: Any) -> None:
    assert _choice({"tool_choice": told}) == "none"
    mode = {"functionCallingConfig": {"mode": "NONE"}}
    assert _choice({"toolConfig": mode}) == _choice({"function_call": "none"}) == "none"


@pytest.mark.parametrize(
    "told",
    ["auto", {"type": "auto"}, {"auto": {}}, None, "other", 3, [], {}, {"type": "file_search"},
     {"type": "function", "function": {"name": "other"}}, {"type": "function"}, {"tool": None},
     {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": n}
                                                        for n in ("find", "mail", "now")]},
     {"type": "allowed_tools", "mode": "required", "tools": [SEARCH]}, {"type": ["any"]},
     {"type": "allowed_tools", "mode": {}, "tools": 7}],
    ids=str,
)  # fmt: skip
def test_else_the_model_decides(told: Any) -> None:
    assert _choice({"tool_choice": told}) is None


@pytest.mark.parametrize(
    ("params", "single"),
    [
        ({"parallel_tool_calls": False}, True), ({"parallel_tool_calls": True}, False),
        ({"parallel_tool_calls": None}, False), ({}, False),
        ({"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}, True),
        ({"tool_choice": {"type": "any", "disable_parallel_tool_use": False}}, False),
        ({"tools": [SEARCH], "parallel_tool_calls": False}, False),
    ],
    ids=str,
)  # fmt: skip
def test_whether_one_call_at_most_may_be_made(params: dict[str, Any], single: bool) -> None:
    served = read_served(json.dumps({"tools": TOOLS, **params}), None, None)
    assert served.is_single is single
    assert ("single_call" in served.to_value()) is single
    assert Served.from_value(json.loads(json.dumps(served.to_value()))) == served


def test_without_tools_nothing_is_chosen() -> None:
    for told in ("required", "none", FIND):
        assert _choice({"tools": [SEARCH], "tool_choice": told}) is None
