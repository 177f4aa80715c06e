"""JSON logs of text-generation-inference (--json-output), and the bodies of its generate API."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.logs.formats import tgi
from tasks.logs.formats.apis import TGI
from tasks.logs.formats.pairs import Pairs
from tasks.logs.shapes import coerce
from tasks.logs.shapes.records import Json, Other, Record

_pairs = Pairs("tgi_json", "tgi_json@1", (TGI,))
NAME, VERSION = _pairs.NAME, _pairs.VERSION
_TARGETS = ("text_generation_router", "text_generation_launcher")


def matches(value: Json) -> bool:
    return _is_event(value) or _pairs.matches(value)


def records(value: Json) -> Iterator[Record]:
    if isinstance(value, list) or not _is_event(value):
        body = {"request": {}, "response": value} if isinstance(value, list) else value
        yield from _pairs.records(body)
        return
    spans = [span for span in coerce.sequence(value.get("spans")) if isinstance(span, dict)]
    span = {**(spans[-1] if spans else {}), **coerce.mapping(value.get("span"))}
    # the fields stand beside the message where the log is flattened
    message = coerce.first(value.get("fields"), "message") or value.get("message")
    ended = coerce.moment("timestamp", value.get("timestamp"))
    name = str(span.get("name") or "generate")
    if tgi.seconds_of(span.get("total_time")) is not None:
        yield tgi.call_of(span, ended, name)
    elif value.get("level") == "ERROR" and span and tgi.is_failure(str(message)):
        yield tgi.call_of(span, ended, name, error=str(message)[:2000])
    else:
        yield Other()


def _is_event(value: Json) -> bool:
    target = coerce.first(value, "target")
    return isinstance(target, str) and target.startswith(_TARGETS) and "level" in value
