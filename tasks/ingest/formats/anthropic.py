"""Anthropic Messages: pairs, message objects, cassettes.

Source: the Messages API reference.
"""

from __future__ import annotations

from collections.abc import Iterator

from tasks.ingest import coerce
from tasks.ingest.formats import anthropic_bodies, exchanges
from tasks.ingest.formats.blocks import message_list
from tasks.ingest.formats.bodies import Body
from tasks.ingest.formats.exchanges import Dialect, Exchange
from tasks.ingest.records import Json, Record, UnreadableError

NAME = "anthropic"
VERSION = "anthropic@1"


def _asks(request: Json) -> bool:
    """By what the API demands and no other has: max_tokens, and Claude's name or its version."""
    if not isinstance(request, dict) or "messages" not in request:
        return False
    is_claude = isinstance(request.get("model"), str) and request["model"].startswith("claude")
    return "anthropic_version" in request or (is_claude and "max_tokens" in request)


def _messages(request: dict[str, Json]) -> Json:
    if "messages" not in request:
        return None
    return message_list(request["messages"], request.get("system"))


DIALECT = Dialect(
    provider="anthropic",
    endpoints=("/v1/messages",),
    asks=_asks,
    answers=anthropic_bodies.is_answer,
    read_answer=anthropic_bodies.read_answer,
    read_messages=_messages,
    operation=lambda request: "chat",
    not_params=frozenset({"messages", "system", "model", "metadata", "anthropic_version"}),
)


def matches(value: Json) -> bool:
    return (
        exchanges.is_cassette(value, DIALECT)
        or (isinstance(value, dict) and "request" not in value and _is_message(value))
        or exchanges.is_pair(value, DIALECT)
    )


def records(value: Json) -> Iterator[Record]:
    if not isinstance(value, dict):
        raise UnreadableError(f"expected an object, received {coerce.kind_of(value)}")
    if isinstance(value.get("interactions"), list):
        yield from exchanges.read_cassette(value, DIALECT)
    elif "request" in value and any(k in value for k in ("response", "error", "error_details")):
        yield from exchanges.read_pair(value, DIALECT)
    elif _is_message(value):
        alone = Exchange(Body({}), Body(value))
        yield from exchanges.with_feedback(alone, value.get("feedback"), DIALECT)
    else:
        raise UnreadableError("neither a request with its response nor a message")


def _is_message(value: dict[str, Json]) -> bool:
    return value.get("role") == "assistant" and anthropic_bodies.is_answer(value)
