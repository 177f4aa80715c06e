"""Bytes to lines with their offsets, never holding more than one bounded line.

Knows nothing of JSON. A line ends at LF; a CR before it is dropped; a byte order mark at the
start of the file is not part of the first line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from tasks.logs.shapes.records import Facts

_CHUNK_BYTES = 1 << 20
#: how much of an over-long line or of an unread file a dead letter keeps
MAX_KEPT_BYTES = 64 * 1024
_BLANK = re.compile(rb"\n++")
_BOM = b"\xef\xbb\xbf"


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass(slots=True)  # not frozen: one is made for every line
class Line:
    """`data` without its line end. An over-long line has only its first bytes, and its length.

    `next_offset` is where the next line starts, line end, CR and byte order mark counted in.
    `facts`: of what was taken off it.
    """

    number: int
    offset: int
    data: bytes
    length: int
    ended: bool
    too_long: bool = False
    next_offset: int = 0
    facts: Facts | None = None

    @property
    def name(self) -> str:
        return str(self.number)


def iterate_lines(
    stream: Readable,
    max_line_bytes: int,
    *,
    offset: int = 0,
    number: int = 1,
    blank_as_one: bool = False,
) -> Iterator[Line]:
    """Lines of `stream`, whose first byte is at `offset` of the file, on line `number`.

    `blank_as_one`: of many blank lines in a row only some are told, so that line ends alone do not
    cost more than what they are between.
    """
    parts: list[bytes] = []
    held = length = 0
    start = offset
    while chunk := stream.read(_CHUNK_BYTES):
        position = 0
        while (end := chunk.find(b"\n", position)) >= 0:
            piece = chunk[position:end]
            # the usual line lies whole in the chunk: no list, no copy
            data = piece if not length else b"".join((*parts, piece[: _room(max_line_bytes, held)]))
            length += len(piece)
            yield _line(number, start, data, length, max_line_bytes, ended=True)
            start += length + 1
            number += 1
            position = end + 1
            parts, held, length = [], 0, 0
            if blank_as_one and not piece and (blank := _BLANK.match(chunk, position)):
                number += blank.end() - position
                start += blank.end() - position
                position = blank.end()
                yield _line(number - 1, start - 1, b"", 0, max_line_bytes, ended=True)
        rest = chunk[position:]
        kept = rest[: _room(max_line_bytes, held)]
        if kept:
            parts.append(kept)
        held += len(kept)
        length += len(rest)
    if length:
        yield _line(number, start, b"".join(parts), length, max_line_bytes, ended=False)


def _room(max_line_bytes: int, held: int) -> int:
    return max(0, max_line_bytes + 2 - held)


def _line(
    number: int, offset: int, data: bytes, length: int, max_line_bytes: int, *, ended: bool
) -> Line:
    next_offset = offset + length + ended
    whole = len(data) == length
    if whole and data.endswith(b"\r"):
        data = data[:-1]
        length -= 1
    if offset == 0 and data.startswith(_BOM):
        data = data[len(_BOM) :]
        length -= len(_BOM)
    too_long = length > max_line_bytes
    return Line(
        number,
        offset,
        data[:MAX_KEPT_BYTES] if too_long else data,
        length,
        ended,
        too_long,
        next_offset,
    )
