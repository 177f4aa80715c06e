"""A line of a log that is not JSON by itself → the JSON in it, and what stands before it.

Taken off: the head of a Kubernetes log line (CRI), the field names of server-sent events, a record
separator (RFC 7464), the comma behind an item of an array, and whatever a logger writes before a
record: time, level, name. A dictionary as Python prints it counts as JSON. Pure; knows nothing of
what the JSON means.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tasks.logs.shapes.records import Facts

#: `time stream flags text`: F for a whole line, P for a part of one
_CRI = re.compile(rb"(\d{4}-\d\d-\d\dT\S{8,40}) (stdout|stderr) ([A-Z](?::[A-Z])*) ?")
_EVENT_FIELD = re.compile(rb"(?:event|id|retry|data)?:")
_DATA = b"data:"
_DONE = b"[DONE]"
_TIME = re.compile(rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?")
#: what a logger writes before a record
_MAX_HEAD_BYTES = 400
_RECORD_SEPARATOR = b"\x1e"
_BRACKETS = (b"[", b"]", b"],", b"{", b"}")


@dataclass(frozen=True, slots=True)
class Inner:
    """`data` empty: the line only frames others. `is_part`: its text goes on in another line."""

    data: bytes
    facts: Facts | None = None
    is_part: bool = False


def json_in(line: bytes) -> Inner | None:
    """What may be JSON in a line that is none as it stands; None: there is nothing like it."""
    text = line.strip().lstrip(_RECORD_SEPARATOR)
    if text in _BRACKETS:
        return Inner(b"")
    head = _CRI.match(text)
    if head is not None:
        facts = Facts(time=head[1].decode(), stream=head[2].decode())
        return Inner(text[head.end() :], facts, b"P" in head[3].split(b":"))
    if _EVENT_FIELD.match(text):
        inside = text.removeprefix(_DATA).strip() if text.startswith(_DATA) else b""
        return Inner(b"" if inside == _DONE else inside)
    if text[:1] in (b"{", b"["):
        bare = text[:-1].rstrip() if text.endswith(b",") else text
        return None if bare == line and not bare.startswith(b"{'") else Inner(bare)
    return _behind_a_head(text)


def _behind_a_head(text: bytes) -> Inner | None:
    """From the first brace whose text runs to the end of the line."""
    start = text.find(b"{", 0, _MAX_HEAD_BYTES)
    if start < 0 or not text.endswith(b"}"):
        return None
    head = text[:start]
    time = _TIME.search(head)
    said = None if time is None else time[0].replace(b",", b".").decode()
    return Inner(text[start:], Facts(time=said))
