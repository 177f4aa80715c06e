"""Bodies of OpenAI-compatible chat completions, text completions and embeddings.

What others put into them is read too: thinking inside the content (Mistral), counts inside a choice
(Kimi) or beside it (Groq), cost (OpenRouter, Perplexity, xAI), content filters (Azure), stop_reason
(Bedrock). A spoken answer is its transcript. Source: the OpenAI API reference, chat completion
object and chunk object, and those of the providers named. Reasoning tokens are part of
completion_tokens there.
"""

from __future__ import annotations

from tasks.logs.formats.exchange import Api
from tasks.logs.shapes import coerce, usage
from tasks.logs.shapes.answers import Answer, verdict
from tasks.logs.shapes.messages import message_list, with_refusal
from tasks.logs.shapes.parts import message_of
from tasks.logs.shapes.providers import named
from tasks.logs.shapes.records import Json

_COMPLETIONS = ("chat.completion", "text_completion")
_READ = frozenset({
    "id", "object", "created", "model", "choices", "usage", "error", "messages", "metadata",
    "feedback", "provider", "x_groq",
})  # fmt: skip
#: of the request body: no sampling parameter
_NOT_PARAMS = frozenset({"messages", "prompt", "input", "model", "user", "metadata"})
_FILTERED = ("content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation")


def is_completion(value: Json) -> bool:
    if isinstance(value, list):
        return any(coerce.first(chunk, "object") == "chat.completion.chunk" for chunk in value)
    if not isinstance(value, dict):
        return False
    if value.get("object") in _COMPLETIONS:
        return True
    choices = value.get("choices")
    if not isinstance(choices, list):
        return False
    return "model" in value or "usage" in value or _is_choice(choices[0] if choices else None)


def _is_choice(value: Json) -> bool:
    """As InvokeModel of Bedrock has it, without anything around."""
    if not isinstance(value, dict) or not ("stop_reason" in value or "finish_reason" in value):
        return False
    return isinstance(value.get("message"), dict) or isinstance(value.get("text"), str)


def read_messages(request: dict[str, Json]) -> Json:
    value = request.get("messages", request.get("prompt"))
    if isinstance(value, list):
        value = [_without_thinking(message) for message in value]
    return None if value is None else message_list("messages", value)


def _without_thinking(message: Json) -> Json:
    """Mistral's own turns, as they come back with the next question."""
    blocks = message.get("content") if isinstance(message, dict) else None
    if not isinstance(blocks, list) or not any(
        coerce.first(block, "type") in ("thinking", "reference") for block in blocks
    ):
        return message
    return {**message, **message_of("assistant", blocks)[0], "role": message.get("role")}


def read_answer(value: Json) -> Answer:
    if isinstance(value, list):
        value = _from_chunks(value)
    if not isinstance(value, dict):
        return Answer(body=value)
    choices = coerce.sequence(value.get("choices"))
    messages = [_message(choice) for choice in choices]
    first = choices[0] if choices and isinstance(choices[0], dict) else {}
    counts = _usage_of(value, first)
    reason = coerce.text("finish_reason", coerce.first(first, "finish_reason", "stop_reason"))
    rest = {key: item for key, item in value.items() if key not in _READ and item is not None}
    return Answer(
        message=messages[0] if messages else None,
        response_id=coerce.text("id", value.get("id")),
        model=coerce.text("model", value.get("model")),
        created=value.get("created"),
        finish_reason=reason,
        tokens=usage.tokens(counts),
        other_choices=[message for message in messages[1:] if message],
        error=value.get("error"),
        body=value,
        tags=rest,
        verdicts=_verdicts(value, first, reason),
        provider=_provider(value),
        operation="text_completion" if _is_text(value, first) else None,
        cost_usd=usage.cost(counts),
    )


def _usage_of(value: dict[str, Json], choice: dict[str, Json]) -> Json:
    """Groq's streams have the counts in an object of their own, Kimi's in the last choice."""
    return value.get("usage") or coerce.first(value.get("x_groq"), "usage") or choice.get("usage")


def _is_text(value: dict[str, Json], choice: dict[str, Json]) -> bool:
    """A text completion, whatever the request was."""
    return value.get("object") == "text_completion" or (
        "object" not in value and "message" not in choice and isinstance(choice.get("text"), str)
    )


def _provider(value: dict[str, Json]) -> str | None:
    """OpenRouter tells who served it."""
    if "x_groq" in value:
        return "groq"
    told = value.get("provider")
    return named(told) if isinstance(told, str) else None


