from __future__ import annotations

import json

from engine import SamplingParams
from tasks.backends.base import Ask
from tasks.backends.calls import kept_text

SCHEMA = {"type": "object", "properties": {"order": {"type": "string"}, "n": {"type": "integer"}}}
TOOL = {"type": "function", "function": {"name": "find", "parameters": SCHEMA}}
IN_TAGS = (
    "<tool_call>\n<function=find>\n<parameter=order>\n7\n</parameter>\n<parameter=n>\n2\n"
    "</parameter>\n</function>\n</tool_call>"
)
KEPT = '<tool_call>{"arguments":{"n":2,"order":"7"},"name":"find"}</tool_call>'


def _ask(*tools: dict[str, object]) -> Ask:
    return Ask(({"role": "user", "content": "q"},), SamplingParams(), tools)


def test_calls_in_tags_are_kept_as_all_calls_are() -> None:
    assert kept_text(_ask(TOOL), IN_TAGS) == KEPT
    assert kept_text(_ask(TOOL), f"I look.\n\n{IN_TAGS}") == f"I look.\n{KEPT}"
    thought = "<think>\n<function=find>?\n</think>\n\n"
    assert kept_text(_ask(TOOL), thought + IN_TAGS) == thought + KEPT


def test_what_is_no_call_of_an_offered_tool_stays_as_it_is() -> None:
    other = {"type": "function", "function": {"name": "other"}}
    for ask, text in (
        (_ask(), IN_TAGS), (_ask(other), IN_TAGS), (_ask(TOOL), IN_TAGS[:60]),
        (_ask(TOOL), json.dumps({"name": "find"})), (_ask(TOOL), "<function=find"),
    ):  # fmt: skip
        assert kept_text(ask, text) == text
