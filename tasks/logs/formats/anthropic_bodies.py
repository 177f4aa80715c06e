"""Bodies of the Anthropic Messages API, whole or as the events of a stream.

`system` becomes the first message. Cached tokens are counted beside input_tokens there; here they
are part of the input, as OpenTelemetry has it. What its own tools did and a compacted context are
beside the text. The stop reason `refusal` is that of a classifier that stepped in: a verdict.
Source: the Anthropic API reference, Messages and (legacy) Text Completions.
"""

from __future__ import annotations

from tasks.logs.formats.exchange import Api, decode
from tasks.logs.shapes import coerce, usage
from tasks.logs.shapes.answers import Answer, verdict
from tasks.logs.shapes.parts import answer_of, conversation
from tasks.logs.shapes.records import Json

_READ = frozenset({
    "id", "type", "role", "content", "model", "stop_reason", "usage", "error", "request_id",
    "messages", "metadata", "completion",
})  # fmt: skip
_NOT_PARAMS = frozenset({"messages", "system", "model", "metadata", "prompt"})


def is_message(value: Json) -> bool:
    if isinstance(value, list):
        return bool(value) and coerce.first(value[0], "type") in ("message_start", "completion")
    if not isinstance(value, dict):
        return False
    if value.get("type") == "completion":  # of its first API, Text Completions
        return isinstance(value.get("completion"), str) and "stop_reason" in value
    if value.get("type") == "message":  # what people write elsewhere is of that type, too
        return isinstance(value.get("content"), list) and value.get("role") == "assistant"
    error = value.get("error")
    kind = error.get("type") if isinstance(error, dict) and value.get("type") == "error" else None
    return isinstance(kind, str) and kind.endswith("_error")


def is_question(value: dict[str, Json]) -> bool:
    """What only this API asks for: a required max_tokens with a system text, or its version."""
    if "anthropic_version" in value:
        return True
    return "messages" in value and "system" in value and "max_tokens" in value


def read_messages(request: dict[str, Json]) -> Json:
    asked = request.get("messages", request.get("prompt"))
    turns = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked
    return conversation(request.get("system"), turns)


def read_answer(value: Json) -> Answer:
    if isinstance(value, list):
        value = _from_events(value)
    if not isinstance(value, dict):
        return Answer(body=value)
    is_text = isinstance(value.get("completion"), str)
    blocks = [value["completion"]] if is_text else value.get("content")
    fallbacks = [block for block in coerce.sequence(blocks) if _is_fallback(block)]
    if fallbacks:
        blocks = [block for block in coerce.sequence(blocks) if not _is_fallback(block)]
    reason = coerce.text("stop_reason", value.get("stop_reason"))
    rest = {key: item for key, item in value.items() if key not in _READ and item is not None}
    if fallbacks:
        rest["fallback"] = fallbacks
    return Answer(
        message=answer_of(blocks) if isinstance(blocks, list) else None,
        response_id=coerce.text("id", value.get("id")),
        model=coerce.text("model", value.get("model")),
        finish_reason=reason,
        tokens=usage.tokens(value.get("usage"), cache_apart=True),
        error=value.get("error"),
        body=value,
        tags=rest,
        verdicts=_refused(value.get("stop_details")) if reason == "refusal" else None,
        operation="text_completion" if is_text else None,
    )


def _is_fallback(block: Json) -> bool:
    """A mark that another model goes on from here; nothing that was said."""
    return isinstance(block, dict) and block.get("type") == "fallback"


def _refused(details: Json) -> list[dict[str, Json]]:
    category, why = coerce.first(details, "category"), coerce.first(details, "explanation")
    return [verdict("anthropic", True, stage="output", reason=category, explanation=why)]


def _from_events(events: list[Json]) -> Json:
    """message_start, content_block_start / _delta, message_delta → the message they add up to."""
    whole: dict[str, Json] = {}
    blocks: dict[int, dict[str, Json]] = {}
    for event in events:
        if not isinstance(event, dict):
            return None
        kind = event.get("type")
        if kind == "message_start" and isinstance(event.get("message"), dict):
            whole.update(event["message"])
        elif kind == "content_block_start" and isinstance(event.get("content_block"), dict):
            blocks[coerce.index(event)] = dict(event["content_block"])
        elif kind == "content_block_delta" and isinstance(event.get("delta"), dict):
            _add_delta(blocks.setdefault(coerce.index(event), {"type": "text"}), event["delta"])
        elif kind == "message_delta":
            whole.update(coerce.mapping(event.get("delta")))
            counts = coerce.mapping(whole.get("usage")), coerce.mapping(event.get("usage"))
            whole["usage"] = counts[0] | counts[1]
        elif kind == "completion" and isinstance(event.get("completion"), str):
            whole.update({**event, "completion": whole.get("completion", "") + event["completion"]})
        elif kind == "error":
            whole["error"] = event.get("error")
    if blocks:
        whole["content"] = [_closed(blocks[index]) for index in sorted(blocks)]
    return whole


def _add_delta(block: dict[str, Json], delta: dict[str, Json]) -> None:
    for key, name in (("text", "text"), ("thinking", "thinking"), ("partial_json", "_json")):
        if isinstance(delta.get(key), str):
            before = block.get(name)
            block[name] = (before if isinstance(before, str) else "") + delta[key]
    if delta.get("type") == "compaction_delta" and delta.get("content") is not None:
        block["content"] = delta["content"]


def _closed(block: dict[str, Json]) -> dict[str, Json]:
    """A tool's arguments come as pieces of JSON text."""
    text = block.pop("_json", None)
    return block if text is None else {**block, "input": decode(text)}


ANTHROPIC = Api(
    "anthropic", ("/messages", "/v1/complete"), "chat", is_message, is_question, read_messages,
    read_answer, _NOT_PARAMS,
)  # fmt: skip
