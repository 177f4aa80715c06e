"""Bodies of OpenAI-compatible chat completion calls: out of their wrapping, and read.

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
_COMPLETIONS = ("chat.completion", "text_completion")
_READ = frozenset({
    "id", "object", "created", "model", "choices", "usage", "error", "messages", "metadata",
    "feedback",
})  # fmt: skip


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


def is_completion(value: Json) -> bool:
    if not isinstance(value, dict):
        return False
    return value.get("object") in _COMPLETIONS or (
        isinstance(value.get("choices"), list) and ("model" in value or "usage" in value)
    )


def unwrap(value: Json) -> Body:
    """The body inside whatever a log or a cassette wraps it in."""
    if not isinstance(value, dict):
        return Body(_decode(value))
    status = value.get("status_code", value.get("status"))
    if isinstance(status, dict):
        status = status.get("code")
    if not isinstance(status, int | str):
        status = None
    for key in ("parsed_body", "body"):
        if key in value and "choices" not in value and "messages" not in value:
            return Body(_decode(value[key]), status)
    if "headers" in value and "choices" not in value:
        return Body(None, status)
    return Body(value)


def _decode(value: Json) -> Json:
    if isinstance(value, dict) and set(value) <= {"string", "encoding", "base64_string"}:
        value = value.get("string")
    if isinstance(value, str) and value.lstrip().startswith(("{", "[")):
        try:
            return parse(value.encode(), _MAX_DEPTH)
        except UnreadableError:
            return value
    if isinstance(value, str) and value.lstrip().startswith("data:"):
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


def read_answer(body: Body) -> Answer:
    value = body.value
    if isinstance(value, list):
        value = _from_chunks(value)
    if not isinstance(value, dict):
        text = value[:_MAX_LEFTOVER] if isinstance(value, str) else value
        return Answer(leftover=text)
    choices = value.get("choices")
    choices = choices if isinstance(choices, list) else []
    messages = [_message(choice) for choice in choices]
    found = messages[0] if messages else None
    first = choices[0] if choices and isinstance(choices[0], dict) else {}
    error = value.get("error")
    rest = {key: item for key, item in value.items() if key not in _READ and item is not None}
    return Answer(
        message=found,
        response_id=coerce.text("id", value.get("id")),
        model=coerce.text("model", value.get("model")),
        created=value.get("created"),
        finish_reason=coerce.text("finish_reason", first.get("finish_reason")),
        tokens=_tokens(value.get("usage")),
        other_choices=[message for message in messages[1:] if message is not None],
        error=error,
        leftover=None if found is not None or error else value,
        tags=rest if found is not None else {},
    )


def _message(choice: Json) -> dict[str, Json] | None:
    if not isinstance(choice, dict):
        return None
    message = choice.get("message")
    if isinstance(message, dict) and any(
        message.get(key) is not None
        for key in ("content", "tool_calls", "function_call", "refusal", "audio", "reasoning")
    ):
        kept = {key: item for key, item in message.items() if item is not None and item != []}
        return {"role": "assistant", "content": None, **kept}
    if isinstance(choice.get("text"), str):
        return {"role": "assistant", "content": choice["text"]}
    return None


def _tokens(usage: Json) -> dict[str, int | None]:
    if not isinstance(usage, dict):
        return {}
    inputs = usage.get("prompt_tokens_details")
    outputs = usage.get("completion_tokens_details")
    read = {
        "input_tokens": usage.get("prompt_tokens", usage.get("input_tokens")),
        "output_tokens": usage.get("completion_tokens", usage.get("output_tokens")),
        "total_tokens": usage.get("total_tokens"),
        "cached_tokens": inputs.get("cached_tokens") if isinstance(inputs, dict) else None,
        "reasoning_tokens": outputs.get("reasoning_tokens") if isinstance(outputs, dict) else None,
    }
    return {name: coerce.integer(f"usage.{name}", value) for name, value in read.items()}


def _from_chunks(chunks: list[Json]) -> Json:
    """Stream chunks put together into the completion they add up to."""
    whole: dict[str, Json] = {"choices": []}
    pieces: dict[int, dict[str, Json]] = {}
    for chunk in chunks:
        if not isinstance(chunk, dict):
            return None
        for key, value in chunk.items():
            if key != "choices" and value is not None:
                whole[key] = value
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else []:
            if isinstance(choice, dict):
                index = choice.get("index")
                _add_delta(pieces.setdefault(index if isinstance(index, int) else 0, {}), choice)
    for index in sorted(pieces):
        message = {key: value for key, value in pieces[index].items() if key != "finish_reason"}
        if isinstance(message.get("tool_calls"), dict):
            message["tool_calls"] = list(message["tool_calls"].values())
        whole["choices"].append(
            {
                "index": index,
                "message": message,
                "finish_reason": pieces[index].get("finish_reason"),
            }
        )
    return whole


def _add_delta(piece: dict[str, Json], choice: dict[str, Json]) -> None:
    if choice.get("finish_reason"):
        piece["finish_reason"] = choice["finish_reason"]
    delta = choice.get("delta")
    if not isinstance(delta, dict):
        return
    for key, value in delta.items():
        if key == "tool_calls" and isinstance(value, list):
            for call in value:
                if isinstance(call, dict):
                    _add_call(piece.setdefault("tool_calls", {}), call)
        elif isinstance(value, str) and key != "role":
            piece[key] = (piece.get(key) or "") + value
        elif value is not None:
            piece[key] = value


def _add_call(calls: dict[Json, Json], delta: dict[str, Json]) -> None:
    known = calls.setdefault(str(delta.get("index", 0)), {"function": {"arguments": ""}})
    function = delta.get("function")
    for key, value in delta.items():
        if key not in ("index", "function") and value is not None:
            known[key] = value
    if isinstance(function, dict):
        if function.get("name"):
            known["function"]["name"] = function["name"]
        if isinstance(function.get("arguments"), str):
            known["function"]["arguments"] += function["arguments"]


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


def provider_of(host: str | None) -> str | None:
    if host is None or host == "api.openai.com":
        return "openai"
    return "azure.ai.openai" if host.endswith(".openai.azure.com") else host
