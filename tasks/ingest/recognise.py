"""Which format and syntax a file has: by its content first, by its name second.

Syntax: `lines` (one JSON value a line), `json` (one pretty-printed document), `yaml`, `parquet`,
`csv`, `text` (log lines of a server).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tasks.ingest import formats, refusal
from tasks.ingest.delimited import header_of
from tasks.ingest.formats import AnyFormat, Format, TextFormat, canonical
from tasks.ingest.formats.table import Table
from tasks.ingest.json_text import parse
from tasks.ingest.lines import MAX_KEPT_BYTES, Line, iterate_lines
from tasks.ingest.opening import LogStream
from tasks.ingest.records import Json, UnreadableError
from tasks.ingest.yaml_text import parse_yaml
from tasks.settings import IngestSettings

Syntax = Literal["lines", "json", "yaml", "parquet", "csv", "text"]
Opener = Callable[[], AbstractContextManager[LogStream]]

_MAX_SAMPLE_LINES = 50
_MAX_SAMPLE_BYTES = 4 * 2**20
_PARQUET = b"PAR1"
_UNRECOGNISED = "no format recognises this file"
_AS = f" as one of {', '.join(formats.NAMES)}"


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


def recognise_file(
    open_again: Opener, path: Path, limits: IngestSettings, forced: AnyFormat | None
) -> Recognised:
    """With a forced format only the syntax is looked for."""
    with open_again() as stream:
        lines = _sample(stream, limits.max_line_bytes)
    with open_again() as stream:
        head = stream.read(MAX_KEPT_BYTES)
    if not lines:
        return Recognised("lines", None)
    name, mapped = path.name, Table(limits.columns)
    refused = None if forced is not None else refusal.by_name(name, head)
    if refused is not None:
        return Recognised("lines", None, f"{_UNRECOGNISED}: {refused}", head=head)
    first = lines[0].data
    if first.startswith(_PARQUET):
        return _parquet(path, mapped, forced, head)
    values = _values(lines, limits.max_json_depth)
    one_a_line = _is_one_a_line(lines, values)
    found = formats.recognise(list(values.values())) if one_a_line else None
    if found is not None and forced is None:
        return Recognised("lines", found, head=head)
    text = _text_format(lines, forced)
    if text is not None:
        return Recognised("text", text, head=head)
    if _is_csv(lines, values, name, mapped, forced):
        return _csv(lines, mapped, head)
    if one_a_line and forced is not None:
        return Recognised("lines", forced, head=head)
    if not one_a_line and first.lstrip()[:1] in (b"{", b"["):
        return _document("json", open_again, name, limits, forced, head)
    if _looks_like_yaml(lines, name):
        return _document("yaml", open_again, name, limits, forced, head)
    if forced is not None:
        return Recognised("lines", forced, head=head)
    told = next((why for value in values.values() if (why := refusal.by_content(name, value))), "")
    return Recognised("lines", None, f"{_UNRECOGNISED}{f': {told}' if told else _AS}", head=head)


def _parquet(path: Path, mapped: Table, forced: AnyFormat | None, head: bytes) -> Recognised:
    """The mapped table where the columns are there, else our own record."""
    import pyarrow.parquet as pq

    names: list[str] = []
    with contextlib.suppress(OSError, ValueError):
        names = list(pq.read_schema(path).names)
    if forced is None:
        found: AnyFormat | None = mapped if mapped.has_columns(names) else canonical_format()
        return Recognised("parquet", found, head=head)
    if forced.NAME in (canonical.NAME, mapped.NAME):
        return Recognised("parquet", forced, head=head)
    return Recognised("parquet", None, _UNRECOGNISED + ": Parquet of another format", head=head)


def canonical_format() -> AnyFormat | None:
    return formats.by_name(canonical.NAME)


def _text_format(lines: list[Line], forced: AnyFormat | None) -> TextFormat | None:
    if forced is not None:
        return None if isinstance(forced, Format) else forced
    return formats.recognise_text([line.data.decode("utf-8", "replace") for line in lines])


def _is_csv(
    lines: list[Line],
    values: dict[int, Json],
    name: str,
    mapped: Table,
    forced: AnyFormat | None,
) -> bool:
    if forced is not None:
        return forced.NAME == mapped.NAME
    if 0 in values:
        return False
    named = name.lower().removesuffix(".gz").endswith((".csv", ".tsv"))
    return named or mapped.has_columns(header_of(lines[0].data))


def _csv(lines: list[Line], mapped: Table, head: bytes) -> Recognised:
    names = header_of(lines[0].data)
    if mapped.has_columns(names):
        return Recognised("csv", mapped, head=head)
    has = f"it has the columns {', '.join(names)}"[:300]
    reason = f"{_UNRECOGNISED}: a table; map its columns in [ingest.columns]; {has}"
    return Recognised("csv", None, reason, head=head)


def _sample(stream: LogStream, max_line_bytes: int) -> list[Line]:
    lines: list[Line] = []
    size = 0
    for line in iterate_lines(stream, max_line_bytes):
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


def _looks_like_yaml(lines: list[Line], name: str) -> bool:
    if name.lower().removesuffix(".gz").endswith((".yaml", ".yml")):
        return True
    return any(line.data.startswith(b"interactions:") for line in lines[:5])


def _document(
    syntax: Syntax,
    open_again: Opener,
    name: str,
    limits: IngestSettings,
    forced: AnyFormat | None,
    head: bytes,
) -> Recognised:
    # YAML takes a hundred times its size in memory, so it is held to the size of a line
    most = limits.max_document_bytes if syntax == "json" else limits.max_line_bytes
    try:
        with open_again() as stream:
            data = _read_all(stream, most)
        read = parse if syntax == "json" else parse_yaml
        value = read(data, limits.max_json_depth)
    except UnreadableError as error:
        reason = str(error) if forced else f"{_UNRECOGNISED}: {error}"
        return Recognised(syntax, None, reason, head=head)
    found = forced or formats.recognise(value)
    if found is None:
        told = refusal.by_content(name, value)
        reason = f"{_UNRECOGNISED}{f': {told}' if told else _AS}"
        return Recognised(syntax, None, reason, head=head)
    return Recognised(syntax, found, document=value, head=head)


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
