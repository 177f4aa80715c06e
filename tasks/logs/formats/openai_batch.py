"""Batch API files: OpenAI's output, error and input lines, and Anthropic's batch results.

Output lines come in any order and hold no question: who reads them hands in the requests by
custom_id (see batch_inputs.py). An input line alone is no call yet. Source: the OpenAI API
reference, Batch request input and output objects; the Anthropic API reference, Message Batches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from tasks.logs.formats import exchange as exchanges
from tasks.logs.formats.apis import ANTHROPIC, CHAT, api_of
from tasks.logs.formats.exchange import Exchange
from tasks.logs.formats.exchange_call import call_of
from tasks.logs.shapes import coerce
from tasks.logs.shapes.records import Call, Json, Other, Record, UnreadableError

NAME = "openai_batch"
VERSION = "openai_batch@4"
#: of a line, in input and output
ID = "custom_id"


def matches(value: Json) -> bool:
    if not isinstance(value, dict) or "custom_id" not in value:
        return False
    output = "response" in value and "error" in value
    told = any(isinstance(value.get(name), dict) for name in ("response", "error"))
    return (output and told) or isinstance(value.get("result"), dict) or is_input(value)


def is_input(value: Json) -> bool:
    if not isinstance(value, dict) or "custom_id" not in value:
        return False
    asked = isinstance(value.get("body"), dict) and "url" in value
    params = value.get("params")
    return asked or (isinstance(params, dict) and "messages" in params)


def lacks_question(value: Json) -> bool:
    return not is_input(value)


def records(value: Json) -> Iterator[Record]:
    yield from joined(value, {})


def joined(value: Json, requests: Mapping[str, Json]) -> Iterator[Record]:
    """The records of a line, with the question from `requests` (input lines by custom_id)."""
    if not isinstance(value, dict) or "custom_id" not in value:
        raise UnreadableError("no custom_id in it: no line of a batch")
    custom_id = coerce.text("custom_id", value["custom_id"])
    if is_input(value):
        yield Other()
        return
    asked = coerce.mapping(requests.get(custom_id or ""))
    body = asked.get("body", asked.get("params"))
    result = value.get("result")
    if isinstance(result, dict):
        yield _anthropic(result, body, custom_id)
    elif "response" in value or "error" in value:
        yield _openai(value, body, custom_id, asked.get("url"))
    else:
        raise UnreadableError("neither response nor error of a batch line is in it")


def _openai(value: dict[str, Json], request: Json, custom_id: str | None, url: Json) -> Call:
    wrapped = value.get("response")
    around: dict[str, Json] = {
        "custom_id": custom_id,
        "id": value.get("id"),
        "error": value.get("error"),
        "upstream_request_id": coerce.first(wrapped, "request_id"),
    }
    body, status = exchanges.unwrap(wrapped), exchanges.status_of(wrapped)
    exchange = Exchange(request, body, around, url, status)
    return call_of(exchange, api_of(exchange) or CHAT)


def _anthropic(result: dict[str, Json], request: Json, custom_id: str | None) -> Call:
    kind = result.get("type")
    around: dict[str, Json] = {"custom_id": custom_id}
    if kind != "succeeded":
        around["error"] = result.get("error") or {"type": kind}
    call = call_of(Exchange(request, result.get("message"), around), ANTHROPIC)
    return call if call.request_id else replace(call, request_id=f"batch:{custom_id}")
