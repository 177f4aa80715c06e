"""Values of a file, in order, to records: by the file's format, else by any that knows the value,
else out of an envelope.

Every value is told of: a call, feedback, something else that is no call, or a dead letter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tasks.logs import formats
from tasks.logs.formats import Assembling, Format, Hosting, ValueReader
from tasks.logs.formats.exchange import is_question_alone
from tasks.logs.formats.pairs import Pairs
from tasks.logs.formats.stream_pieces import piece_of
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
            yield from self._read(*asked)
        self._asked.clear()
        for reader in self._readers.values():
            if reader is not None:
                yield from reader.end()

    def _item(self, item: Json, place: Place, *, in_list: bool) -> list[Placed]:
        """What could be read before it broke stands; the rest is dead."""
        found: list[Placed] = []
        way = self._way
        try:
            if way.is_mixed and (known := way.recognise(item)) is not way.format:
                return self._elsewhere(known, item, place) or []
            if self._reader is None and place.facts is None:  # nearly every value of every log
                for record in way.format.records(item):
                    found.append((record, place))
            else:
                found.extend(self._fed(way.format, item, place))
            if found and all(isinstance(record, Other | Dead) for record, _ in found):
                # no call to this format, which may be a generous one, but one to another
                known = way.recognise(item)
                if known is not None and known is not way.format:
                    return self._elsewhere(known, item, place) or []
        except UnreadableError as error:
            known = way.format if found else way.recognise(item)
            elsewhere = None if known is way.format else self._elsewhere(known, item, place)
            if elsewhere is not None:
                return elsewhere
            found.append((Dead(str(error), dump_bytes(item) if in_list else None), place))
        except Exception as error:
            found.append((Dead(_broken(error), dump_bytes(item) if in_list else None), place))
        return found

    def _read(self, format: Format, value: Json, place: Place) -> list[Placed]:
        """Records of a value that is not the line's or the file's own, and so is kept with them."""
        found: list[Placed] = []
        try:
            found.extend(self._fed(format, value, place))
        except UnreadableError as error:
            found.append((Dead(str(error), dump_bytes(value)), place))
        except Exception as error:
            found.append((Dead(_broken(error), dump_bytes(value)), place))
        return found

    def _elsewhere(self, known: Format | None, item: Json, place: Place) -> list[Placed] | None:
        """Records of a value that is none of the file's format but `known`; None: it is of no
        other either, and in no envelope."""
        way = self._way
        if known is not None:
            return self._read(known, item, place)
        opened = open_envelope(item, self._known)
        if not opened:
            # what carries a line of text is whole, and no call
            return [(Other(), place)] if way.is_mixed or carries_text(item) else None
        found: list[Placed] = []
        for one in opened:
            inside = At.within(place, one.facts)
            if one.format is None:
                found.append((Other(), inside))
            else:
                found += self._of_envelope(one.format, one.value, inside)
        return found

    def _known(self, value: Json) -> Format | None:
        """Within an envelope: what may be anybody's is of the file's format, if that hosts it."""
        known, own = self._way.recognise(value), self._way.format
        return own if known is None and isinstance(own, Hosting) and own.hosts(value) else known

    def _of_envelope(self, format: Format, value: Json, place: At) -> list[Placed]:
        """A question and its answer may come in two envelopes of one id."""
        key = None if place.facts is None else place.facts.key
        if key is None:
            return self._read(format, value, place)
        asked = self._asked.pop(key, None)
        if is_question_alone(value):
            self._asked[key] = (format, value, place)
            if asked is None and len(self._asked) > _MAX_ASKED:
                asked = self._asked.pop(next(iter(self._asked)))
            return [] if asked is None else self._read(*asked)
        if asked is None:
            return self._read(format, value, place)
        if isinstance(format, Pairs) and piece_of(value) is None:
            return self._read(format, {"request": asked[1], "response": value}, asked[2])
        return [*self._read(*asked), *self._read(format, value, place)]

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


def _broken(error: Exception) -> str:
    """A bug of ours in one record must not cost a night's logs."""
    return f"the parser broke: {type(error).__name__}: {error}"[:500]
