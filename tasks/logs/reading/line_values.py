"""Lines → JSON values: out of what stands around the JSON in a line, the parts of a line that a
container's log cut put together. For recognising a file and for reading it."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Literal

from tasks.logs.files.lines import Line
from tasks.logs.reading.envelopes import text_in
from tasks.logs.reading.line_text import json_in
from tasks.logs.shapes.json_text import nested, parse, plain
from tasks.logs.shapes.records import Facts, Json, Place, UnreadableError

#: bare: the line is JSON; within: JSON in a line; frame: it only frames others; part: its text goes
#: on in another line; text: nothing like JSON; broken: JSON that cannot be read
Kind = Literal["bare", "within", "frame", "part", "text", "broken"]

#: Python's parser takes a thousand times the size of what it reads
_MAX_REPR_BYTES = 2**18


@dataclass(slots=True)  # not frozen: one is made for every line
class LineValue:
    """`place`: where the value began. `error`: why there is none."""

    kind: Kind
    place: Place
    value: Json = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class At:
    """A place within an envelope, or in a document."""

    number: int | None
    offset: int
    name: str
    data: bytes
    facts: Facts | None = None

    @classmethod
    def within(cls, place: Place, facts: Facts) -> At:
        known = facts if place.facts is None else place.facts.around(facts)
        return cls(place.number, place.offset, place.name, place.data, known)


@dataclass(slots=True)
class _Held:
    place: Place
    pieces: list[bytes] = field(default_factory=list)
    num_bytes: int = 0


class LineValues:
    """Of one file, its lines in order."""

    def __init__(self, max_line_bytes: int, max_depth: int) -> None:
        self._max_line_bytes = max_line_bytes
        self._max_depth = max_depth
        self._held: dict[str, _Held] = {}

    @property
    def oldest(self) -> Place | None:
        """Where a line began whose rest was not met yet."""
        if not self._held:
            return None
        return min((each.place for each in self._held.values()), key=lambda place: place.offset)

    def of(self, line: Line) -> LineValue:
        if line.too_long:
            reason = f"a line of {line.length} bytes; the limit is {self._max_line_bytes}"
            return LineValue("broken", line, error=f"{reason} ([ingest] max_line_bytes)")
        try:
            value = parse(line.data, self._max_depth)
        except UnreadableError as error:
            return self._within(line, str(error))
        if type(value) is dict and "log" in value and "stream" in value:
            return self._of_docker(value, line)
        return LineValue("bare", line, value)

    def left(self) -> list[LineValue]:
        """Lines whose rest is not in the file."""
        why = "the rest of a line that was cut into parts is not in the file"
        left = [LineValue("broken", held.place, error=why) for held in self._held.values()]
        self._held.clear()
        return left

    def _within(self, line: Line, error: str) -> LineValue:
        inner = json_in(line.data)
        if inner is None:
            is_json = line.data.lstrip().startswith((b"{", b"["))
            return LineValue("broken" if is_json else "text", line, error=error)
        if not inner.data and not inner.is_part:
            return LineValue("frame", line)
        facts = inner.facts
        place: Place = line if facts is None else At.within(line, facts)
        stream = (facts.stream if facts is not None else None) or ""
        if inner.is_part:
            return self._hold(stream, inner.data, place)
        data, place = self._whole(stream, inner.data, place)
        try:
            return LineValue("within", place, self._value(data))
        except UnreadableError as within:
            is_json = data.lstrip().startswith((b"{", b"["))
            return LineValue("broken" if is_json else "text", place, error=str(within))

    def _value(self, data: bytes) -> Json:
        """Python prints a dictionary with quotes of its own."""
        if not data.startswith(b"{'") or len(data) > _MAX_REPR_BYTES:
            return parse(data, self._max_depth)
        try:
            return plain(ast.literal_eval(data.decode()))
        except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
            raise UnreadableError(f"no dictionary as Python prints it: {error}"[:200]) from None

    def _of_docker(self, value: dict[str, Json], line: Line) -> LineValue:
        """Docker cuts a line at 16 KiB: only its last part ends with a line end."""
        text, stream = text_in(value), value["stream"]
        if text is None or not isinstance(stream, str) or value["log"] == "":
            return LineValue("bare", line, value)
        if stream not in self._held and (
            str(value["log"]).endswith("\n") or not text.lstrip().startswith("{")
        ):
            return LineValue("bare", line, value)
        data, place = self._whole(stream, text.encode("utf-8", "replace"), line)
        inner = nested(data.decode("utf-8", "replace"))
        if isinstance(inner, str) and not str(value["log"]).endswith("\n"):
            return self._hold(stream, data, place)
        return LineValue("bare", place, {**value, "log": inner})

    def _hold(self, stream: str, piece: bytes, place: Place) -> LineValue:
        held = self._held.setdefault(stream, _Held(place))
        held.pieces.append(piece)
        held.num_bytes += len(piece)
        if held.num_bytes <= self._max_line_bytes:
            return LineValue("part", place)
        del self._held[stream]
        why = f"parts of a line of more than {self._max_line_bytes} bytes"
        return LineValue("broken", held.place, error=f"{why} ([ingest] max_line_bytes)")

    def _whole(self, stream: str, piece: bytes, place: Place) -> tuple[bytes, Place]:
        held = self._held.pop(stream, None)
        return (piece, place) if held is None else (b"".join((*held.pieces, piece)), held.place)
