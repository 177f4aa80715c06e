"""Which format and syntax a file has: by its content first, by its name second.

Syntax: `lines` (one JSON value a line), `json` (one pretty-printed document), `yaml`, `parquet`,
`csv`, `text` (log lines of a server).
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tasks.errors import UsageError, did_you_mean
from tasks.logs import formats
from tasks.logs.files.lines import MAX_KEPT_BYTES, Line, iterate_lines
from tasks.logs.files.log_file import LogFile
from tasks.logs.files.opening import LogStream, bare_name, open_stream
from tasks.logs.formats import AnyFormat, Format, canonical, table
from tasks.logs.formats.table import Table
from tasks.logs.reading import refusal
from tasks.logs.reading.yaml_text import parse_yaml
from tasks.logs.shapes.json_text import parse
from tasks.logs.shapes.records import Json, UnreadableError
from tasks.settings import IngestSettings

Syntax = Literal["lines", "json", "yaml", "parquet", "csv", "text"]

_MAX_SAMPLE_LINES = 50
_MAX_SAMPLE_BYTES = 4 * 2**20
_PARQUET = b"PAR1"
_CSV = (".csv", ".tsv")
_DELIMITERS = (",", ";", "\t", "|")


@dataclass(frozen=True, slots=True)
class Recognised:
    """What a file is. `document` is the parsed value where the whole file is one.

    `format` None: none takes it, and `reason` says why (an empty file: empty reason).
    """

    syntax: Syntax
    format: AnyFormat | None
    reason: str = ""
    document: Json = None
    head: bytes = b""
    delimiter: str = ","


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
    path = file.path
    with open_log(file, limits, heard) as stream:
        lines = _sample(stream, limits.max_line_bytes)
    with open_log(file, limits) as stream:
        head = stream.read(MAX_KEPT_BYTES)
    if not lines:
        return Recognised("lines", None)
    refused = None if forced is not None else refusal.by_name(path.name, head)
    if refused is not None:
        return _unrecognised("lines", refused, head)
    first = lines[0].data
    if first.startswith(_PARQUET):
        return _parquet(path, limits, forced, head)
    if bare_name(path.name).endswith(_CSV) or isinstance(forced, Table):
        return _csv(first, limits, head)
    values = _values(lines, limits.max_json_depth)
    one_a_line = _is_one_a_line(lines, values)
    if one_a_line and forced is None and (format := formats.recognise(list(values.values()))):
        return Recognised("lines", format, head=head)
    if forced is None:
        text = formats.recognise_text([line.data.decode("utf-8", "replace") for line in lines])
    else:
        text = None if isinstance(forced, Format) else forced
    if text is not None:
        return Recognised("text", text, head=head)
    if one_a_line and forced is not None:
        return Recognised("lines", forced, head=head)
    if not one_a_line and first.lstrip()[:1] in (b"{", b"["):
        return _document("json", file, limits, forced, head)
    named_yaml = bare_name(path.name).endswith((".yaml", ".yml"))
    if named_yaml or any(line.data.startswith(b"interactions:") for line in lines[:5]):
        return _document("yaml", file, limits, forced, head)
    if forced is not None:
        return Recognised("lines", forced, head=head)
    reasons = (refusal.by_content(path.name, value) for value in values.values())
    return _unrecognised("lines", next(filter(None, reasons), None), head)


def _unrecognised(syntax: Syntax, reason: str | None, head: bytes) -> Recognised:
    why = f": {reason}" if reason else f" as one of {', '.join(formats.NAMES)}"
    return Recognised(syntax, None, f"no format recognises this file{why}", head=head)


def _parquet(
    path: Path, limits: IngestSettings, forced: AnyFormat | None, head: bytes
) -> Recognised:  # fmt: skip
    """A table whose columns are named, else our own record."""
    if forced is None and limits.columns and _has_columns(_parquet_columns(path), limits):
        return Recognised("parquet", Table(limits.columns), head=head)
    if forced is None or forced.NAME in (canonical.NAME, table.NAME):
        format = forced or formats.by_name(canonical.NAME, limits.columns)
        return Recognised("parquet", format, head=head)
    return _unrecognised("parquet", "Parquet of another format", head)


def _parquet_columns(path: Path) -> Sequence[str]:
    import pyarrow.parquet as pq

    try:
        return list(pq.read_schema(path).names)
    except (OSError, ValueError):
        return []  # reading it will say why


def _has_columns(header: Sequence[str], limits: IngestSettings) -> bool:
    return set(limits.columns.values()) <= set(header)


def _csv(first: bytes, limits: IngestSettings, head: bytes) -> Recognised:
    """With the delimiter that finds every named column in the first line."""
    line = first.decode("utf-8", "replace")
    headers = {sign: next(csv.reader([line], delimiter=sign), []) for sign in _DELIMITERS}
    for delimiter, header in headers.items():
        if limits.columns and _has_columns(header, limits):
            return Recognised("csv", Table(limits.columns), head=head, delimiter=delimiter)
    widest = max(headers.values(), key=len)
    shown = ", ".join(name[:40] for name in widest[:12])
    wanted = f"columns {', '.join(limits.columns.values())}" if limits.columns else "columns"
    reason = f"a table needs its {wanted} named in [ingest.columns]; it has: {shown}"
    return _unrecognised("csv", reason, head)


def _sample(stream: LogStream, max_line_bytes: int) -> list[Line]:
    lines: list[Line] = []
    size = 0
    for line in iterate_lines(stream, max_line_bytes, blank_as_one=True):
        if line.data.strip() or line.too_long:
            lines.append(line)
            size += len(line.data)
        if len(lines) >= _MAX_SAMPLE_LINES or size >= _MAX_SAMPLE_BYTES:
            break
    return lines


def _values(lines: list[Line], max_depth: int) -> dict[int, Json]:
    """Position among the lines → value, of the lines that are JSON by themselves."""
    values: dict[int, Json] = {}
    for position, line in enumerate(lines):
        if not line.too_long:
            try:
                values[position] = parse(line.data, max_depth)
            except UnreadableError:
                continue
    return values


def _is_one_a_line(lines: list[Line], values: dict[int, Json]) -> bool:
    """A broken first line does not make a document of what are lines, but a lone bracket does."""
    if 0 in values:
        return True
    if lines[0].data.strip() in (b"[", b"{"):
        return False
    objects = [p for p, value in values.items() if isinstance(value, dict | list) and value]
    if any(lines[position].data[:1] in (b"{", b"[") for position in objects):
        return True
    return len(lines) == 1


def _document(
    syntax: Syntax,
    file: LogFile,
    limits: IngestSettings,
    forced: AnyFormat | None,
    head: bytes,
) -> Recognised:
    # YAML takes a hundred times its size in memory, so it is held to the size of a line
    most = limits.max_document_bytes if syntax == "json" else limits.max_line_bytes
    try:
        with open_log(file, limits) as stream:
            data = _read_all(stream, most)
        read = parse if syntax == "json" else parse_yaml
        value = read(data, limits.max_json_depth)
    except UnreadableError as error:
        if forced:
            return Recognised(syntax, None, str(error), head=head)
        return _unrecognised(syntax, str(error), head)
    format = forced or formats.recognise(value)
    if format is None:
        return _unrecognised(syntax, refusal.by_content(file.path.name, value), head)
    return Recognised(syntax, format, document=value, head=head)


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
