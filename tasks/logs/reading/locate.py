"""A recognised file to located records, and up to which byte it has been taken in.

Knows how to walk lines, documents and Parquet rows; what a record means is the format's.
"""

from __future__ import annotations

import csv
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tasks.logs.files.lines import MAX_KEPT_BYTES, Line, iterate_lines
from tasks.logs.files.log_file import LogFile
from tasks.logs.files.opening import LogStream
from tasks.logs.formats import Format, TextReader
from tasks.logs.formats.server_text import last_told
from tasks.logs.reading.line_values import At, LineValue, LineValues
from tasks.logs.reading.lines_seen import text_of
from tasks.logs.reading.parquet_rows import parquet_rows
from tasks.logs.reading.recognised import Recognised
from tasks.logs.reading.taking import Placed, Taking, Way
from tasks.logs.shapes.json_text import dump_bytes, plain
from tasks.logs.shapes.records import (
    Call,
    Dead,
    Json,
    Note,
    Other,
    Place,
    Record,
    UnreadableError,
)
from tasks.settings import IngestSettings

#: in memory, besides its bytes: so many line ends are no row
_LINE_COSTS = 100
_WAITS = "the last line is cut off; it is read again when the file grows"


@dataclass(slots=True)  # not frozen: one is made for every record
class Located:
    """A record and where it stands. `place` follows the path in `sources`: line or #record."""

    record: Record
    line_number: int | None
    byte_offset: int
    place: str
    raw: bytes


class _CutOff(Note):
    """The last line, without its end and unreadable: it waits for its rest."""


