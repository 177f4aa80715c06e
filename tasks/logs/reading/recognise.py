"""Which format and syntax a file has: by its content first, by its name second.

Syntax: `lines` (one JSON value a line, as it is or within what a logger writes), `json` (documents,
pretty-printed or one behind the other), `yaml`, `parquet`, `csv`, `text` (log lines of a server).
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Literal

from tasks.errors import UsageError, did_you_mean
from tasks.logs import formats
from tasks.logs.files.lines import MAX_KEPT_BYTES, Line, iterate_lines
from tasks.logs.files.log_file import LogFile
from tasks.logs.files.opening import LogStream, bare_name, open_stream
from tasks.logs.formats import AnyFormat, Format, TextFormat, canonical, table
from tasks.logs.formats.table import Table
from tasks.logs.reading import refusal
from tasks.logs.reading.envelopes import facts_of, open_envelope, text_in
from tasks.logs.reading.line_text import json_in
from tasks.logs.reading.line_values import LineValues
from tasks.logs.reading.parquet_rows import parquet_rows
from tasks.logs.reading.yaml_text import parse_yaml
from tasks.logs.shapes.json_text import parse, parse_many, plain
from tasks.logs.shapes.records import Facts, Json, UnreadableError
from tasks.settings import IngestSettings

Syntax = Literal["lines", "json", "yaml", "parquet", "csv", "text"]

_MAX_SAMPLE_LINES = 50
_MAX_SAMPLE_BYTES = 4 * 2**20
#: where nothing among those is known
_MAX_LOOKED_AT = 20_000
_MAX_BYTES_LOOKED_AT = 64 * 2**20
#: so many lines that are no calls make a file a mixed one; fewer may be damage
_FOREIGN_LINES = 3
_MAX_NAMES = 12
_PARQUET = b"PAR1"
_CSV = (".csv", ".tsv")
_DELIMITERS = (",", ";", "\t", "|")


@dataclass(frozen=True, slots=True)
class Recognised:
    """What a file is. `documents`: the parsed values, where it is of documents.

    `format` None: none takes it, and `reason` says why (an empty file: empty reason); of documents
    it says why there are no more of them. `is_mixed`: there are lines between the calls that are
    none. `is_wrapped`: records stand in envelopes.
    """

    syntax: Syntax
    format: AnyFormat | None
    reason: str = ""
    documents: tuple[Json | UnreadableError, ...] = ()
    head: bytes = b""
    delimiter: str = ","
    is_mixed: bool = False
    is_wrapped: bool = False
    is_forced: bool = False


def forced_format(name: str, columns: Mapping[str, str]) -> AnyFormat | None:
    """The format that --format names; None: by content. Raises UsageError."""
    if name in ("", "auto"):
        return None
    if name == table.NAME and not columns:
        raise UsageError(
            "a table's columns are not named",
            received=f"--format {name}",
            next='[ingest.columns] of flywheel.toml, for example started_at = "TIMESTAMP"',
        )
    forced = formats.by_name(name, columns)
    if forced is None:
        raise UsageError(
            f"unknown log format {name!r}" + did_you_mean(name, formats.NAMES),
            received=name,
            allowed=", ".join(("auto", *formats.NAMES)),
            next="leave --format out to have it recognised by content",
        )
    return forced


def open_log(
    file: LogFile, limits: IngestSettings, heard: Callable[[], object] | None = None
) -> AbstractContextManager[LogStream]:
    """`heard`: called at every read, so that whoever waits sees that it goes on."""
    return open_stream(file, limits.max_decompressed_bytes, limits.max_compression_ratio, heard)


def recognise_file(
    file: LogFile,
    limits: IngestSettings,
    forced: AnyFormat | None,
    heard: Callable[[], object] | None = None,
) -> Recognised:
    """With a forced format only the syntax is looked for. `heard`: as for `open_log`."""
    found = _recognise(file, limits, forced, heard)
    return found if forced is None else replace(found, is_forced=True)


def _recognise(
    file: LogFile,
    limits: IngestSettings,
    forced: AnyFormat | None,
    heard: Callable[[], object] | None,
) -> Recognised:
    path = file.path
    with open_log(file, limits, heard) as stream:
        lines = list(_sample(stream, limits.max_line_bytes, _MAX_SAMPLE_LINES, _MAX_SAMPLE_BYTES))
    with open_log(file, limits) as stream:
        head = stream.read(MAX_KEPT_BYTES)
    if not lines:
        return Recognised("lines", None)
    refused = None if forced is not None else refusal.by_name(path.name, head)
    if refused is not None:
        return _unrecognised("lines", refused, head)
    first = lines[0].data
    if first.startswith(_PARQUET):
        return _parquet(file, limits, forced, head)
    if bare_name(path.name).endswith(_CSV) or isinstance(forced, Table):
        return _csv(lines, limits, forced, head)
    named_yaml = bare_name(path.name).endswith((".yaml", ".yml"))
    if named_yaml or any(line.data.startswith(b"interactions:") for line in lines[:5]):
        return _document("yaml", file, limits, forced, head)
    seen = _Seen(limits, forced)
    for line in lines:
        seen.look(line)
    is_document = first.lstrip()[:1] in (b"{", b"[") and not seen.is_one_a_line
    if not is_document and seen.format is not None:
        return seen.lines(head)
    text = _text_format(lines, forced, limits.max_json_depth)
    if text is not None:
        return Recognised("text", text, head=head)
    if is_document:
        document = _document("json", file, limits, forced, head)
        if document.format is not None or (seen.format is None and lines[0].data.strip() != b"["):
            return document
    if forced is not None:
        return Recognised("lines", forced, head=head, is_wrapped=seen.is_wrapped)
    if len(lines) >= _MAX_SAMPLE_LINES:
        with open_log(file, limits, heard) as stream:
            more = _sample(stream, limits.max_line_bytes, _MAX_LOOKED_AT, _MAX_BYTES_LOOKED_AT)
            seen.look_until_known(more)
    if seen.format is not None:
        return seen.lines(head)
    reasons = (refusal.by_content(path.name, value) for value in seen.values[:_MAX_SAMPLE_LINES])
    return _unrecognised("lines", next(filter(None, reasons), None), head)


class _Seen:
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
        is_mixed = self._num_foreign >= _FOREIGN_LINES and self._forced is None
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
            self._num_foreign += bool(value)
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


def _text_format(
    lines: Sequence[Line], forced: AnyFormat | None, max_depth: int
) -> TextFormat | None:
    if forced is not None:
        return None if isinstance(forced, Format) else forced
    bare = formats.recognise_text([line.data.decode("utf-8", "replace") for line in lines])
    if bare is not None:
        return bare
    return formats.recognise_text([text_of(line.data, max_depth)[0] for line in lines])


def _unrecognised(syntax: Syntax, reason: str | None, head: bytes) -> Recognised:
    why = f": {reason}" if reason else f" as one of {', '.join(formats.NAMES)}"
    return Recognised(syntax, None, f"no format recognises this file{why}", head=head)


def _parquet(
    file: LogFile, limits: IngestSettings, forced: AnyFormat | None, head: bytes
) -> Recognised:  # fmt: skip
    """A table whose columns are named, else rows of any format."""
    if forced is not None:
        return Recognised("parquet", forced, head=head)
    columns = _parquet_columns(file.path)
    if limits.columns and _has_columns(columns, limits):
        return Recognised("parquet", Table(limits.columns), head=head)
    known = formats.recognise(_first_rows(file, limits))
    if known is not None:
        return Recognised("parquet", known, head=head)
    if not columns:  # reading it will say why
        return Recognised("parquet", canonical, head=head)
    shown = ", ".join(name[:40] for name in columns[:_MAX_NAMES])
    reason = f"a Parquet file with the columns {shown}: none of a call"
    return _unrecognised("parquet", reason, head)


def _first_rows(file: LogFile, limits: IngestSettings) -> list[Json]:
    """What is wrong with a row, reading it will say."""
    rows = parquet_rows(
        file.path, file.size_bytes, limits.max_line_bytes, limits.max_compression_ratio
    )
    found: list[Json] = []
    try:
        for row in islice(rows, _MAX_SAMPLE_LINES):
            with suppress(UnreadableError):
                found.append(None if isinstance(row, UnreadableError) else plain(row))
    except Exception:  # Arrow and the values in the file have many ways to fail
        return found
    return found


def _parquet_columns(path: Path) -> Sequence[str]:
    import pyarrow.parquet as pq

    try:
        return list(pq.read_schema(path).names)
    except (OSError, ValueError):
        return []


def _has_columns(header: Sequence[str], limits: IngestSettings) -> bool:
    return set(limits.columns.values()) <= set(header)


def _csv(
    lines: Sequence[Line], limits: IngestSettings, forced: AnyFormat | None, head: bytes
) -> Recognised:
    """With the delimiter that finds every named column in the first line, else the one whose rows
    some format takes."""
    line = lines[0].data.decode("utf-8", "replace")
    headers = {sign: next(csv.reader([line], delimiter=sign), []) for sign in _DELIMITERS}
    for delimiter, header in headers.items():
        if limits.columns and _has_columns(header, limits):
            return Recognised("csv", Table(limits.columns), head=head, delimiter=delimiter)
    delimiter, widest = max(headers.items(), key=lambda found: len(found[1]))
    known = forced or formats.recognise(_rows_of(lines, delimiter))
    if isinstance(known, Format) and not isinstance(known, Table):
        return Recognised("csv", known, head=head, delimiter=delimiter)
    shown = ", ".join(name[:40] for name in widest[:_MAX_NAMES])
    wanted = f"columns {', '.join(limits.columns.values())}" if limits.columns else "columns"
    reason = f"a table needs its {wanted} named in [ingest.columns]; it has: {shown}"
    return _unrecognised("csv", reason, head)


def _rows_of(lines: Sequence[Line], delimiter: str) -> list[Json]:
    texts = [f"{line.data.decode('utf-8', 'replace')}\n" for line in lines]
    try:
        return list(csv.DictReader(texts, delimiter=delimiter, strict=True))
    except csv.Error:
        return []


def _sample(
    stream: LogStream, max_line_bytes: int, max_lines: int, max_bytes: int
) -> Iterator[Line]:
    num_lines = size = 0
    for line in iterate_lines(stream, max_line_bytes, blank_as_one=True):
        if line.data.strip() or line.too_long:
            yield line
            num_lines += 1
            size += len(line.data)
        if num_lines >= max_lines or size >= max_bytes:
            return


def _document(
    syntax: Syntax,
    file: LogFile,
    limits: IngestSettings,
    forced: AnyFormat | None,
    head: bytes,
) -> Recognised:
    # YAML takes a hundred times its size in memory, so it is held to the size of a line
    most = limits.max_document_bytes if syntax == "json" else limits.max_line_bytes
    values: list[Json | UnreadableError]
    problem = ""
    try:
        with open_log(file, limits) as stream:
            data = _read_all(stream, most)
        if syntax == "json":
            values, problem = parse_many(data, limits.max_json_depth)
        else:
            values = [parse_yaml(data, limits.max_json_depth)]
    except UnreadableError as error:
        if forced:
            return Recognised(syntax, None, str(error), head=head)
        return _unrecognised(syntax, str(error), head)
    readable = [value for value in values if not isinstance(value, UnreadableError)]
    format = forced or formats.recognise(readable) or _in_envelopes(readable)
    if format is None:
        reasons = (refusal.by_content(file.path.name, value) for value in readable[:1])
        return _unrecognised(syntax, next(filter(None, reasons), problem or None), head)
    is_mixed = (
        forced is None
        and len(values) >= _FOREIGN_LINES
        and any(_foreign(value) for value in readable[:_MAX_SAMPLE_LINES])
    )
    return Recognised(syntax, format, problem, tuple(values), head, is_mixed=is_mixed)


def _foreign(value: Json) -> bool:
    return formats.recognise(value) is None and not open_envelope(value, formats.recognise)


def _in_envelopes(values: Sequence[Json]) -> AnyFormat | None:
    flat = [item for value in values[:_MAX_SAMPLE_LINES]
            for item in (value[:20] if isinstance(value, list) else [value])]  # fmt: skip
    opened = (one.format for item in flat for one in open_envelope(item, formats.recognise))
    return next((format for format in opened if format is not None), None)


def _read_all(stream: LogStream, most: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while chunk := stream.read(1 << 20):
        parts.append(chunk)
        size += len(chunk)
        if size > most:
            raise UnreadableError(f"a document of more than {most} bytes")
    if stream.problem:
        raise UnreadableError(stream.problem)
    return b"".join(parts)
