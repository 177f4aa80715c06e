"""What the first lines of a file are: JSON of some format, bare or carried, or a server's text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tasks.logs import formats
from tasks.logs.files.lines import Line
from tasks.logs.formats import AnyFormat, Format, TextFormat
from tasks.logs.formats.stream_pieces import piece_of
from tasks.logs.reading.envelopes import facts_of, open_envelope, text_in
from tasks.logs.reading.line_text import json_in
from tasks.logs.reading.line_values import LineValues
from tasks.logs.reading.recognised import NUM_FOREIGN, Recognised
from tasks.logs.shapes.json_text import parse
from tasks.logs.shapes.records import Facts, Json, UnreadableError
from tasks.settings import IngestSettings


class LinesSeen:
    """What the first lines of a file are."""

    def __init__(self, limits: IngestSettings, forced: AnyFormat | None) -> None:
        self._values = LineValues(limits.max_line_bytes, limits.max_json_depth)
        self._forced = forced
        self._num_lines = 0
        self._num_foreign = 0
        self._is_first_json = False
        self._has_objects = False
        self._is_lone_bracket = False
        self.values: list[Json] = []
        self.format: AnyFormat | None = None
        self.is_wrapped = False

    @property
    def is_one_a_line(self) -> bool:
        """A broken first line makes no document of what are lines, but a lone bracket does."""
        if self._is_first_json:
            return True
        return self._has_objects and not self._is_lone_bracket

    def lines(self, head: bytes) -> Recognised:
        is_mixed = self._num_foreign >= NUM_FOREIGN and self._forced is None
        return Recognised("lines", self.format, head=head, is_mixed=is_mixed,
                          is_wrapped=self.is_wrapped)  # fmt: skip

    def look_until_known(self, lines: Iterable[Line]) -> None:
        for line in lines:
            self.look(line)
            if self.format is not None:
                return

    def look(self, line: Line) -> None:
        self._num_lines += 1
        found = self._values.of(line)
        is_first = self._num_lines == 1
        if found.kind in ("broken", "text", "frame", "part"):
            self._is_lone_bracket |= is_first and line.data.strip() in (b"[", b"{")
            self._is_first_json |= is_first and found.kind == "part"
            self._num_foreign += found.kind == "text" and _is_text(line.data)
            return
        value, is_bare = found.value, found.kind == "bare"
        if is_bare:
            self._is_first_json |= is_first
            is_record = isinstance(value, dict | list) and bool(value)
            self._has_objects |= is_record and line.data[:1] in (b"{", b"[")
        self.values.append(value)
        known, is_wrapped = self._format_of(value)
        if known is None:
            self._num_foreign += bool(value) and piece_of(value) is None
            return
        self.is_wrapped |= is_wrapped or not is_bare
        self._has_objects |= not is_bare
        if self.format is None or _rank(known) < _rank(self.format):
            self.format = known

    def _format_of(self, value: Json) -> tuple[AnyFormat | None, bool]:
        if self._forced is not None:
            return (self._forced if isinstance(self._forced, Format) else None), False
        known = formats.recognise(value)
        if known is not None:
            return known, False
        opened = open_envelope(value, formats.recognise)
        return next((one.format for one in opened if one.format is not None), None), True


def _rank(format: AnyFormat) -> int:
    """Of what several formats take, the stricter one's file."""
    return formats.NAMES.index(format.NAME)


def _is_text(data: bytes) -> bool:
    """Whether a line is one of text, rather than a record that was damaged."""
    if data.lstrip()[:1] in (b"{", b"["):
        return False
    try:
        return data.decode().isprintable()
    except UnicodeDecodeError:
        return False


def text_of(line: bytes, max_depth: int) -> tuple[str, Facts | None]:
    """A line of a text log, out of what a container's log wraps around it."""
    text = line.decode("utf-8", "replace")
    if text.startswith("{"):
        try:
            value = parse(line, max_depth)
        except UnreadableError:
            return text, None
        inside = text_in(value)
        return (text, None) if inside is None else (inside, facts_of(value))
    inner = json_in(line)
    if inner is None or inner.facts is None or inner.facts.stream is None:
        return text, None
    return inner.data.decode("utf-8", "replace"), inner.facts


def text_format(
    lines: Sequence[Line], forced: AnyFormat | None, max_depth: int
) -> TextFormat | None:
    if forced is not None:
        return None if isinstance(forced, Format) else forced
    bare = formats.recognise_text([line.data.decode("utf-8", "replace") for line in lines])
    if bare is not None:
        return bare
    return formats.recognise_text([text_of(line.data, max_depth)[0] for line in lines])
