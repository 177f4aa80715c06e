"""Calls with an argument between tags of its own, as Qwen's coder models write them."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.reading.tool_calls import read as read_answer
from engine.reading.xml_calls import read

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "path": {"type": "string"},
        "text": {"type": "string"},
        "line": {"type": "integer"},
        "share": {"type": "number"},
        "force": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "meta": {"type": "object"},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "limit": {"type": ["integer", "null"]},
        "mode": {"enum": ["fast", "slow"]},
        "size": {"enum": [1, 2]},
        "place": {"$ref": "#/$defs/place"},
        "whatever": {},
    },
    "$defs": {"place": {"type": "object", "properties": {"x": {"type": "integer"}}}},
}
TOOLS: dict[str, dict[str, Any]] = {"write": SCHEMA, "list-files": {}}


def written(name: str, **arguments: str) -> str:
    """As the chat template of Qwen3-Coder writes a call."""
    told = "".join(f"<parameter={key}>\n{text}\n</parameter>\n" for key, text in arguments.items())
    return f"<tool_call>\n<function={name}>\n{told}</function>\n</tool_call>"


def calls(text: str) -> list[tuple[str, dict[str, Any]]] | None:
    found = read(text, TOOLS)
    return None if found is None else found[1]


def arguments(text: str) -> dict[str, Any]:
    ((_, said),) = calls(text) or ()
    return said


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("path", "a.py", "a.py"), ("path", "7", "7"), ("path", "null", "null"), ("path", "", ""),
        ("text", "\nfirst\n\n  second\n", "\nfirst\n\n  second\n"),
        ("line", "7", 7), ("line", "-2", -2), ("line", "null", None), ("line", "seven", "seven"),
        ("line", "9" * 5000, "9" * 5000),
        ("share", "0.5", 0.5), ("share", "2", 2), ("share", "2.0", 2), ("share", "nan", "nan"),
        ("force", "true", True), ("force", "False", False), ("force", "maybe", "maybe"),
        ("tags", '["a", "b"]', ["a", "b"]), ("tags", "['a', None]", ["a", None]),
        ("tags", "a, b", "a, b"), ("tags", '"[1, 2]"', [1, 2]),
        ("meta", '{"a": {"b": 1}}', {"a": {"b": 1}}), ("meta", "{'a': True}", {"a": True}),
        ("meta", "[1]", "[1]"), ("meta", "{1, 2}", "{1, 2}"), ("meta", "[" * 9000, "[" * 9000),
        ("note", "none", None), ("note", "of it", "of it"), ("limit", "null", None),
        ("limit", "3", 3), ("mode", "fast", "fast"), ("size", "2", 2),
        ("place", '{"x": 1}', {"x": 1}), ("whatever", "1", "1"), ("unknown", "1", "1"),
    ],
)  # fmt: skip
def test_a_value_is_what_the_tools_schema_says(name: str, text: str, value: Any):
    said = arguments(written("write", **{name: text}))[name]
    assert (said, type(said)) == (value, type(value))
    json.dumps(said, allow_nan=False)


def test_several_calls_and_what_was_said_before():
    text = f"I look.\n{written('list-files')}\n{written('write', path='a', line='1')}"
    found = read(text, TOOLS)
    assert found == (8, [("list-files", {}), ("write", {"path": "a", "line": 1})])
    said = read_answer(text, TOOLS)
    assert said.text == "I look.\n"
    assert [call["function"]["name"] for call in said.calls] == ["list-files", "write"]
    assert json.loads(said.calls[1]["function"]["arguments"]) == {"path": "a", "line": 1}


@pytest.mark.parametrize(
    "text",
    [
        "<tool_call><function=write><parameter=path>a</parameter><parameter=line>1</parameter>"
        "</function></tool_call>",
        "<function=write>\n<parameter=path>\na\n</parameter>\n<parameter=line>\n1\n</parameter>\n"
        "</function>",
        "<tool_call>\n<function=write>\n<parameter=path>\na\n<parameter=line>\n1\n</function>\n"
        "</tool_call>",
        "<tool_call>\n<function=write>\n<parameter=path>\na\n</parameter>\n<parameter=line>\n1\n"
        "</parameter>\n</tool_call>",
    ],
    ids=["on one line", "no tags around", "arguments not closed", "function not closed"],
)
def test_what_models_leave_out_is_understood(text: str):
    assert arguments(text) == {"path": "a", "line": 1}


@pytest.mark.parametrize(
    "value",
    [
        "if a < b and c > d: print('</p>')",
        "see <parameter=x> in a line, and </function> and </tool_call>",
        "<parameter=inner>\nof another\n</parameter>",
        written("other", path="1", line="2"),
        f"before\n{written('write', path='deep')}\nafter",
        "<html>\n<body>é 日本\n</body>\n</html>",
    ],
)
def test_a_value_may_hold_tags_itself(value: str):
    told = {"path": "a.md", "text": value}
    assert arguments(written("write", **told)) == told
    both = f"{written('write', **told)}\n{written('list-files')}"
    assert calls(both) == [("write", told), ("list-files", {})]


def test_a_call_that_is_cut_off_is_none_and_the_answer_is_text():
    whole = written("write", path="a.py", text="one\ntwo")
    certain = whole.index("</function>") + len("</function>")
    for length in range(certain):
        assert calls(whole[:length]) is None, whole[:length]
        assert read_answer(whole[:length], TOOLS).text == whole[:length]
    # those that were made before it count
    for length in range(certain):
        assert calls(f"{written('list-files')}\n{whole[:length]}") == [("list-files", {})]
    # the tag around it tells nothing more
    assert calls(whole[:certain]) == calls(whole)


@pytest.mark.parametrize(
    "text",
    ["plain", "", written("other", path="a"), f"{written('write')}\n{written('other')}",
     "<function=write", "<function={{ name }}>\n</function>", "</function>", "<function=>"],
)  # fmt: skip
def test_what_names_no_tool_that_was_offered_is_text(text: str):
    assert calls(text) is None
    assert read_answer(text, TOOLS).text == text


def test_without_the_tools_a_value_is_what_it_is_as_json():
    found = read(written("any", a="1", b="one", c='{"d": null}', e="NaN"), None)
    assert found == (0, [("any", {"a": 1, "b": "one", "c": {"d": None}, "e": "NaN"})])


VALUES = st.text(alphabet=st.characters(exclude_characters="<>", exclude_categories=["Cs"]))


@given(st.dictionaries(st.sampled_from(["path", "text"]), VALUES))
def test_any_text_comes_back_as_it_was(told: dict[str, str]):
    assert arguments(written("write", **told)) == told


PIECES = ["<tool_call>", "</tool_call>", "<function=write>", "</function>", "<parameter=path>",
          "<parameter=line>", "<parameter=odd>", "</parameter>", "\n", "1", "a", " "]  # fmt: skip


@settings(max_examples=300)
@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_whatever_a_model_says_is_calls_of_tools_or_text(text: str):
    found = read(text, TOOLS)
    if found is not None:
        start, said = found
        assert text[start:].startswith(("<tool_call>", "<function="))
        assert all(name in TOOLS and isinstance(given, dict) for name, given in said)
    json.dumps(read_answer(text, TOOLS).calls, allow_nan=False)


def test_tags_without_end_cost_little():
    started = time.process_time()
    for piece in ("<parameter=path>\n", "</parameter>\n", "<function=write>\n", "<tool_call>"):
        calls("<function=write>\n" + piece * 200_000)
        calls("<function=write>\n" + piece * 1_900)
    assert time.process_time() - started < 20
