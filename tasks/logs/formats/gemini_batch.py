"""Batches of the Gemini API: lines that a key of their own names, and batches with inline answers.

Output: {"key", "response"} or {"key", "error"}, whose questions who reads them hands in by the key
(see batch_inputs.py); an input line {"key", "request"} alone is no call.
A key is unique only within its batch: where the answer has no id, that of the call is the key and
a digest of the line. Source: the Gemini API guide to the Batch API.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

from tasks.logs.formats.apis import GEMINI, api_of
from tasks.logs.formats.exchange import Exchange, decode
from tasks.logs.formats.exchange_call import call_of
from tasks.logs.shapes import coerce
from tasks.logs.shapes.dead import or_dead
from tasks.logs.shapes.json_text import dump
from tasks.logs.shapes.records import Call, Json, Other, Record, UnreadableError

NAME = "gemini_batch"
VERSION = "gemini_batch@2"
#: of a line, in input and output
ID = "key"

_LINE = frozenset({"key", "request", "response", "error", "status", "metadata"})


def matches(value: Json) -> bool:
    if not isinstance(value, dict):
        return False
    return bool(_inline(value)) or _is_line(value)


def is_input(value: Json) -> bool:
    return isinstance(value, dict) and _is_line(value) and not _is_answered(value)


def lacks_question(value: Json) -> bool:
    return _is_answered(value) and "request" not in value


def _is_answered(value: dict[str, Json]) -> bool:
    return "response" in value or "error" in value


def records(value: Json) -> Iterator[Record]:
    yield from joined(value, {})


def joined(value: Json, requests: Mapping[str, Json]) -> Iterator[Record]:
    """The records of a line, with the question from `requests` (input lines by their key)."""
    value = coerce.an_object(value)
    inline = _inline(value)
    for item in inline:
        yield or_dead(item, _call, item, value)
    if inline:
        return
    if not _is_line(value):
        raise UnreadableError("no key with a request, a response or an error of a Gemini batch")
    asked = coerce.mapping(requests.get(str(value["key"]))).get("request")
    yield _call(value, {}, asked) if _is_answered(value) else Other()


def _is_line(value: dict[str, Json]) -> bool:
    """Its response or request looks like Gemini's; a bare error has nothing else around it."""
    if not isinstance(value.get("key"), str | int) or not value.keys() <= _LINE:
        return False
    if GEMINI.is_answer(decode(value.get("response"))):
        return True
    asked = decode(value.get("request"))
    if isinstance(asked, dict):
        return GEMINI.is_question(asked)
    error = value.get("error")
    return isinstance(error, dict) and "message" in error and value.keys() <= {"key", "error"}


def _inline(value: dict[str, Json]) -> list[Json]:
    """{"response": {"inlinedResponses": {"inlinedResponses": […]}}} of a batch, or its `dest`."""
    holder = coerce.first(value, "response", "dest", "output") or value
    inner = coerce.first(holder, "inlinedResponses", "inlined_responses")
    return coerce.sequence(coerce.first(inner, "inlinedResponses", "inlined_responses") or inner)


def _call(item: Json, batch: dict[str, Json], asked: Json = None) -> Call:
    if not isinstance(item, dict):
        raise UnreadableError(f"expected an answer, received {coerce.kind_of(item)}")
    metadata = coerce.mapping(item.get("metadata"))
    key = coerce.text("key", item.get("key", metadata.get("key")))
    named = coerce.text("model", batch.get("model"))
    around: dict[str, Json] = {
        "batch_key": key,
        "model": named and named.removeprefix("models/"),
        "error": item.get("error"),
        "metadata": {name: each for name, each in metadata.items() if name != "key"},
    }
    exchange = Exchange(decode(item.get("request", asked)), decode(item.get("response")), around)
    call = call_of(exchange, api_of(exchange) or GEMINI)
    if call.request_id is None:
        digest = hashlib.sha256(dump(item).encode()).hexdigest()[:16]
        call.request_id = f"{key or 'gemini'}:{digest}"
    return call
