"""Bodies of OpenAI-compatible chat completion calls."""

from __future__ import annotations

from tasks.ingest import coerce
from tasks.ingest.formats.bodies import Answer, Body, leftover
from tasks.ingest.records import Json

_COMPLETIONS = ("chat.completion", "text_completion")
_READ = frozenset({
    "id", "object", "created", "model", "choices", "usage", "error", "messages", "metadata",
    "feedback",
})  # fmt: skip


def is_completion(value: Json) -> bool:
    if not isinstance(value, dict):
        return False
    return value.get("object") in _COMPLETIONS or (
        isinstance(value.get("choices"), list) and ("model" in value or "usage" in value)
    )


def read_answer(body: Body) -> Answer:
    value = body.value
    if isinstance(value, list):
        value = from_chunks(value)
    if not isinstance(value, dict):
        return Answer(leftover=leftover(value))
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
        tokens=read_usage(value.get("usage")),
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


def read_usage(usage: Json) -> dict[str, int | None]:
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


def from_chunks(chunks: list[Json]) -> Json:
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