class Reading:
    """Reads one file once. `bytes_done`: where a later reading of an appended file goes on."""

    def __init__(self, way: Way | None, limits: IngestSettings) -> None:
        """`way` None: for text, which is read by a reader of its own."""
        self._way = way
        self._max_line_bytes = limits.max_line_bytes
        self._max_depth = limits.max_json_depth
        self._max_ratio = limits.max_compression_ratio
        self._done = 0
        self._holding: tuple[Taking | LineValues, ...] = ()

    @property
    def bytes_done(self) -> int:
        """What is open is read again with its rest."""
        still_open = [place.offset for holder in self._holding
                      if (place := holder.oldest) is not None]  # fmt: skip
        return min(self._done, *still_open) if still_open else self._done

    def records(
        self,
        seen: Recognised,
        stream: LogStream,
        file: LogFile,
        start: int = 0,
        only: Container[int] | None = None,
    ) -> Iterable[Located]:
        """Of a file as it was recognised; what none takes is one dead letter, an empty file none.

        `start` and `only`: as for `lines`, which alone can go on in the middle.
        """
        if seen.format is None:
            self._done = file.size_bytes
            return [Located(Note(seen.reason), None, 0, "#1", seen.head)] if seen.reason else []
        if seen.syntax == "lines":
            return self.lines(stream, start, only=only)
        if not isinstance(seen.format, Format):
            reader = seen.format.reader(_latest_in(file.path))
            records = self.text(stream, reader, file.size_bytes)
        elif seen.syntax == "parquet":
            records = self.parquet(file.path, file.size_bytes)
        elif seen.syntax == "csv":
            records = self.csv(stream, seen.delimiter)
        else:
            records = self.documents(seen.documents, file.size_bytes, seen.reason)
        return (located for located in records if only is None or located.line_number in only)

    def lines(
        self,
        stream: LogStream,
        start: int = 0,
        number: int | None = None,
        only: Container[int] | None = None,
    ) -> Iterator[Located]:
        """From byte `start`, which is the start of a line.

        `number`: of that line, where the stream begins with it and not with the file.
        `only`: numbers of the lines to look at.
        """
        if number is None:
            number = 1 + stream.skip(start)
        taking = self._taking()
        values = LineValues(self._max_line_bytes, self._max_depth)
        self._done, self._holding = start, (taking, values)
        waiting = cut_off = False
        for line in iterate_lines(
            stream, self._max_line_bytes, offset=start, number=number, blank_as_one=True
        ):
            number = line.number + line.ended
            waiting = stream.problem is not None and not line.ended
            if waiting:
                yield self._located(line, Note(stream.problem or ""))
                break
            if line.too_long or line.data.strip():
                found = values.of(line)
                has_value = found.kind == "bare" or found.kind == "within"
                for record, place in (
                    taking.take(found.value, found.place)
                    if has_value
                    else self._not_taken(line, found)
                ):
                    cut_off = isinstance(record, _CutOff)
                    if only is None or place.number in only:
                        yield self._located(place, record)
                if cut_off:
                    break
            self._done = line.next_offset
        self._done, self._holding = self.bytes_done, ()
        left = ((_CutOff(f"{_WAITS} ({each.error})"), each.place) for each in values.left())
        for record, place in (*taking.end(), *left):
            if only is None or place.number in only:
                yield self._located(place, record)
        if stream.problem is not None and not waiting:
            end = Line(number, self.bytes_done, b"", 0, ended=False)
            yield self._located(end, Note(stream.problem))

    def documents(
        self, values: Iterable[Json | UnreadableError], size_bytes: int, problem: str = ""
    ) -> Iterator[Located]:
        """One value, or several one behind the other. `problem`: why there are no more of them."""
        taking, number = self._taking(), 0
        for value in values:
            place = At(None, 0, "", b"")
            whole: bytes | None = None
            if isinstance(value, UnreadableError):
                placed: Iterable[Placed] = [(Dead(str(value), b""), place)]
            else:
                placed = taking.take(value, place)
            for record, _ in placed:
                number += 1
                raw = record.raw if isinstance(record, Dead) and record.raw is not None else b""
                if isinstance(record, Dead) and record.raw is None:
                    raw = whole = whole or dump_bytes(value)[:MAX_KEPT_BYTES]
                yield Located(record, None, 0, f"#{number}", raw)
        for record, _ in taking.end():
            number += 1
            yield Located(record, None, 0, f"#{number}", b"")
        if problem:
            yield Located(Note(problem), None, 0, f"#{number + 1}", b"")
        self._done = size_bytes

    def csv(self, stream: LogStream, delimiter: str) -> Iterator[Located]:
        """Rows under a header. A broken row is a dead letter; a cell may hold line ends."""
        taking = self._taking()
        csv.field_size_limit(self._max_line_bytes)
        texts = _Texts(stream, self._max_line_bytes)
        rows = csv.reader(texts, delimiter=delimiter, strict=True)
        header: list[str] | None = None
        while True:
            used = texts.next_row()
            try:
                row = next(rows, None)
                broken = next((f"a line of {line.length} bytes" for line in used if line.too_long),
                              "") or _not_utf8(row or [])  # fmt: skip
            except (csv.Error, UnreadableError) as error:
                row, broken = [], f"not CSV: {error}"
            if row is None:
                break
            if header is None and not broken:
                header = row
            elif row or broken:
                yield from self._of_row(taking, row, header or [], broken, used)
            self._done = used[-1].next_offset if used else self._done
        for record, place in taking.end():
            yield self._located(place, record)
        if stream.problem is not None:
            end = Line(0, self.bytes_done, b"", 0, ended=False)
            yield self._located(end, Note(stream.problem))

    def _of_row(
        self, taking: Taking, row: list[str], header: list[str], broken: str, used: list[Line]
    ) -> Iterator[Located]:
        if not broken and len(row) != len(header):
            broken = f"{len(row)} cells under {len(header)} columns"
        raw = b"\n".join(line.data for line in used)[:MAX_KEPT_BYTES]
        at = Line(used[0].number, used[0].offset, raw, len(raw), ended=True)
        found: Iterable[Placed] = [(Dead(broken), at)]
        if not broken:
            found = taking.take(dict(zip(header, row, strict=True)), at)
        for record, place in found:
            yield self._located(place, record)

    def parquet(self, path: Path, size_bytes: int) -> Iterator[Located]:
        """A row that JSON cannot hold is a dead letter; so is the rest of a damaged file."""
        number, taking = 0, self._taking()
        try:
            for row in parquet_rows(path, size_bytes, self._max_line_bytes, self._max_ratio):
                number += 1
                at = At(number, number, str(number), b"")
                found: Iterable[Placed]
                try:
                    if isinstance(row, UnreadableError):
                        raise row
                    found = list(taking.take(plain(row), at))
                except UnreadableError as error:
                    found = [(Dead(str(error)), at)]
                for record, place in found:
                    raw = b""
                    if isinstance(record, Dead):
                        raw = record.raw if record.raw is not None else self._bytes_of(row)
                    yield Located(record, place.number, place.offset, place.name, raw)
            for record, place in taking.end():
                yield Located(record, place.number, place.offset, place.name, b"")
        except MemoryError:
            raise
        except Exception as error:  # Arrow and the values in the file have many ways to fail
            reason = " ".join(str(error).split())[:300]
            dead = Note(f"the Parquet file cannot be read after row {number}: {reason}")
            yield Located(dead, None, number, f"#{number}", b"PAR1")
        self._done = size_bytes

    def _bytes_of(self, row: dict[str, object] | UnreadableError) -> bytes:
        return b"" if isinstance(row, UnreadableError) else dump_bytes(row)[: self._max_line_bytes]

    def text(self, stream: LogStream, reader: TextReader, size_bytes: int) -> Iterator[Located]:
        """A text log, whole: what one line means may stand in another."""
        last = Line(1, 0, b"", 0, ended=False)
        for line in iterate_lines(stream, self._max_line_bytes):
            last, facts = line, None
            try:
                text, facts = text_of(line.data, self._max_depth)
                records = list(reader.feed(text))
            except UnreadableError as error:
                records = [Dead(str(error))]
            except Exception as error:  # as in _of_value
                records = [Dead(f"the parser broke: {type(error).__name__}: {error}"[:500])]
            for record in records:
                if facts is not None and isinstance(record, Call):
                    record.facts = facts
                yield self._located(line, record)
        for record in reader.end():
            yield self._located(last, record)
        self._done = size_bytes
        if stream.problem is not None:
            yield self._located(last, Note(stream.problem))

    def _taking(self) -> Taking:
        assert self._way is not None
        return Taking(self._way)

    def _located(self, place: Place, record: Record) -> Located:
        raw = record.raw if isinstance(record, Dead) and record.raw is not None else place.data
        return Located(record, place.number, place.offset, place.name, raw)

    def _not_taken(self, line: Line, found: LineValue) -> Iterable[Placed]:
        """Of a line without a value."""
        if found.kind == "part":
            return []
        if not line.ended:
            why = found.error or "nothing to read"
            return [(_CutOff(f"{_WAITS} ({why})"), line)]
        if found.kind == "frame":
            return [(Other(0), line)]
        assert self._way is not None
        # text among calls is no damage; a record that was cut is
        is_other = found.kind == "text" and self._way.is_mixed
        return [(Other() if is_other else Dead(found.error), found.place)]


