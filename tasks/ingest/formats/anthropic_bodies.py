"""Bodies of Anthropic's Messages API, whole or as stream events.

`input_tokens` there leaves out what came from or went into the cache; here it is the whole prompt.
Source: the Messages API reference (message object, streaming events, errors).
"""

from __future__ import annotations

from tasks.ingest import coerce
from tasks.ingest.formats.blocks import from_blocks
from tasks.ingest.formats.bodies import Answer, Body, finish_reason, leftover
from tasks.ingest.json_text import parse
from tasks.ingest.records import Json, UnreadableError

_READ = frozenset({
    "id", "type", "role", "model", "content", "stop_reason", "usage", "error", "request_id",
})  # fmt: skip
_MAX_DEPTH = 100


def is_answer(value: Json) -> bool:
    """A message object, an error, or the events of a stream."""
    if isinstance(value, list):
        return any(isinstance(event, dict) and event.get("type") == "message_start"
                   for event in value[:5])  # fmt: skip
    if not isinstance(value, dict):
        return False
    if value.get("type") == "error":
        return isinstance(value.get("error"), dict)
    return value.get("type") == "message" and isinstance(value.get("content"), list)


def read_answer(body: Body) -> Answer:
    value = from_events(body.value) if isinstance(body.value, list) else body.value
    if not isinstance(value, dict):
        return Answer(leftover=leftover(value))
    content = value.get("content")
    found = None
    if isinstance(content, list) and content:
        found = from_blocks("assistant", content)[-1]
    error = value.get("error")
    rest = {key: item for key, item in value.items() if key not in _READ and item is not None}
    return Answer(
        message=found,
        response_id=coerce.text("id", value.get("id")),
        model=coerce.text("model", value.get("model")),
        finish_reason=finish_reason("stop_reason", value.get("stop_reason")),
        tokens=read_usage(value.get("usage")),
        error=error,
        leftover=None if found is not None or error else value,
        tags=rest if found is not None else {},
    )


def read_usage(usage: Json) -> dict[str, int | None]:
    if not isinstance(usage, dict):
        return {}
    names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    parts = [coerce.integer(f"usage.{name}", usage.get(name)) for name in names]
    inputs = None if parts[0] is None else sum(part or 0 for part in parts)
    outputs = coerce.integer("usage.output_tokens", usage.get("output_tokens"))
    return {
        "input_tokens": inputs,
        "output_tokens": outputs,
        "total_tokens": None if inputs is None or outputs is None else inputs + outputs,
        "cached_tokens": parts[1],
    }


def from_events(events: list[Json]) -> Json:
    """message_start, content_block_start, content_block_delta, …, message_delta → the message."""
    message: dict[str, Json] = {}
    blocks: dict[int, dict[str, Json]] = {}
    for event in events:
        if not isinstance(event, dict):
            return None
        kind, index = event.get("type"), event.get("index")
        index = index if isinstance(index, int) else 0
        said = event.get("delta")
        delta: dict[str, Json] = said if isinstance(said, dict) else {}
        if kind == "error":
            return event
        if kind == "message_start" and isinstance(event.get("message"), dict):
            message.update(event["message"])
        elif kind == "content_block_start" and isinstance(event.get("content_block"), dict):
            blocks[index] = dict(event["content_block"])
        elif kind == "content_block_delta":
            _add_delta(blocks.setdefault(index, {"type": "text", "text": ""}), delta)
        elif kind == "message_delta":
            message.update(delta)
            if isinstance(event.get("usage"), dict):
                message["usage"] = {**(message.get("usage") or {}), **event["usage"]}
    message["content"] = [_closed(blocks[index]) for index in sorted(blocks)]
    return message


def _add_delta(block: dict[str, Json], delta: dict[str, Json]) -> None:
    for key in ("text", "thinking", "partial_json"):
        if isinstance(delta.get(key), str):
            before = block.get(key)
            block[key] = (before if isinstance(before, str) else "") + delta[key]


def _closed(block: dict[str, Json]) -> dict[str, Json]:
    text = block.pop("partial_json", None)
    if isinstance(text, str) and text:
        try:
            block["input"] = parse(text.encode(), _MAX_DEPTH)
        except UnreadableError:  # cut off by max_tokens: what there is of it
            block["input"] = text
    return block
