"""Transactions of Sentry with spans of AI (`op` gen_ai.…), whose data have OpenTelemetry's names.

Messages and answers have names of Sentry's own, as JSON text. Of spans around each other the inner
counts. Other events of Sentry are not read. Source: Sentry's event payloads and its AI agents
module.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tasks.logs.formats.exchange import decode
from tasks.logs.formats.payloads import read_input, read_output
from tasks.logs.formats.trace_reading import Item, read
from tasks.logs.shapes import coerce
from tasks.logs.shapes.dead import or_dead
from tasks.logs.shapes.json_text import dump
from tasks.logs.shapes.records import Json, Record, UnreadableError

NAME = "sentry"
VERSION = "sentry@1"

_OP = "gen_ai."
_ASKED = ("gen_ai.request.messages", "gen_ai.input.messages")
_SAID = ("gen_ai.response.text", "gen_ai.response.tool_calls")


def matches(value: Json) -> bool:
    return isinstance(value, dict) and "contexts" in value and any(map(_is_ai, _spans(value)))


def records(value: Json) -> Iterator[Record]:
    if not isinstance(value, dict) or not _spans(value):
        raise UnreadableError("no transaction of Sentry with spans")
    told = coerce.mapping(value.get("contexts"))
    about = {"service.version": value["release"]} if value.get("release") else {}
    user = coerce.first(value.get("user"), "id", "username")
    items = [or_dead(span, _item, span, about, user) for span in _spans(value)]
    root = coerce.mapping(told.get("trace"))
    if _is_ai(root):
        times = {name: value.get(name) for name in ("start_timestamp", "timestamp")}
        span = {**root, **times, "description": value.get("transaction")}
        items.append(or_dead(span, _item, span, about, user))
    yield from read(items)


def _spans(value: dict[str, Json]) -> list[Json]:
    return coerce.sequence(value.get("spans"))


def _is_ai(span: Json) -> bool:
    op = coerce.first(span, "op")
    return isinstance(op, str) and op.startswith(_OP)


def _item(span: Json, about: dict[str, Json], user: Json) -> Item:
    if not isinstance(span, dict):
        raise UnreadableError(f"expected a span, received {coerce.kind_of(span)}")
    data = coerce.mapping(span.get("data"))
    attributes: dict[str, Any] = {
        name: item for name, item in data.items() if name not in (*_ASKED, *_SAID)
    }
    op = span.get("op")
    if _is_ai(span):
        attributes.setdefault("gen_ai.operation.name", str(op).removeprefix(_OP))
    if user is not None:
        attributes.setdefault("user.id", user)
    asked = next((data[name] for name in _ASKED if data.get(name)), None)
    if asked is not None:
        attributes["gen_ai.input.messages"] = dump(read_input(asked))
    if (said := _said(data)) is not None:
        attributes["gen_ai.output.messages"] = dump([said])
    ok = span.get("status") in (None, "ok")
    return {
        "traceId": span.get("trace_id"),
        "spanId": span.get("span_id"),
        "parentSpanId": span.get("parent_span_id"),
        "name": span.get("description") or op,
        "startTimeUnixNano": coerce.nanoseconds("start_timestamp", span.get("start_timestamp")),
        "endTimeUnixNano": coerce.nanoseconds("timestamp", span.get("timestamp")),
        "status": {"code": "STATUS_CODE_UNSET" if ok else "STATUS_CODE_ERROR",
                   "message": None if ok else span.get("status")},
        "attributes": attributes,
    }, about  # fmt: skip


def _said(data: dict[str, Json]) -> Json:
    """Texts and calls of tools that stand beside each other; a list of texts is one answer."""
    text, calls = (decode(data.get(name)) for name in _SAID)
    if isinstance(text, list) and text and all(isinstance(part, str) for part in text):
        text = "".join(text)
    message = read_output(text).message if text not in (None, "", []) else None
    if isinstance(calls, list) and calls:
        message = {"role": "assistant", "content": None, **(message or {}), "tool_calls": calls}
    return message
