"""OpenAI's Responses API: pairs, response objects, cassettes.

Source: the OpenAI API reference, response object. Items of `output` are messages, function calls
and reasoning; reasoning tokens are part of output_tokens.
"""

from __future__ import annotations

from collections.abc import Iterator

from tasks.ingest import coerce
from tasks.ingest.formats import exchanges
from tasks.ingest.formats.bodies import Answer, Body, leftover
from tasks.ingest.formats.exchanges import Dialect, Exchange
from tasks.ingest.json_text import dump
from tasks.ingest.messages import join_text
from tasks.ingest.records import Json, Record, UnreadableError

NAME = "openai_responses"
VERSION = "openai_responses@1"

#: of the response body: read, or a repetition of the request
_READ = frozenset({
    "id", "object", "created_at", "model", "output", "usage", "error", "status", "metadata",
    "instructions", "incomplete_details", "output_text", "feedback",
})  # fmt: skip


def _asks(request: Json) -> bool:
    return isinstance(request, dict) and "input" in request and "messages" not in request


def is_response(value: Json) -> bool:
    if isinstance(value, list):  # stream events; the last ones carry the whole response
        return _last_response(value) is not None
    return isinstance(value, dict) and value.get("object") == "response"


def _last_response(events: list[Json]) -> Json:
    wholes = (e.get("response") for e in reversed(events) if isinstance(e, dict))
    return next((r for r in wholes if isinstance(r, dict) and r.get("object") == "response"), None)


def read_answer(body: Body) -> Answer:
    value = _last_response(body.value) if isinstance(body.value, list) else body.value
    if not isinstance(value, dict):
        return Answer(leftover=leftover(value))
    output = value.get("output")
    found = _message(output) if isinstance(output, list) else None
    error = value.get("error")
    rest = {key: item for key, item in value.items() if key not in _READ and item is not None}
    return Answer(
        message=found,
        response_id=coerce.text("id", value.get("id")),
        model=coerce.text("model", value.get("model")),
        created=value.get("created_at"),
        finish_reason=_finish_reason(value, found),
        tokens=_tokens(value.get("usage")),
        error=error,
        leftover=None if found is not None or error else value,
        tags=rest if found is not None else {},
    )


def _finish_reason(value: dict[str, Json], message: dict[str, Json] | None) -> str | None:
    """In the words of chat completions."""
    details = value.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, dict) else None
    if reason is not None:
        return "length" if reason == "max_output_tokens" else coerce.text("reason", reason)
    if message is not None and message.get("tool_calls"):
        return "tool_calls"
    return "stop" if value.get("status") == "completed" else coerce.text("s", value.get("status"))


def _message(output: list[Json]) -> dict[str, Json] | None:
    parts: list[Json] = []
    tool_calls: list[Json] = []
    reasoning: list[Json] = []
    for item in output:
        kind = item.get("type") if isinstance(item, dict) else None
        if kind == "message" and isinstance(item.get("content"), list):
            parts += [_part(part) for part in item["content"]]
        elif kind == "function_call":
            tool_calls.append(_tool_call(item))
        elif kind == "reasoning" and isinstance(item.get("summary"), list):
            reasoning += item["summary"]
        elif kind is not None and kind != "reasoning":
            parts.append(item)
    if not parts and not tool_calls:
        return None
    message: dict[str, Json] = {"role": "assistant", "content": join_text(parts)}
    if tool_calls:
        message["tool_calls"] = tool_calls
    texts = [part["text"] for part in reasoning if isinstance(part, dict) and "text" in part]
    return {**message, "reasoning": "\n".join(map(str, texts))} if texts else message


def _part(part: Json) -> Json:
    if isinstance(part, dict) and part.get("type") == "refusal":
        return {"type": "text", "text": part.get("refusal")}
    return part


def _tool_call(item: dict[str, Json]) -> Json:
    arguments = item.get("arguments")
    text = arguments if isinstance(arguments, str) else dump(arguments)
    function = {"name": item.get("name"), "arguments": text}
    return {"id": item.get("call_id", item.get("id")), "type": "function", "function": function}


def _tokens(usage: Json) -> dict[str, int | None]:
    if not isinstance(usage, dict):
        return {}
    inputs, outputs = usage.get("input_tokens_details"), usage.get("output_tokens_details")
    read = {
        "input_tokens": usage.get("input_tokens"),
        "output_tokens": usage.get("output_tokens"),
        "total_tokens": usage.get("total_tokens"),
        "cached_tokens": inputs.get("cached_tokens") if isinstance(inputs, dict) else None,
        "reasoning_tokens": outputs.get("reasoning_tokens") if isinstance(outputs, dict) else None,
    }
    return {name: coerce.integer(f"usage.{name}", value) for name, value in read.items()}


def _messages(request: dict[str, Json]) -> Json:
    """instructions, then input: a text, messages, function calls and their results."""
    if "input" not in request:
        return None
    messages: list[Json] = []
    if request.get("instructions"):
        messages.append({"role": "system", "content": request["instructions"]})
    return messages + input_messages(request["input"])


def input_messages(items: Json) -> list[Json]:
    if isinstance(items, str):
        return [{"role": "user", "content": items}]
    return [_input_message(item) for item in (items if isinstance(items, list) else [items])]


def _input_message(item: Json) -> Json:
    if not isinstance(item, dict):
        return {"role": "user", "content": item}
    if item.get("type") == "function_call":
        return {"role": "assistant", "content": None, "tool_calls": [_tool_call(item)]}
    if item.get("type") == "function_call_output":
        return {"role": "tool", "tool_call_id": item.get("call_id"), "content": item.get("output")}
    if isinstance(item.get("content"), list):
        return {"role": item.get("role", "user"), "content": join_text(item["content"])}
    return {key: value for key, value in item.items() if key != "type"}


DIALECT = Dialect(
    provider="openai",
    endpoints=("/responses",),
    asks=_asks,
    answers=is_response,
    read_answer=read_answer,
    read_messages=_messages,
    operation=lambda request: "responses",
    not_params=frozenset({"input", "instructions", "model", "user", "metadata"}),
)


def matches(value: Json) -> bool:
    return (
        exchanges.is_cassette(value, DIALECT)
        or (isinstance(value, dict) and is_response(value))
        or exchanges.is_pair(value, DIALECT)
    )


def records(value: Json) -> Iterator[Record]:
    if not isinstance(value, dict):
        raise UnreadableError(f"expected an object, received {coerce.kind_of(value)}")
    if isinstance(value.get("interactions"), list):
        yield from exchanges.read_cassette(value, DIALECT)
    elif "request" in value and any(k in value for k in ("response", "error", "error_details")):
        yield from exchanges.read_pair(value, DIALECT)
    elif is_response(value):
        request = {key: value[key] for key in ("metadata", "instructions") if value.get(key)}
        alone = Exchange(Body(request), Body(value))
        yield from exchanges.with_feedback(alone, value.get("feedback"), DIALECT)
    else:
        raise UnreadableError("neither a request with its response nor a response object")