def _verdicts(
    value: dict[str, Json], choice: dict[str, Json], reason: str | None
) -> list[dict[str, Json]]:
    """Of the content filter, on the answer or on the question; Azure tells what it found."""
    if reason == "content_filter":
        found = _caught(choice.get("content_filter_results"))
        return [verdict("content_filter", True, stage="output", categories=found)]
    error = value.get("error")
    if coerce.first(error, "code") in _FILTERED:
        inner = coerce.first(error, "innererror", "inner_error")
        found = _caught(coerce.first(inner, "content_filter_result", "content_filter_results"))
        return [verdict("content_filter", True, stage="input", categories=found)]
    return []


def _caught(results: Json) -> list[str]:
    """The categories that were filtered; lists of words have a list of findings."""
    return [
        name
        for name, found in coerce.mapping(results).items()
        if any(coerce.first(each, "filtered") is True
               for each in (found if isinstance(found, list) else [found]))
    ]  # fmt: skip


def _message(choice: Json) -> dict[str, Json] | None:
    if not isinstance(choice, dict):
        return None
    message = choice.get("message")
    if isinstance(message, dict):
        kept = {key: item for key, item in message.items() if item is not None and item != []}
        if isinstance(kept.get("content"), list):
            kept |= message_of("assistant", kept["content"])[0]
        elif not kept.get("content"):
            spoken = coerce.first(kept.get("audio"), "transcript")
            if isinstance(spoken, str):
                kept["content"] = spoken
        return with_refusal({"role": "assistant", "content": None, **kept})
    if isinstance(choice.get("text"), str):
        return {"role": "assistant", "content": choice["text"]}
    return None


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
        for choice in coerce.sequence(chunk.get("choices")):
            if isinstance(choice, dict):
                _add_delta(pieces.setdefault(coerce.index(choice), {}), choice)
    for index in sorted(pieces):
        piece = pieces[index]
        ended = {key: piece.pop(key, None)
                 for key in ("finish_reason", "usage", "content_filter_results")}  # fmt: skip
        text = piece.pop("text", None)
        if isinstance(piece.get("tool_calls"), dict):
            piece["tool_calls"] = list(piece["tool_calls"].values())
        said = {"message": piece} if text is None else {"text": text}
        whole["choices"].append({"index": index, **said, **ended})
    return whole


def _add_delta(piece: dict[str, Json], choice: dict[str, Json]) -> None:
    for key in ("finish_reason", "usage", "content_filter_results"):
        if choice.get(key):
            piece[key] = choice[key]
    if isinstance(choice.get("text"), str):
        _append(piece, "text", choice["text"])
    delta = choice.get("delta")
    if not isinstance(delta, dict):
        return
    for key, value in delta.items():
        if key == "tool_calls" and isinstance(value, list):
            for call in value:
                if isinstance(call, dict):
                    _add_call(piece.setdefault("tool_calls", {}), call)
        elif key == "content" and isinstance(value, list):
            for message in message_of("assistant", value):
                for name in ("content", "reasoning"):
                    if isinstance(message.get(name), str):
                        _append(piece, name, message[name])
        elif isinstance(value, str) and key != "role":
            _append(piece, key, value)
        elif key == "audio" and isinstance(value, dict):
            audio = piece.setdefault("audio", {})
            for name in ("transcript", "data"):
                if isinstance(value.get(name), str) and isinstance(audio, dict):
                    _append(audio, name, value[name])
        elif value is not None:
            piece[key] = value


def _append(piece: dict[str, Json], key: str, text: str) -> None:
    before = piece.get(key)
    piece[key] = (before if isinstance(before, str) else "") + text


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


def _is_embeddings(value: Json) -> bool:
    items = coerce.first(value, "data")
    if not isinstance(items, list):
        return False
    if not items:  # a gateway may leave the vectors out
        return coerce.first(value, "object") == "list" and "usage" in value and "model" in value
    return isinstance(items[0], dict) and "embedding" in items[0]


def _read_embeddings(value: Json) -> Answer:
    """The vectors are not kept; that they came makes the call complete."""
    if not _is_embeddings(value):
        return read_answer(value)
    counts = usage.tokens(_usage_of(value, {}))
    if counts.get("input_tokens") is None:  # there is nothing else to count
        counts["input_tokens"] = counts.get("total_tokens")
    return Answer(
        model=coerce.text("model", value.get("model")),
        tokens=counts,
        complete=True,
        operation="embeddings",
    )


def _read_input(request: dict[str, Json]) -> Json:
    value = request.get("input")
    return None if value is None else message_list("input", value)


CHAT = Api(
    "openai", ("/completions",), "chat", is_completion,
    lambda request: "messages" in request or "prompt" in request, read_messages, read_answer,
    _NOT_PARAMS,
)  # fmt: skip
EMBEDDINGS = Api(
    "openai", ("/embeddings",), "embeddings", _is_embeddings, lambda request: False,
    _read_input, _read_embeddings, _NOT_PARAMS,
)  # fmt: skip
