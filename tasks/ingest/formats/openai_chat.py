"""OpenAI chat completions: pairs, completion objects, cassettes.

A completion object may stand alone (stored completions carry their "messages").

Source: the OpenAI API reference, chat completion object and chunk object. Reasoning tokens are
part of completion_tokens there.
"""

from __future__ import annotations

from collections.abc import Iterator

from tasks.ingest import coerce
from tasks.ingest.feedback import feedback_alone, is_feedback_record
from tasks.ingest.formats import exchanges, openai_bodies
from tasks.ingest.formats.bodies import Body
from tasks.ingest.formats.exchanges import Dialect, Exchange
from tasks.ingest.messages import message_list
from tasks.ingest.records import Json, Record, UnreadableError

NAME = "openai_chat"
VERSION = "openai_chat@2"


def _asks(request: Json) -> bool:
    return isinstance(request, dict) and ("messages" in request or "prompt" in request)


def _messages(request: dict[str, Json]) -> Json:
    value = request.get("messages", request.get("prompt"))
    return None if value is None else message_list("messages", value)


def _operation(request: dict[str, Json]) -> str:
    return "text_completion" if "prompt" in request and "messages" not in request else "chat"


DIALECT = Dialect(
    provider="openai",
    endpoints=("/completions",),
    asks=_asks,
    answers=openai_bodies.is_completion,
    read_answer=openai_bodies.read_answer,
    read_messages=_messages,
    operation=_operation,
    not_params=frozenset({"messages", "prompt", "input", "model", "user", "metadata"}),
)


def matches(value: Json) -> bool:
    return (
        exchanges.is_cassette(value, DIALECT)
        or openai_bodies.is_completion(value)
        or exchanges.is_pair(value, DIALECT)
    )


def records(value: Json) -> Iterator[Record]:
    if not isinstance(value, dict):
        raise UnreadableError(f"expected an object, received {coerce.kind_of(value)}")
    if isinstance(value.get("interactions"), list):
        yield from exchanges.read_cassette(value, DIALECT)
    elif is_feedback_record(value):
        yield feedback_alone(value)
    elif openai_bodies.is_completion(value):
        request = {key: value[key] for key in ("messages", "metadata") if value.get(key)}
        alone = Exchange(Body(request), Body(value))
        yield from exchanges.with_feedback(alone, value.get("feedback"), DIALECT)
    elif "request" in value and any(k in value for k in ("response", "error", "error_details")):
        yield from exchanges.read_pair(value, DIALECT)
    else:
        raise UnreadableError("neither a request with its response nor a chat completion")
