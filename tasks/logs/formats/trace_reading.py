"""Spans → records, those of one trace together, because they tell about each other.

A call span around another call span is the same API call: only the inner one counts. A session
and a user that only a span around a call has are those of the call. What a tool gave back, or how
it failed, is kept with the call that asked for it (tag `tool_results`), so that a session can be
played again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from typing import Any, Generic, TypeVar

from tasks.logs.formats import (
    mlflow_call,
    openinference_call,
    otlp_call,
    span_shapes,
    spans,
    tool_spans,
)
from tasks.logs.formats.gathering import Gathering
from tasks.logs.formats.openinference_call import KIND
from tasks.logs.formats.otlp_names import SESSION, USER
from tasks.logs.formats.otlp_values import Attributes, attributes
from tasks.logs.shapes.dead import dead
from tasks.logs.shapes.records import Call, Dead, Json, Other, Record, UnreadableError

#: a span of any SDK or a log record, and the attributes of its resource
Item = tuple[dict[str, Json], Attributes]
#: a span, its attributes and those of its resource
_Read = tuple[dict[str, Json], Attributes, Attributes]
_LENT_NAMES = frozenset((*SESSION, *USER))
P = TypeVar("P")


def read(items: Iterable[Item | Dead]) -> Iterator[Record]:
    """The records of spans, best those of a whole trace."""
    wholes = [_read(item) for item in items]
    if len(wholes) == 1:
        yield from _records_of(wholes[0])
    else:
        for _, record in _of_several(wholes):
            yield record


def guarded(item: Json, read: Callable[..., Iterable[Record]], *parts: Any) -> list[Record]:
    """All records of an item that `read` finds in its parts, or none and a dead letter."""
    try:
        return list(read(*parts))
    except UnreadableError as error:
        return [dead(item, error)]


class SpanReader(Generic[P]):
    """Of a file with a span a value, gathered by trace.

    `span_of`: the span that a value is, with OTLP's names; None: it is none, or cannot be read.
    `records`: of such a value.
    """

    #: a trace that goes on in what is appended to a file later is read in two parts
    oldest: P | None = None

    def __init__(
        self,
        span_of: Callable[[Json], Item | None],
        records: Callable[[Json], Iterator[Record]],
    ) -> None:
        self._span_of = span_of
        self._records = records
        self._gathering: Gathering[Item, P] = Gathering()

    def feed(self, value: Json, place: P) -> Iterator[tuple[Record, P]]:
        item = self._span_of(value)
        if item is None:
            for record in self._records(value):
                yield record, place
            return
        trace = spans.hex_id(item[0].get("traceId"))
        for held in self._gathering.hold(trace, item, place):
            yield from self._told(held)

    def end(self) -> Iterator[tuple[Record, P]]:
        for held in self._gathering.end():
            yield from self._told(held)

    def _told(self, held: list[tuple[Item, P]]) -> Iterator[tuple[Record, P]]:
        for number, record in _of_several([_read(item) for item, _ in held]):
            yield record, held[number][1]


def _of_several(wholes: list[_Read | Dead]) -> Iterator[tuple[int, Record]]:
    """Every record with the number of the span it is of."""
    known = [whole for whole in wholes if not isinstance(whole, Dead)]
    ids = [(spans.span_id(span), spans.parent_id(span)) for span, _, _ in known]
    are_calls = [_convention_of(attrs).is_call(attrs) for _, attrs, _ in known]
    outer = spans.wrapping(pair for pair, is_call in zip(ids, are_calls, strict=True) if is_call)
    _lend(ids, [attrs for _, attrs, _ in known])
    tools = tool_spans.of_trace(
        whole for whole, is_call in zip(known, are_calls, strict=True) if not is_call
    )
    for number, whole in enumerate(wholes):
        if outer and not isinstance(whole, Dead) and spans.span_id(whole[0]) in outer:
            yield number, Other()
            continue
        for record in _records_of(whole):
            if tools and isinstance(record, Call):
                record = tools.kept_with(record)
            yield number, record


def _read(item: Item | Dead) -> _Read | Dead:
    if isinstance(item, Dead):
        return item
    try:
        span = span_shapes.to_otlp(item[0])
        return span, attributes(span.get("attributes")), item[1]
    except UnreadableError as error:
        return dead(item[0], error)


def _records_of(whole: _Read | Dead) -> Iterable[Record]:
    if isinstance(whole, Dead):
        return [whole]
    return guarded(whole[0], _convention_of(whole[1]).from_span, *whole)


def _convention_of(attrs: Attributes) -> ModuleType:
    """MLflow keeps the attributes of the others beside its own, as JSON text."""
    if mlflow_call.TYPE in attrs:
        return mlflow_call
    if KIND in attrs and not otlp_call.is_call(attrs):
        return openinference_call
    return otlp_call


def _lend(ids: list[tuple[str | None, str | None]], told: list[Attributes]) -> None:
    """Session and user go down a trace, to every call below that has none of its own.

    ids: of each span and of the one around it; told: its attributes, which are added to.
    """
    if all(_LENT_NAMES.isdisjoint(attrs) for attrs in told):
        return
    around = {own: (parent, attrs) for (own, parent), attrs in zip(ids, told, strict=True)
              if own is not None}  # fmt: skip
    for names, name in ((SESSION, "session.id"), (USER, "user.id")):
        lenders = {
            own: next(attrs[each] for each in names if each in attrs)
            for own, (_, attrs) in around.items() if any(each in attrs for each in names)
        }  # fmt: skip
        for own, (parent, attrs) in around.items():
            seen = {own}
            while own not in lenders and parent in around and parent not in seen:
                if parent in lenders:
                    attrs[name] = lenders[parent]
                    break
                seen.add(parent)
                parent = around[parent][0]
