"""Bodies of HTTP exchanges with a model: out of their wrapping, whatever API they speak.

A body comes bare, under "body" or "parsed_body", as JSON text, under "string" (VCR), as
a list of stream chunks or as the text of an event stream.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tasks.ingest import coerce
from tasks.ingest.json_text import parse
from tasks.ingest.records import Json, UnreadableError

_MAX_DEPTH = 100
#: how much of a body that is no completion is kept for people to look at
_MAX_LEFTOVER = 2000
_FINISH_REASONS = {
    "end_turn": "stop", "stop_sequence": "stop", "stop": "stop", "complete": "stop",
    "finish": "stop", "max_tokens": "length", "length": "length", "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter", "content_filtered": "content_filter",
    "refusal": "content_filter", "safety": "content_filter",
}  # fmt: skip
_CONTENTS = ("choices", "messages", "content", "input", "output")


@dataclass(frozen=True, slots=True)
class Body:
    """A body and the HTTP status that came with it."""

    value: Json
    status: Json = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a response body says. `message` None: there is no completion in it."""

    message: dict[str, Json] | None = None
    response_id: str | None = None
    model: str | None = None
    created: Json = None
    finish_reason: str | None = None
    tokens: dict[str, Any] = field(default_factory=dict)
    other_choices: list[Json] = field(default_factory=list)
    error: Json = None
    leftover: Json = None
    tags: dict[str, Json] = field(default_factory=dict)


def unwrap(value: Json) -> Body:
    """The body inside whatever a log or a cassette wraps it in."""
    if not isinstance(value, dict):
        return Body(decode(value))
    status = value.get("status_code", value.get("status"))
    if isinstance(status, dict):
        status = status.get("code")
    if not isinstance(status, int | str):
        status = None
    if not any(key in value for key in _CONTENTS):
        for key in ("parsed_body", "body"):
            if key in value:
                return Body(decode(value[key]), status)
        if "headers" in value:
            return Body(None, status)
    return Body(value)


def decode(value: Json) -> Json:
    """JSON text and event streams read; anything else as it is."""
    if isinstance(value, dict) and set(value) <= {"string", "encoding", "base64_string"}:
        value = value.get("string")
    if isinstance(value, str) and value.lstrip().startswith(("{", "[")):
        try:
            return parse(value.encode(), _MAX_DEPTH)
        except UnreadableError:
            return value
    if isinstance(value, str) and value.lstrip().startswith(("data:", "event:")):
        return _event_stream(value)
    return value


def _event_stream(text: str) -> Json:
    chunks: list[Json] = []
    for line in text.splitlines():
        content = line.removeprefix("data:").strip()
        if not line.startswith("data:") or content == "[DONE]" or not content:
            continue
        try:
            chunks.append(parse(content.encode(), _MAX_DEPTH))
        except UnreadableError:
            return text
    return chunks or text


def leftover(value: Json) -> Json:
    """What is kept of a body that cannot be used."""
    return value[:_MAX_LEFTOVER] if isinstance(value, str) else value


def finish_reason(name: str, value: Json) -> str | None:
    """In the words of chat completions, where the API has others for the same."""
    word = coerce.text(name, value)
    return None if word is None else _FINISH_REASONS.get(word.lower(), word)


def error_name(error: Json) -> str:
    """The class of an error: its code, else its type, else whatever short text it is."""
    if isinstance(error, dict):
        inner: dict[str, Json] = error
        if isinstance(error.get("error"), dict):
            inner = error["error"]
        for key in ("code", "type", "name"):
            if isinstance(inner.get(key), str | int) and inner.get(key):
                return str(inner[key])[:200]
        return "error"
    return str(error)[:200] if isinstance(error, str | int) else "error"


def host_of(uri: Json) -> str | None:
    if not isinstance(uri, str):
        return None
    try:
        return urlsplit(uri).hostname
    except ValueError:
        return None
