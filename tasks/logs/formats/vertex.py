"""Vertex AI: rows of its request-response log, and lines of batch predictions.

The log is a BigQuery table: bodies in full_request and full_response (JSON, or JSON text), or in
lists of JSON text, one a chunk. request_id is unique; logging_time is when the answer was logged.
Of a batch an input line alone is no call. Partner models (Claude) speak their own API. Source:
Google Cloud's guides to request-response logging and to batch inference with Gemini.
"""

from __future__ import annotations

from collections.abc import Iterator

from tasks.logs.formats.apis import GEMINI, api_of
from tasks.logs.formats.exchange import Exchange, decode
from tasks.logs.formats.exchange_call import call_of
from tasks.logs.shapes import coerce
from tasks.logs.shapes.json_text import nested
from tasks.logs.shapes.records import Call, Json, Other, Record, UnreadableError

NAME = "vertex"
VERSION = "vertex@1"

_LOG = ("logging_time", "deployed_model_id", "request_payload", "response_payload")
_KEPT = ("endpoint", "deployed_model_id", "api_method", "model_version")
_METHODS = ("countTokens", "computeTokens")


def matches(value: Json) -> bool:
    if not isinstance(value, dict):
        return False
    full = "full_request" in value or "full_response" in value
    if isinstance(value.get("logging_time"), str | int | float) and (
        full or all(key in value for key in _LOG)
    ):
        return True
    asked = isinstance(decode(value.get("request")), dict)
    return (
        isinstance(value.get("processed_time"), str)
        and asked
        and ("response" in value or "status" in value)
    )


def records(value: Json) -> Iterator[Record]:
    value = coerce.an_object(value)
    if "processed_time" in value:
        yield _batched(value)
    elif "logging_time" in value:
        yield Other() if value.get("api_method") in _METHODS else _logged(value)
    else:
        raise UnreadableError("neither logging_time nor processed_time of Vertex AI is in it")


def _logged(value: dict[str, Json]) -> Call:
    request = _body(value.get("full_request"), value.get("request_payload"))
    response = _body(value.get("full_response"), value.get("response_payload"))
    metadata = coerce.mapping(decode(value.get("metadata")))
    latency = coerce.seconds("request_latency", metadata.get("request_latency"), 1000.0)
    around: dict[str, Json] = {key: value[key] for key in _KEPT if value.get(key) is not None}
    around |= {
        "id": value.get("request_id"),
        "started_at": value["logging_time"],
        "latency_s": latency,
        "provider": "gcp.vertex_ai",
        "metadata": {k: v for k, v in metadata.items() if k != "request_latency"},
    }
    named = coerce.text("model", value.get("model"))  # "publishers/google/models/NAME"
    around["model"] = named and named.rpartition("/")[2]
    return _call(request, response, around)


def _body(full: Json, payload: Json) -> Json:
    """In one piece, or in pieces: chunks, each of them JSON, or a JSON text that was cut."""
    whole = decode(full)
    if whole not in (None, "", {}):
        return whole
    pieces = nested(payload)
    if isinstance(pieces, list) and all(isinstance(piece, str) for piece in pieces):
        decoded = [decode(piece) for piece in pieces]
        if any(isinstance(piece, str) for piece in decoded):
            return decode("".join(pieces)) or None
        pieces = decoded
    if isinstance(pieces, list) and len(pieces) <= 1:
        return pieces[0] if pieces else None
    return pieces or None


def _batched(value: dict[str, Json]) -> Call:
    """`status` is empty where all went well, else the words of an error."""
    status = value.get("status")
    around: dict[str, Json] = {
        "id": value.get("key", value.get("custom_id")),
        "provider": "gcp.vertex_ai",
        "processed_time": value.get("processed_time"),
        "error": value.get("error") or status or None,
    }
    response = decode(value.get("response"))
    return _call(decode(value.get("request")), response if response != {} else None, around)


def _call(request: Json, response: Json, around: dict[str, Json]) -> Call:
    exchange = Exchange(request, response, around, recorded=response not in (None, ""))
    return call_of(exchange, api_of(exchange) or GEMINI)
