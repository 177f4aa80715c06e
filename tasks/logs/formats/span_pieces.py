"""One call that a framework recorded as several spans, an event of it each → one span.

BeeAI's instrumentation writes the events of a model (`llm.ollama.chat.start`, `….success`,
`….finish`) as spans of kind LLM beside each other. The one that began is the call, and takes from
the others what it lacks; where the span around them is the call itself, they add nothing to it.
Source: openinference-instrumentation-beeai, Python and JavaScript.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tasks.logs.shapes.records import Json

Row = dict[str, Json]
EVENTS = ("start", "success", "error", "finish", "newToken", "new_token", "partialUpdate",
          "partial_update")  # fmt: skip
_NOTHING: tuple[Json, ...] = (None, "", "{}", "[]", {}, [])


def piece(path: Json, event: Json) -> tuple[str, str] | None:
    """(what had the event, event) of a span; None: it is no event."""
    if event in EVENTS and isinstance(path, str) and path.endswith(f".{event}"):
        return path.removesuffix(f".{event}"), str(event)
    return None


def together(
    rows: Mapping[str, Row],
    piece_of: Callable[[Row], tuple[str, str] | None],
    parent_of: Callable[[Row], Json],
    is_call: Callable[[Row], bool],
    begins: Callable[[Row], Any],
    own_fields: frozenset[str],
) -> tuple[dict[str, Row], set[str]]:
    """The rows by the id of their span, pieces of a call as one under the first of them, and the
    ids of those that went into another. `own_fields` stay those of the first."""
    events = {own: found for own, row in rows.items() if is_call(row)
              and (found := piece_of(row)) is not None}  # fmt: skip
    if not events:
        return dict(rows), set()
    whole, gone = dict(rows), set[str]()
    open_calls: dict[tuple[Json, str], str] = {}

    def order(own: str) -> tuple[str, int]:
        return str(begins(rows[own])), EVENTS.index(events[own][1])

    for own in sorted(events, key=order):
        path, event = events[own]
        parent = parent_of(rows[own])
        key = (parent if isinstance(parent, str) else None, path)
        around = rows.get(parent) if isinstance(parent, str) else None
        if event == "start" or (
            key not in open_calls and not (around is not None and is_call(around))
        ):
            open_calls[key] = own
            continue
        gone.add(own)
        if key in open_calls:
            first = open_calls[key]
            known, more = whole[first], rows[own]
            late = {name: said for name, said in more.items() if name not in own_fields
                    and said not in _NOTHING
                    and (event == "success" or known.get(name) in _NOTHING)}  # fmt: skip
            whole[first] = {**known, **late}
    return {own: row for own, row in whole.items() if own not in gone}, gone
