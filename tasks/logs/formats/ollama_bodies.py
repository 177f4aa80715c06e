"""Bodies of Ollama's own API: /api/chat, /api/generate and /api/embed, whole or as its stream.

A stream is one object a line; the last one is `done` and has the counts. Durations are nanoseconds.
What came is dated when it was done, so the call began that much earlier. Source: Ollama's API
reference.
"""

from __future__ import annotations

from datetime import timedelta

from tasks.logs.formats.exchange import Api
from tasks.logs.shapes import coerce, usage
from tasks.logs.shapes.answers import Answer
from tasks.logs.shapes.json_text import dump
from tasks.logs.shapes.messages import message_list, tool_call
from tasks.logs.shapes.records import Json

_READ = frozenset({
    "model", "created_at", "message", "response", "thinking", "done", "done_reason",
    "prompt_eval_count", "eval_count", "total_duration", "context", "error", "remote_model",
})  # fmt: skip
_NOT_PARAMS = frozenset({"model", "messages", "prompt", "system", "input"})
_COUNTS = {"input": "prompt_eval_count", "output": "eval_count"}


def is_answer(value: Json) -> bool:
    if isinstance(value, list):
        return bool(value) and all(is_piece(item) for item in value)
    return is_piece(value) or (isinstance(value, dict) and _is_vectors(value))


def is_piece(value: Json) -> bool:
    """A chunk or a whole answer: only the last chunk and a whole one are `done`."""
    if not isinstance(value, dict) or not isinstance(value.get("done"), bool):
        return False
    said = isinstance(value.get("message"), dict) or isinstance(value.get("response"), str)
    return said and "model" in value and "created_at" in value


def _is_vectors(value: dict[str, Json]) -> bool:
    several = isinstance(value.get("embeddings"), list) and "total_duration" in value
    one = set(value) == {"embedding"} and isinstance(value["embedding"], list)
    return several or one


def read_messages(request: dict[str, Json]) -> Json:
    asked = coerce.first(request, "messages", "prompt", "input")
    messages = [] if asked is None else message_list("messages", asked)
    if request.get("system"):
        messages = [{"role": "system", "content": request["system"]}, *messages]
    return [_with_calls(message) for message in messages] or None


def read_answer(value: Json) -> Answer:
    pieces = [item for item in (value if isinstance(value, list) else [value])
              if isinstance(item, dict)]  # fmt: skip
    if not pieces:
        return Answer(body=value)
    whole = pieces[-1]
    latency_s = coerce.seconds("total_duration", whole.get("total_duration"), 1e9)
    answer = Answer(
        model=coerce.text("model", whole.get("model")),
        finish_reason=coerce.text("done_reason", whole.get("done_reason")),
        tokens=usage.counted(whole, _COUNTS),
        error=whole.get("error"),
        body=value,
        latency_s=latency_s,
    )
    if _is_vectors(whole):
        answer.complete, answer.operation = True, "embeddings"
        return answer
    if any(isinstance(piece.get("response"), str) for piece in pieces):
        answer.operation = "text_completion"
    done = coerce.moment("created_at", whole.get("created_at"))
    if done is not None:
        answer.created = done - timedelta(seconds=latency_s or 0)
    answer.message = _message(pieces)
    answer.tags = {key: item for key, item in whole.items() if key not in _READ and item}
    return answer


def _message(pieces: list[dict[str, Json]]) -> dict[str, Json] | None:
    holders = [coerce.mapping(piece.get("message", piece)) for piece in pieces]
    message: dict[str, Json] = {"role": "assistant"}
    for name, sources in (("content", ("content", "response")), ("reasoning", ("thinking",))):
        said = [coerce.first(holder, *sources) for holder in holders]
        texts = [text for text in said if isinstance(text, str)]
        if "".join(texts) or (name == "content" and texts):
            message[name] = "".join(texts)
    calls = [call for holder in holders for call in coerce.sequence(holder.get("tool_calls"))]
    if calls:
        message["tool_calls"] = calls
    return _with_calls(message) if len(message) > 1 else None


def _with_calls(message: Json) -> Json:
    """Arguments are objects there, and calls of older versions have no id."""
    calls = coerce.first(message, "tool_calls")
    return {**message, "tool_calls": [_call(each) for each in calls]} if calls else message


def _call(call: Json) -> Json:
    function = coerce.first(call, "function")
    if not isinstance(function, dict):
        return call
    arguments = function.get("arguments")
    said = arguments if isinstance(arguments, str) else dump(arguments)
    return tool_call(call.get("id"), function.get("name"), said)


OLLAMA = Api(
    "ollama", ("/api/chat", "/api/generate", "/api/embed", "/api/embeddings"), "chat", is_answer,
    lambda request: False, read_messages, read_answer, _NOT_PARAMS,
)  # fmt: skip
