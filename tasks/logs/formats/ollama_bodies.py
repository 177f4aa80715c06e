"""Bodies of Ollama's own API: chat, generate, embed; whole, or as the objects of a stream.

Its durations are nanoseconds, and `created_at` is when an object was made: of the last one, which
holds the counts, the end of the call. Source: Ollama's API documentation and its Go client.
"""

from __future__ import annotations

from collections.abc import Callable

from tasks.logs.formats.exchange import Api
from tasks.logs.shapes import coerce
from tasks.logs.shapes.answers import Answer
from tasks.logs.shapes.json_text import dump, nested
from tasks.logs.shapes.messages import tool_call
from tasks.logs.shapes.records import Json

_PER_SECOND = 1e9
#: of an answer: what a call has a field for
_READ = frozenset({
    "model", "created_at", "message", "response", "thinking", "done", "done_reason", "error",
    "total_duration", "prompt_eval_count", "eval_count", "embeddings", "embedding", "context",
})  # fmt: skip
_NOT_PARAMS = frozenset({
    "messages", "prompt", "suffix", "system", "images", "input", "model", "context",
})  # fmt: skip
_ASKS = ("options", "keep_alive", "raw", "think")


def is_chunk(value: Json) -> bool:
    """An answer, or a piece of one where `done` is false."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("done"), bool)
        and isinstance(value.get("model"), str)
        and (isinstance(value.get("message"), dict) or isinstance(value.get("response"), str))
        and "choices" not in value
    )


def _pieces(value: Json) -> list[Json]:
    """The objects of a stream, which over HTTP are lines of JSON."""
    if isinstance(value, str) and value.lstrip().startswith('{"model"'):
        value = [nested(line) for line in value.splitlines() if line.strip()]
    return value if isinstance(value, list) else [value]


def _answers(key: str) -> Callable[[Json], bool]:
    def is_answer(value: Json) -> bool:
        first = next(iter(_pieces(value)), None)
        return is_chunk(first) and coerce.first(first, key) is not None

    return is_answer


def is_question(value: dict[str, Json]) -> bool:
    asked = "messages" in value or "prompt" in value
    return asked and any(key in value for key in _ASKS) and "max_tokens" not in value


def read_messages(request: dict[str, Json]) -> Json:
    messages = [_message(message) for message in coerce.sequence(request.get("messages"))]
    if request.get("system") is not None:
        messages.insert(0, {"role": "system", "content": request["system"]})
    if request.get("prompt") is not None:
        asked = {"role": "user", "content": request["prompt"], "images": request.get("images")}
        messages.append({key: item for key, item in asked.items() if item is not None})
    return messages or None


def read_answer(value: Json) -> Answer:
    pieces = _pieces(value)
    if isinstance(value, str | list):
        value = _from_chunks(pieces)
    if not isinstance(value, dict):
        return Answer(body=value)
    message = value.get("message")
    if not isinstance(message, dict) and value.get("response") is not None:
        message = {"content": value["response"], "thinking": value.get("thinking")}
    latency = coerce.seconds("total_duration", value.get("total_duration"), _PER_SECOND)
    before = [
        coerce.seconds(name, value.get(name), _PER_SECOND)
        for name in ("load_duration", "prompt_eval_duration")
    ]
    done = value.get("done") is True
    created = coerce.moment("created_at", value.get("created_at"))
    if created is not None and latency is not None:
        created = coerce.earlier(created, latency)
    rest = {key: item for key, item in value.items() if key not in _READ and item is not None}
    if isinstance(message, dict) and not done:
        rest["done"] = False  # the stream was cut off
    return Answer(
        message=_message({**message, "role": "assistant"}) if isinstance(message, dict) else None,
        model=coerce.text("model", value.get("model")),
        created=created,
        finish_reason=_finish_reason(value, message),
        tokens={
            "input_tokens": coerce.integer("prompt_eval_count", value.get("prompt_eval_count")),
            "output_tokens": coerce.integer("eval_count", value.get("eval_count")),
        },
        error=value.get("error"),
        body=value,
        tags=rest,
        # both are told where a prompt was evaluated
        ttft_s=None if before[1] is None else sum(part or 0.0 for part in before),
        latency_s=latency,
    )


def _finish_reason(value: dict[str, Json], message: Json) -> str | None:
    reason = coerce.text("done_reason", value.get("done_reason"))
    calls = reason in (None, "stop") and bool(coerce.first(message, "tool_calls"))
    return "tool_calls" if calls and value.get("done") is True else reason


def _from_chunks(chunks: list[Json]) -> Json:
    """The last object, with the texts of all."""
    whole: dict[str, Json] = {}
    texts: dict[str, str] = {}
    message: dict[str, Json] = {}
    calls: list[Json] = []
    for chunk in chunks:
        if not isinstance(chunk, dict):
            return None
        whole.update({key: item for key, item in chunk.items() if item is not None})
        said = chunk.get("message")
        if isinstance(said, dict):
            message.update(said)
            calls.extend(coerce.sequence(said.get("tool_calls")))
        for holder in (said, chunk):
            for key in ("content", "response", "thinking"):
                if isinstance(holder, dict) and isinstance(holder.get(key), str):
                    texts[key] = texts.get(key, "") + holder[key]
    if "response" in texts:
        whole["response"] = texts["response"]
    if "thinking" in texts:
        whole["thinking"] = message["thinking"] = texts["thinking"]
    if "message" in whole:
        kept = {"content": texts.get("content", ""), **({"tool_calls": calls} if calls else {})}
        whole["message"] = {**message, **kept}
    return whole


def _message(message: Json) -> Json:
    """Tool calls have arguments as an object and no id there; thinking is reasoning."""
    if not isinstance(message, dict):
        return {"role": "user", "content": message}
    known = {key: item for key, item in message.items() if item not in (None, "", [])}
    thought = known.pop("thinking", None)
    calls = known.pop("tool_calls", None)
    called = known.pop("tool_name", None)
    rest: dict[str, Json] = {} if thought is None else {"reasoning": thought}
    if isinstance(calls, list):
        rest["tool_calls"] = [_tool_call(call) for call in calls]
    if called is not None:
        rest["name"] = called
    return {"role": "user", "content": None if rest else "", **known, **rest}


def _tool_call(call: Json) -> Json:
    function = coerce.first(call, "function")
    if not isinstance(function, dict):
        return call
    said = function.get("arguments")
    arguments = said if isinstance(said, str) else dump({} if said is None else said)
    return tool_call(coerce.first(call, "id"), function.get("name"), arguments)


def _is_embedding(value: Json) -> bool:
    vectors = coerce.first(value, "embeddings", "embedding")
    return isinstance(vectors, list) and "data" not in value and "total_duration" in value


def _read_embedding(value: Json) -> Answer:
    """The vectors are not kept; that they came makes the call complete."""
    answer = read_answer(value)
    answer.complete = _is_embedding(value)
    answer.body = None
    return answer


def _read_input(request: dict[str, Json]) -> Json:
    asked = coerce.first(request, "input", "prompt")
    texts = asked if isinstance(asked, list) else [asked]
    return None if asked is None else [{"role": "user", "content": text} for text in texts]


OLLAMA = Api(
    "ollama", ("/api/chat",), "chat", _answers("message"), is_question, read_messages,
    read_answer, _NOT_PARAMS, "options",
)  # fmt: skip
OLLAMA_GENERATE = Api(
    "ollama", ("/api/generate",), "text_completion", _answers("response"),
    lambda request: False, read_messages, read_answer, _NOT_PARAMS, "options",
)  # fmt: skip
OLLAMA_EMBEDDINGS = Api(
    "ollama", ("/api/embed", "/api/embeddings"), "embeddings", _is_embedding,
    lambda request: False, _read_input, _read_embedding, _NOT_PARAMS, "options",
)  # fmt: skip
