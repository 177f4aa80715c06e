"""Bodies of OpenAI-compatible chat completions, text completions and embeddings.

Source: the OpenAI API reference, chat completion object and chunk object. Reasoning tokens are
part of completion_tokens there.
"""

from __future__ import annotations

from tasks.logs.formats.exchange import Api
from tasks.logs.shapes import coerce, usage
from tasks.logs.shapes.answers import Answer
from tasks.logs.shapes.messages import message_list
from tasks.logs.shapes.parts import message_of
from tasks.logs.shapes.records import Json

_COMPLETIONS = ("chat.completion", "text_completion")
_READ = frozenset({
    "id", "object", "created", "model", "choices", "usage", "error", "messages", "metadata",
    "feedback",
})  # fmt: skip
#: of the request body: no sampling parameter
_NOT_PARAMS = frozenset({"messages", "prompt", "input", "model", "user", "metadata"})


def is_completion(value: Json) -> bool:
    if not isinstance(value, dict):
        return False
    return value.get("object") in _COMPLETIONS or (
        isinstance(value.get("choices"), list) and ("model" in value or "usage" in value)
    )


def read_messages(request: dict[str, Json]) -> Json:
    value = request.get("messages", request.get("prompt"))
    return None if value is None else message_list("messages", value)


def read_answer(value: Json) -> Answer:
    if isinstance(value, list):
        value = _from_chunks(value)
    if not isinstance(value, dict):
        return Answer(body=value)
    choices = coerce.sequence(value.get("choices"))
    messages = [_message(choice) for choice in choices]
    first = choices[0] if choices and isinstance(choices[0], dict) else {}
    rest = {key: item for key, item in value.items() if key not in _READ and item is not None}
    return Answer(
        message=messages[0] if messages else None,
        response_id=coerce.text("id", value.get("id")),
        model=coerce.text("model", value.get("model")),
        created=value.get("created"),
        finish_reason=coerce.text("finish_reason", first.get("finish_reason")),
        tokens=usage.tokens(value.get("usage") or _of_groq(value)),
        other_choices=[message for message in messages[1:] if message],
        error=value.get("error"),
        body=value,
        tags=rest,
    )


def _of_groq(value: dict[str, Json]) -> Json:
    """Groq's streams have the counts in an object of their own."""
    return coerce.first(value.get("x_groq"), "usage")


def _message(choice: Json) -> dict[str, Json] | None:
    if not isinstance(choice, dict):
        return None
    message = choice.get("message")
    if isinstance(message, dict):
        kept = {key: item for key, item in message.items() if item is not None and item != []}
        return {"role": "assistant", "content": None, **kept}
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
        finish, text = piece.pop("finish_reason", None), piece.pop("text", None)
        if isinstance(piece.get("tool_calls"), dict):
            piece["tool_calls"] = list(piece["tool_calls"].values())
        said = {"message": piece} if text is None else {"text": text}
        whole["choices"].append({"index": index, **said, "finish_reason": finish})
    return whole


def _add_delta(piece: dict[str, Json], choice: dict[str, Json]) -> None:
    if choice.get("finish_reason"):
        piece["finish_reason"] = choice["finish_reason"]
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
    first = items[0] if isinstance(items, list) and items else None
    return isinstance(first, dict) and "embedding" in first


def _read_embeddings(value: Json) -> Answer:
    """The vectors are not kept; that they came makes the call complete."""
    if not _is_embeddings(value):
        return read_answer(value)
    return Answer(
        model=coerce.text("model", value.get("model")),
        tokens=usage.tokens(value.get("usage") or _of_groq(value)),
        complete=True,
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
