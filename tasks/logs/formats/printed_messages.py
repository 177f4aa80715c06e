"""Messages that a framework recorded as text → messages.

Agno's are printed by pydantic or a dataclass: `role='user' content='hi' name=None`, alone or as
`Message(role='user', content='hi')`. OpenLIT joins a conversation into one text, of which a line
that begins with a role is a message; a line within one that begins so cannot be told from that.
Source: OpenInference's instrumentation of Agno, pydantic's __str__; openlit's format_content.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tasks.logs.formats.python_text import text_at, value_of
from tasks.logs.shapes.records import Json, UnreadableError

_ROLES = "system|user|assistant|tool|developer|model|function"
#: a printed message tells its role among its first fields
_PRINTED = re.compile(
    rf"(?:[A-Z]\w{{0,60}}\()?(?:\w{{1,30}}=(?:'[^']{{0,100}}'|None),? ){{0,3}}role='(?:{_ROLES})'"
)
_CLASS = re.compile(r"[A-Z]\w{0,60}\(")
_FIELD = re.compile(r"[\s,]*(\w{1,60})=")
_PLAIN = re.compile(r"[^\s,()\[\]{}'\"]+")
_KEPT = ("role", "content", "tool_calls", "tool_call_id", "reasoning_content")
_SPOKEN = re.compile(rf"^({_ROLES}): ", re.MULTILINE)


def printed(text: str) -> dict[str, Json] | None:
    """The message that a text is the print of; None: it is none."""
    if _PRINTED.match(text) is None:
        return None
    fields = dict(_fields(text))
    message = {name: fields[name] for name in _KEPT if fields.get(name) is not None}
    if "reasoning_content" in message:
        message["reasoning"] = message.pop("reasoning_content")
    return {"content": None, **message} if "role" in message else None


def spoken(text: str) -> list[Json] | None:
    """The messages of a conversation in one text; None where it does not begin with a role."""
    begins = list(_SPOKEN.finditer(text))
    if not begins or begins[0].start():
        return None
    ends = [*(begin.start() for begin in begins[1:]), len(text) + 1]
    return [
        {"role": begin[1], "content": text[begin.end() : max(begin.end(), end - 1)]}
        for begin, end in zip(begins, ends, strict=True)
    ]


def _fields(text: str) -> Iterator[tuple[str, Json]]:
    """Name and value of each field, up to the first that cannot be read."""
    begin = _CLASS.match(text)
    at = begin.end() if begin else 0
    while (field := _FIELD.match(text, at)) is not None:
        start = field.end()
        if text[start : start + 1] in ("'", '"'):
            said = text_at(text, start)
            if said.value is None:
                return
            yield field[1], said.value
            at = said.end
            continue
        at = _end_of_value(text, start)
        if at == start:
            return
        try:
            yield field[1], value_of(text[start:at])
        except UnreadableError:
            yield field[1], None


def _end_of_value(text: str, start: int) -> int:
    """Behind a word, a number, or brackets with whatever is in them."""
    depth, at = 0, start
    while at < len(text):
        sign = text[at]
        if sign in "'\"":
            end = text_at(text, at).end
            if end == at:
                return start
            at = end
        elif sign in "([{":
            depth, at = depth + 1, at + 1
        elif sign in ")]}":
            if depth == 0:
                return at
            depth, at = depth - 1, at + 1
            if depth == 0:
                return at
        elif depth:
            at += 1
        elif (plain := _PLAIN.match(text, at)) is not None:
            at = plain.end()
        else:
            return at
    return at
