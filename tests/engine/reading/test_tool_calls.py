"""Calls of tools read out of what models say, whole and in pieces."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.reading.tool_calls import num_certain, read

NAMES: dict[str, dict[str, Any]] = {"order": {}, "mail": {}}
ORDER = '{"name": "order", "arguments": {"id": "é7"}}'
MAIL = '{"name": "mail", "parameters": {"to": "a"}}'


def calls(text: str) -> list[tuple[str, Any]]:
    found = read(text, NAMES).calls
    assert len({call["id"] for call in found}) == len(found)
    return [(c["function"]["name"], json.loads(c["function"]["arguments"])) for c in found]


@pytest.mark.parametrize(
    ("text", "before"),
    [
        (f"<tool_call>\n{ORDER}\n</tool_call>\n<tool_call>\n{MAIL}\n</tool_call>", ""),
        (f"I look.\n<tool_call>{ORDER}</tool_call><tool_call>{MAIL}", "I look.\n"),
        (f"[{ORDER}, {MAIL}]", ""),
        (f"[TOOL_CALLS] [{ORDER}, {MAIL}]", ""),
        (f"\n{ORDER}\n\n\n{MAIL}\n", ""),
    ],
    ids=[
        "Qwen and Hermes",
        "text before, end not closed",
        "a list",
        "Mistral",
        "tags that are no text",
    ],
)
def test_each_way_of_writing_calls_is_read(text: str, before: str):
    assert calls(text) == [("order", {"id": "é7"}), ("mail", {"to": "a"})]
    assert read(text, NAMES).text == before


def test_calls_before_one_that_is_cut_off_were_made():
    whole = f"<tool_call>\n{ORDER}\n</tool_call>"
    cut = f"Wait.\n{whole}\n<tool_call>\n{MAIL}"
    for length in range(len(f"Wait.\n{whole}"), len(cut)):
        assert calls(cut[:length]) == [("order", {"id": "é7"})]
        assert read(cut[:length], NAMES).text == "Wait.\n"


def test_llama_writes_one_call_as_the_whole_answer():
    assert calls(f"<|python_tag|>{MAIL}") == calls(MAIL) == [("mail", {"to": "a"})]


@pytest.mark.parametrize(
    "text",
    [
        "plain", f"{ORDER} and more", '{"name": "other", "arguments": {}}', '{"city": "Bonn"}',
        "[1, 2]", "[]", '"a"',
        '<tool_call>{"name": "order", "argum', "<tool_call></tool_call>", "[" * 50_000,
        f"<tool_call>{ORDER}</tool_call><tool_call>nothing</tool_call>", '{"name": ["order"]}',
    ],
)  # fmt: skip
def test_what_names_no_tool_that_was_offered_is_text(text: str):
    assert read(text, NAMES).text == text
    assert not read(text, NAMES).calls


PIECES = st.lists(
    st.sampled_from(
        [
            "<",
            "<tool_",
            "<tool_call>",
            "</tool_call>",
            ORDER,
            MAIL,
            "a",
            " ",
            "\n",
            "{",
            "[",
            "é",
            "<function=order>",
            "<func",
            "</function>",
        ]
    ),
    max_size=8,
).map("".join)


@given(PIECES)
@example(f" {ORDER}")
def test_what_a_stream_has_shown_is_the_beginning_of_the_whole(text: str):
    whole = read(text, NAMES).text
    for length in range(len(text) + 1):
        assert whole.startswith(text[: num_certain(text[:length])]), (text, length)


@given(st.text())
def test_text_without_marks_is_certain_at_once(text: str):
    if text.strip() and not any(sign in text for sign in "<{["):
        assert num_certain(text) == len(text)
