"""A body of application/vnd.amazon.eventstream, as a recording of HTTP keeps it: base64 → events.

Each event becomes {its type: its payload}, as ConverseStream has it; a chunk of
InvokeModelWithResponseStream becomes the model's own event, which is base64 within it. Source: the
AWS documentation, event stream encoding of Amazon Transcribe and Bedrock.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator
from struct import Struct

from tasks.logs.shapes import coerce
from tasks.logs.shapes.json_text import nested
from tasks.logs.shapes.records import Json

#: length of the message and of its headers, and the checksum of both
_PRELUDE = Struct(">III")
_CHECKSUM_BYTES = 4
#: type of a header's value → its bytes; 6 and 7 tell their length in two
_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
_LONG = (6, 7)


def events_of(text: str) -> list[Json] | None:
    """None: the text is no such stream."""
    try:
        data = base64.b64decode(text, validate=True)
        return [_event(headers, payload) for headers, payload in _messages(data)] or None
    except (ValueError, IndexError):
        return None


def _messages(data: bytes) -> Iterator[tuple[dict[str, str], Json]]:
    """Raises ValueError where the bytes are no messages. A last one that is cut off is left out."""
    start = 0
    while len(data) - start >= _PRELUDE.size:
        length, header_length, checksum = _PRELUDE.unpack_from(data, start)
        if zlib.crc32(data[start : start + 8]) != checksum or length < _PRELUDE.size:
            raise ValueError("no message of an event stream")
        end = start + length
        if end > len(data):
            return
        body = start + _PRELUDE.size + header_length
        headers = dict(_headers(data[start + _PRELUDE.size : body]))
        yield headers, nested(data[body : end - _CHECKSUM_BYTES].decode("utf-8", "replace"))
        start = end


def _headers(data: bytes) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(data):
        name = data[at + 1 : at + 1 + data[at]]
        at += 1 + data[at]
        kind, at = data[at], at + 1
        if kind in _LONG:
            size, at = int.from_bytes(data[at : at + 2]), at + 2
        elif kind in _SIZES:
            size = _SIZES[kind]
        else:
            raise ValueError("no header of an event stream")
        yield name.decode("utf-8", "replace"), data[at : at + size].decode("utf-8", "replace")
        at += size


def _event(headers: dict[str, str], payload: Json) -> Json:
    kind = headers.get(":event-type") or headers.get(":exception-type") or "unknown"
    chunk = coerce.first(payload, "bytes") if kind == "chunk" else None
    if not isinstance(chunk, str):
        return {kind: payload}
    return nested(base64.b64decode(chunk, validate=True).decode("utf-8", "replace"))
