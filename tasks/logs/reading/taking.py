"""Values of a file, in order, to records: by the file's format, else by any that knows the value,
else out of an envelope.

Every value is told of: a call, feedback, something else that is no call, or a dead letter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tasks.logs import formats
from tasks.logs.formats import Assembling, Format, ValueReader
from tasks.logs.formats.exchange import is_question_alone
from tasks.logs.formats.pairs import Pairs
from tasks.logs.formats.streaming import piece_of
from tasks.logs.reading.envelopes import carries_text, open_envelope
from tasks.logs.reading.line_values import At
from tasks.logs.shapes.json_text import dump_bytes
from tasks.logs.shapes.records import Call, Dead, Json, Other, Place, Record, UnreadableError

Placed = tuple[Record, Place]

#: questions that wait for their answers; one that waits longer has none
_MAX_ASKED = 1_000


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
        self._asked: dict[str, tuple[Format, Json, At]] = {}
        self._reader = self._reader_of(way.format)

    @property
    def holds(self) -> bool:
        """Whether anything may be open."""
        return self._reader is not None or len(self._readers) > 1 or bool(self._asked)

    @property
    def oldest(self) -> Place | None:
        open_at = [reader.oldest for reader in self._readers.values() if reader is not None]
        asked_at = [place for _, _, place in self._asked.values()]
        places = [place for place in (*open_at, *asked_at) if place is not None]
        return min(places, key=lambda place: place.offset, default=None)

    def take(self, value: Json, place: Place) -> Iterable[Placed]:
        """One value; of a list each item."""
        if type(value) is not list:
            return self._item(value, place, in_list=False)
        return (placed for item in value for placed in self._item(item, place, in_list=True))

    def end(self) -> Iterator[Placed]:
        """What is still open."""
        for asked in self._asked.values():
            yield from self._fed(*asked)
        self._asked.clear()
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
            # what carries a line of text is whole, and no call
            return [(Other(), place)] if carries_text(item) else None
        found: list[Placed] = []
        for one in opened:
            inside = At.within(place, one.facts)
            if one.format is None:
                found.append((Other(), inside))
            else:
                found.extend(self._of_envelope(one.format, one.value, inside))
        return found

    def _of_envelope(self, format: Format, value: Json, place: At) -> Iterator[Placed]:
        """A question and its answer may come in two envelopes of one id."""
        key = None if place.facts is None else place.facts.key
        if key is None:
            yield from self._fed(format, value, place)
        elif is_question_alone(value):
            before = self._asked.pop(key, None)
            if before is not None:
                yield from self._fed(*before)
            self._asked[key] = (format, value, place)
            if len(self._asked) > _MAX_ASKED:
                yield from self._fed(*self._asked.pop(next(iter(self._asked))))
        elif key in self._asked and isinstance(format, Pairs) and piece_of(value) is None:
            _, question, where = self._asked.pop(key)
            yield from self._fed(format, {"request": question, "response": value}, where)
        else:
            yield from self._fed(format, value, place)

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