def _latest_in(path: Path) -> datetime | None:
    """The time of its last line, by when its content was written: copies may keep that, unlike the
    time of the file itself. What is compressed tells no line."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - MAX_KEPT_BYTES))
            tail = file.read().decode("utf-8", "replace")
        written_at = datetime.fromtimestamp(path.stat().st_mtime, UTC).replace(tzinfo=None)
        return last_told(tail, written_at)
    except (OSError, ValueError, OverflowError):
        return None


def _not_utf8(cells: list[str]) -> str:
    """Bytes that are no UTF-8 came through as lone surrogates."""
    if any("\udc80" <= sign <= "\udcff" for cell in cells for sign in cell if not sign.isascii()):
        return "not UTF-8"
    return ""


class _Texts:
    """Lines for the CSV reader, and which of them its row took; a row has the size of a line."""

    def __init__(self, stream: LogStream, max_row_bytes: int) -> None:
        self._lines = iterate_lines(stream, max_row_bytes)
        self._max_row_bytes = max_row_bytes
        self._used: list[Line] = []
        self._num_bytes = 0

    def next_row(self) -> list[Line]:
        """The list that the lines of the next row go into."""
        self._used = []
        self._num_bytes = 0
        return self._used

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        while not self._used and not line.length and line.ended:  # between rows it means nothing
            line = next(self._lines)
        self._used.append(line)
        self._num_bytes += len(line.data) + _LINE_COSTS
        if len(self._used) > 1 and self._num_bytes > self._max_row_bytes:
            raise UnreadableError(
                f"a row of more than {self._max_row_bytes} bytes ([ingest] max_line_bytes)"
            )
        return "\n" if line.too_long else line.data.decode("utf-8", "surrogateescape") + "\n"
