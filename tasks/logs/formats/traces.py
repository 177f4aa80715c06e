"""Traces of a vendor as rows, each a span: which of them are calls, and what speaks of them.

The rows of a trace may stand anywhere in a file, and one span in several of them (begun in one,
ended in another). So rows are held until their trace is told: at the end of the file, or when
many others are held. Of two calls around one API call the inner counts, with what only the outer
recorded. Feedback on a span that is no call speaks of the last call of its trace.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Generic, Literal, TypeVar

from tasks.logs.formats import spans
from tasks.logs.formats.gathering import Gathering
from tasks.logs.shapes import coerce
from tasks.logs.shapes.dead import dead, or_dead
from tasks.logs.shapes.records import (
    Call,
    Dead,
    Feedback,
    Json,
    Other,
    Record,
    UnreadableError,
)

#: spans around one that are looked at
_MAX_DEPTH = 50

#: of the metadata of a span what an API was asked; anything else is a tag
ASKED = frozenset({
    "temperature", "top_p", "top_k", "max_tokens", "max_completion_tokens", "max_output_tokens",
    "stop", "stop_sequences", "seed", "n", "stream", "stream_options", "tools", "tool_choice",
    "response_format", "text", "reasoning", "reasoning_effort", "frequency_penalty",
    "presence_penalty", "logprobs", "top_logprobs", "parallel_tool_calls", "thinking",
})  # fmt: skip

Row = dict[str, Json]
#: `plain`: a step that says nothing by itself, as a chain; `about`: tells of the trace, no span
Role = Literal["call", "plain", "other", "about"]
#: feedback as it stands there, what reads it, and the span it speaks of (None: where it stands)
Signal = tuple[Json, Callable[[Json], Feedback], str | None]
P = TypeVar("P")
#: how repr() of an exception and the last line of a traceback begin
_CLASS = re.compile(r"([A-Za-z_][A-Za-z0-9_.]*)\s*[(:]")
_NOTHING: tuple[Json, ...] = (None, "", "{}", "[]", {}, [])


@dataclass(frozen=True, slots=True)
class Traces:
    """The format of a vendor.

    rows: of a value of the file, a row or several (a page, a batch, a tree); none where it is not
    of this vendor. key: (trace, span), "" where there is none; None: the row is no span, and
    `alone` reads it. call: of a row and of the rows around it, the nearest first, what tells of
    the trace last; raises UnreadableError where a field cannot be held.
    """

    NAME: str
    VERSION: str
    rows: Callable[[Json], list[Json]]
    key: Callable[[Row], tuple[str, str] | None]
    parent: Callable[[Row], Json]
    role: Callable[[Row], Role]
    call: Callable[[Row, list[Row]], Call]
    signals: Callable[[Row], Iterable[Signal]]
    alone: Callable[[Row], Iterable[Record]]
    pieces: Callable[[dict[str, Row]], tuple[dict[str, Row], set[str]]] = lambda rows: (rows, set())

    def matches(self, value: Json) -> bool:
        return bool(self.rows(value))

    def records(self, value: Json) -> Iterator[Record]:
        reader: Reader[None] = self.reader()
        for record, _ in (*reader.feed(value, None), *reader.end()):
            yield record

    def reader(self) -> Reader[Any]:
        return Reader(self)


class Reader(Generic[P]):
    """Of one file, whose rows are gathered by trace."""

    def __init__(self, traces: Traces) -> None:
        self._traces = traces
        self._gathering: Gathering[tuple[str, Row], P] = Gathering()
        self._numbers = count()

    @property
    def oldest(self) -> P | None:
        return self._gathering.oldest

    def feed(self, value: Json, place: P) -> Iterator[tuple[Record, P]]:
        rows = self._traces.rows(value)
        if not rows:
            raise UnreadableError(f"no record of {self._traces.NAME} is in it")
        for row in rows:
            if not isinstance(row, dict):
                yield dead(row, f"expected an object, received {coerce.kind_of(row)}"), place
                continue
            key = self._traces.key(row)
            if key is None:
                for record in _alone(row, self._traces.alone):
                    yield record, place
                continue
            trace, own = (part or f"#{next(self._numbers)}" for part in key)
            for held in self._gathering.hold(trace, (own, row), place):
                yield from self._told(held)

    def end(self) -> Iterator[tuple[Record, P]]:
        for held in self._gathering.end():
            yield from self._told(held)

    def _told(self, held: list[tuple[tuple[str, Row], P]]) -> Iterator[tuple[Record, P]]:
        merged: dict[str, Row] = {}
        places: dict[str, P] = {}
        for (own, row), place in held:
            places.setdefault(own, place)
            known = merged.setdefault(own, {})
            known.update((name, given) for name, given in row.items() if given not in _NOTHING)
        rows, gone = self._traces.pieces(merged)
        for own in gone:
            yield Other(), places[own]
        for own, records in _of_trace(rows, self._traces).items():
            for record in records:
                yield record, places[own]


def _alone(row: Row, read: Callable[[Row], Iterable[Record]]) -> list[Record]:
    try:
        return list(read(row))
    except UnreadableError as error:
        return [dead(row, error)]


def _of_trace(rows: dict[str, Row], traces: Traces) -> dict[str, list[Record]]:
    """The records of every span: a call, something else, or why it cannot be read."""
    trace = _Trace(rows, traces)
    found: dict[str, list[Record]] = {own: [] for own in rows}
    calls: dict[str, Call] = {}
    for own in rows:
        if not trace.is_call(own):
            found[own] = trace.counted(own)
            continue
        try:
            calls[own] = trace.call(own)
        except UnreadableError as error:
            found[own] = [dead(rows[own], error)]
    given = _feedback(rows, calls, found, traces)
    for own, call in calls.items():
        call.feedback = tuple(given.get(own, ()))
        found[own].insert(0, call)
    return found


class _Trace:
    """The rows of one trace by the id of their span, and what is around what."""

    def __init__(self, rows: dict[str, Row], traces: Traces) -> None:
        self._rows = rows
        self._traces = traces
        self._roles = {own: traces.role(row) for own, row in rows.items()}
        self._about = [rows[own] for own, role in self._roles.items() if role == "about"]
        self._around = {own: self._lineage(own) for own in rows}
        calls = [own for own, role in self._roles.items() if role == "call"]
        self._outer = spans.wrapping((own, self._wrapped_by(own)) for own in calls)

    def is_call(self, own: str) -> bool:
        return self._roles[own] == "call" and own not in self._outer

    def counted(self, own: str) -> list[Record]:
        """What tells of a trace is counted only where nothing of the trace is there."""
        alone = len(self._about) == len(self._rows)
        return [Other()] if self._roles[own] != "about" or alone else []

    def call(self, own: str) -> Call:
        call = self._read(own)
        for outer in self._around[own]:
            if outer in self._outer:
                call = completed(call, self._read(outer))
            elif self._roles[outer] != "plain":
                break
        return call

    def _read(self, own: str) -> Call:
        around = [self._rows[each] for each in self._around[own]]
        return self._traces.call(self._rows[own], [*around, *self._about])

    def _wrapped_by(self, own: str) -> str | None:
        """The nearest span around it that is more than a plain step."""
        return next((each for each in self._around[own] if self._roles[each] != "plain"), None)

    def _lineage(self, own: str) -> list[str]:
        """The spans around one, the nearest first; circles and what is no id end it."""
        found = [own]
        while len(found) <= _MAX_DEPTH:
            parent = self._traces.parent(self._rows[found[-1]])
            if not isinstance(parent, str) or parent not in self._rows or parent in found:
                break
            found.append(parent)
        return found[1:]


def _feedback(
    rows: dict[str, Row],
    calls: dict[str, Call],
    found: dict[str, list[Record]],
    traces: Traces,
) -> dict[str, list[Feedback]]:
    given: dict[str, list[Feedback]] = {}
    last = max(calls, key=lambda own: str(calls[own].started_at), default=None)
    for own, row in rows.items():
        for item, read, about in traces.signals(row):
            signal = or_dead(item, read, item)
            if isinstance(signal, Dead):
                found[own].append(signal)
                continue
            known = own if about is None else about
            target = known if known in calls else last
            if target is not None:
                given.setdefault(target, []).append(signal)
    return given


def completed(inner: Call, outer: Call) -> Call:
    """The inner call, with what only the one around it recorded.

    Tokens, times and ids are the inner one's: it is the API call itself.
    """
    said: dict[str, Any] = {}
    if inner.response is None or (outer.tool_calls and not inner.tool_calls):
        said = {"response": outer.response, "tool_calls": outer.tool_calls}
    if len(outer.messages or ()) > len(inner.messages or ()):
        said["messages"] = outer.messages
    for name in ("finish_reason", "provider", "params", "prompt_name", "prompt_version"):
        if getattr(inner, name) is None:
            said[name] = getattr(outer, name)
    return replace(inner, **said)


def first_told(holders: list[Row], names: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Field → what the first of the objects says under any of its names, as text."""
    return {
        field: next(
            (coerce.text(field, found) for holder in holders
             if (found := coerce.first(holder, *of_field)) is not None), None)
        for field, of_field in names.items()
    }  # fmt: skip


def error_class(text: str) -> str:
    """Of the text of an exception its class; "error" where the text names none."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    # a traceback ends with the exception
    line = lines[-1] if lines and lines[0].startswith("Traceback") else (lines or [""])[0]
    match = _CLASS.match(line.strip())
    return match[1].rpartition(".")[2] if match else "error"
