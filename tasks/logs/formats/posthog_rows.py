"""PostHog's events out of whatever holds them: a capture, a batch, a page, a trace, a query, a row.

Each comes out as {"event", "properties", …} with the ids and the time as they stand beside. A query
in PostHog's SQL answers with columns and rows; its columns, and those of a CSV, may be properties
(`properties.$ai_model`, `*.properties.$ai_model`), of a list an item a column.
"""

from __future__ import annotations

from tasks.logs.formats.exchange import decode
from tasks.logs.shapes.records import Json

PROPERTIES = "properties"

_PREFIX = f"{PROPERTIES}."
_ALL = "*."
_BESIDE = ("uuid", "id", "distinct_id", "distinctId", "timestamp", "createdAt", "person")
#: of a query that does not ask for the name of the event, what only a call has
_OF_CALLS = ("$ai_output_choices", "$ai_output_tokens", "$ai_input", "$ai_input_tokens")


def rows_of(value: Json) -> list[Json]:
    """The events of a value of a file; none where it is not PostHog's."""
    if not isinstance(value, dict):
        return []
    if (event := _event_of(value)) is not None:
        return [event]
    for name in ("batch", "results", "events"):
        page = value.get(name)
        if isinstance(page, list):
            found = [row for item in page for row in _of_page(item, value.get("columns"))]
            if found:
                return found
    return []


def _of_page(item: Json, columns: Json) -> list[Json]:
    """Of a query, or of one of traces, which holds its events."""
    if isinstance(item, list) and isinstance(columns, list):
        named = zip(map(str, columns), item, strict=False)
        item = dict(named)
        if isinstance(item.get("*"), dict):
            item = item["*"]
    if not isinstance(item, dict):
        return []
    if isinstance(item.get("events"), list):
        return [row for each in item["events"] for row in _of_page(each, None)]
    event = _event_of(item)
    return [] if event is None else [event]


def _event_of(value: dict[str, Json]) -> Json:
    """None: it is no event of PostHog."""
    if PROPERTIES not in value and any(_PREFIX in name for name in value):
        value = _nested(value)
    about = decode(value.get(PROPERTIES))
    if not isinstance(about, dict):
        return None
    event = value.get("event")
    if event is None and any(name in about for name in _OF_CALLS):
        event = "$ai_generation"
    if not isinstance(event, str):
        return None
    if not event.startswith("$ai_") and not any(name in value for name in _BESIDE):
        return None
    return {**value, "event": event, PROPERTIES: about}


def _nested(row: dict[str, Json]) -> dict[str, Json]:
    found: dict[str, Json] = {}
    about: dict[str, Json] = {}
    for column, item in row.items():
        name = column.removeprefix(_ALL)
        if not name.startswith(_PREFIX):
            found[name] = item
        elif item not in (None, ""):
            _put(about, name.removeprefix(_PREFIX).split("."), item)
    return {**found, PROPERTIES: {name: _lists(item) for name, item in about.items()}}


def _put(holder: dict[str, Json], path: list[str], item: Json) -> None:
    for name in path[:-1]:
        inner = holder.setdefault(name, {})
        if not isinstance(inner, dict):
            return
        holder = inner
    holder.setdefault(path[-1], item)


def _lists(value: Json) -> Json:
    """Objects whose keys are the numbers of items, as lists."""
    if not isinstance(value, dict):
        return value
    inner = {name: _lists(item) for name, item in value.items()}
    if inner and all(name.isdecimal() for name in inner):
        return [inner[name] for name in sorted(inner, key=int)]
    return inner
