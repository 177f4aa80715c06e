"""Values of a file, in order, to records: by the file's format, else by any that knows the value,
else out of an envelope.

Every value is told of: a call, feedback, something else that is no call, or a dead letter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tasks.logs import formats
from tasks.logs.formats import Assembling, Format, ValueReader
from tasks.logs.reading.envelopes import open_envelope
from tasks.logs.reading.line_values import At
from tasks.logs.shapes.json_text import dump_bytes
from tasks.logs.shapes.records import Call, Dead, Json, Other, Place, Record, UnreadableError

Placed = tuple[Record, Place]


@dataclass(frozen=True, slots=True)
class Way:
    """How values are taken. `is_forced`: by this format alone. `is_mixed`: among lines that are no
    calls, so that those are counted and no letters."""

    format: Format
    is_forced: bool = False
    is_mixed: bool = False

    def recognise(self, value: Json) -> Format | None:
        if self.is_forced:
            return self.format if self.format.matches(value) else None
        return formats.recognise(value)


class Taking:
    """Of one file; `oldest` is where something began whose end was not met yet."""

    def __init__(self, way: Way) -> None:
        self._way = way
        self._readers: dict[str, ValueReader | None] = {}
        self._reader = self._reader_of(way.format)

    @property
    def oldest(self) -> Place | None:
        if self._reader is None and len(self._readers) == 1:
            return None
        open_at = [reader.oldest for reader in self._readers.values() if reader is not None]
        places = [place for place in open_at if place is not None]
        return min(places, key=lambda place: place.offset, default=None)

    def take(self, value: Json, place: Place) -> Iterable[Placed]:
        """One value; of a list each item."""
        if type(value) is not list:
            return self._item(value, place, in_list=False)
        return (placed for item in value for placed in self._item(item, place, in_list=True))

    def end(self) -> Iterator[Placed]:
        """What is still open."""
        for reader in self._readers.values():
            if reader is not None:
                yield from reader.end()

    def _item(self, item: Json, place: Place, *, in_list: bool) -> list[Placed]:
        """What could be read before it broke stands; the rest is dead."""
        found: list[Placed] = []
        way = self._way
        try:
            if way.is_mixed and way.recognise(item) is not way.format:
                raise UnreadableError("it is no call")
            if self._reader is None and place.facts is None:  # nearly every value of every log
                for record in way.format.records(item):
                    found.append((record, place))
            else:
                found.extend(self._fed(way.format, item, place))
        except UnreadableError as error:
            if found or (elsewhere := self._elsewhere(item, place)) is None:
                found.append(self._not_read(str(error), item, place, bool(found), in_list))
            else:
                return elsewhere
        except Exception as error:  # a bug of ours in one record must not cost a night's logs
            reason = f"the parser broke: {type(error).__name__}: {error}"[:500]
            found.append((Dead(reason, dump_bytes(item) if in_list else None), place))
        return found

    def _not_read(
        self, reason: str, item: Json, place: Place, is_begun: bool, in_list: bool
    ) -> Placed:
        if self._way.is_mixed and not is_begun and self._way.recognise(item) is None:
            return Other(), place
        return Dead(reason, dump_bytes(item) if in_list else None), place

    def _elsewhere(self, item: Json, place: Place) -> list[Placed] | None:
        """Records of a value that is none of the file's format; None: of no other either."""
        way = self._way
        known = way.recognise(item)
        if known is way.format:
            return None
        if known is not None:
            return list(self._fed(known, item, place))
        opened = open_envelope(item, way.recognise)
        if not opened:
            return None
        found: list[Placed] = []
        for one in opened:
            inside = At.within(place, one.facts)
            if one.format is None:
                found.append((Other(), inside))
            else:
                found.extend(self._fed(one.format, one.value, inside))
        return found

    def _fed(self, format: Format, item: Json, place: Place) -> Iterator[Placed]:
        reader = self._reader_of(format)
        if reader is None:
            found: Iterator[Placed] = ((record, place) for record in format.records(item))
        else:
            found = reader.feed(item, place)
        for record, where in found:
            if where.facts is not None and isinstance(record, Call):
                record.facts = where.facts
            yield record, where

    def _reader_of(self, format: Format) -> ValueReader | None:
        if format.NAME not in self._readers:
            reader = format.reader() if isinstance(format, Assembling) else None
            self._readers[format.NAME] = reader
        return self._readers[format.NAME]
