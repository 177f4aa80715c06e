"""Which format and syntax a file has: by its content first, by its name second.

Syntax: `lines` (one JSON value a line, as it is or within what a logger writes), `json` (documents,
pretty-printed or one behind the other), `yaml`, `parquet`, `csv`, `text` (log lines of a server).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

from tasks.errors import UsageError, did_you_mean
from tasks.logs import formats
from tasks.logs.files.lines import MAX_KEPT_BYTES, Line, iterate_lines
from tasks.logs.files.log_file import LogFile
from tasks.logs.files.opening import LogStream, bare_name, open_stream
from tasks.logs.formats import AnyFormat
from tasks.logs.formats.table import Mapped
from tasks.logs.reading import refusal
from tasks.logs.reading.envelopes import open_envelope
from tasks.logs.reading.lines_seen import LinesSeen, text_format
from tasks.logs.reading.recognised import (
    MAX_SAMPLE,
    NUM_FOREIGN,
    Recognised,
    Syntax,
    unrecognised,
)
from tasks.logs.reading.tables_seen import csv_file, parquet_file
from tasks.logs.reading.yaml_text import parse_yaml
from tasks.logs.shapes.json_text import parse_many
from tasks.logs.shapes.records import Json, UnreadableError
from tasks.model.table_mapping import TABLE, TableMapping
from tasks.settings import IngestSettings

_MAX_SAMPLE_BYTES = 4 * 2**20
#: where nothing among those is known
_MAX_LOOKED_AT = 20_000
_MAX_BYTES_LOOKED_AT = 64 * 2**20
_PARQUET = b"PAR1"
_CSV = (".csv", ".tsv")


def forced_format(name: str, tables: Sequence[TableMapping]) -> AnyFormat | None:
    """The format that --format names; None: by content. Raises UsageError."""
    if name in ("", "auto"):
        return None
    forced = formats.by_name(name, tables)
    if name == TABLE and forced is None:
        raise UsageError(
            "a table's columns are not named",
            received=f"--format {name}",
            next='[ingest.columns] of flywheel.toml, for example started_at = "TIMESTAMP"',
        )
    if forced is None:
        names = ("auto", *formats.NAMES, *(mapping.name for mapping in tables))
        raise UsageError(
            f"unknown log format {name!r}" + did_you_mean(name, names),
            received=name,
            allowed=", ".join(dict.fromkeys(names)),
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
        lines = list(_sample(stream, limits.max_line_bytes, MAX_SAMPLE, _MAX_SAMPLE_BYTES))
    with open_log(file, limits) as stream:
        head = stream.read(MAX_KEPT_BYTES)
    if not lines:
        return Recognised("lines", None)
    refused = None if forced is not None else refusal.by_name(path.name, head)
    if refused is not None:
        return unrecognised("lines", refused, head)
    first = lines[0].data
    if first.startswith(_PARQUET):
        return parquet_file(file, limits, forced, head)
    is_json = first.lstrip()[:1] in (b"{", b"[")
    if bare_name(path.name).endswith(_CSV) or (isinstance(forced, Mapped) and not is_json):
        return csv_file(lines, limits, forced, head)
    named_yaml = bare_name(path.name).endswith((".yaml", ".yml"))
    if named_yaml or any(line.data.startswith(b"interactions:") for line in lines[:5]):
        return _document("yaml", file, limits, forced, head)
    seen = LinesSeen(limits, forced)
    for line in lines:
        seen.look(line)
    is_document = is_json and not seen.is_one_a_line
    if not is_document and seen.format is not None:
        return seen.lines(head)
    text = text_format(lines, forced, limits.max_json_depth)
    if text is not None:
        return Recognised("text", text, head=head)
    if is_document:
        document = _document("json", file, limits, forced, head)
        if document.format is not None or (seen.format is None and lines[0].data.strip() != b"["):
            return document
    if forced is not None:
        return Recognised("lines", forced, head=head, is_wrapped=seen.is_wrapped)
    if len(lines) >= MAX_SAMPLE:
        with open_log(file, limits, heard) as stream:
            more = _sample(stream, limits.max_line_bytes, _MAX_LOOKED_AT, _MAX_BYTES_LOOKED_AT)
            seen.look_until_known(more)
    if seen.format is not None:
        return seen.lines(head)
    if is_document:
        return document
    if lines[0].too_long:
        what = refusal.of_long_line(lines[0].length, limits.max_line_bytes)
        return unrecognised("lines", what, head)
    what = refusal.of_lines(head, [line.data for line in lines], seen.values[:MAX_SAMPLE])
    return unrecognised("lines", what, head)


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
        return unrecognised(syntax, refusal.of_broken(_lines_of(head), str(error)), head)
    readable = [value for value in values if not isinstance(value, UnreadableError)]
    format = forced or formats.recognise(readable)
    if format is None:
        # a description of records is not looked into
        if readable and not refusal.describes(readable[0]):
            format = _in_envelopes(readable)
        if format is None:
            is_broken = problem or not readable
            lines = _lines_of(head)
            reason = (
                refusal.of_broken(lines, problem) if is_broken else refusal.of_document(readable)
            )
            return unrecognised(syntax, reason, head)
    is_mixed = (
        forced is None
        and len(values) >= NUM_FOREIGN
        and any(_foreign(value) for value in readable[:MAX_SAMPLE])
    )
    return Recognised(syntax, format, problem, tuple(values), head, is_mixed=is_mixed)


def _lines_of(head: bytes) -> list[bytes]:
    return [line for line in head.splitlines() if line.strip()][:MAX_SAMPLE]


def _foreign(value: Json) -> bool:
    return formats.recognise(value) is None and not open_envelope(value, formats.recognise)


def _in_envelopes(values: Sequence[Json]) -> AnyFormat | None:
    flat = [item for value in values[:MAX_SAMPLE]
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
