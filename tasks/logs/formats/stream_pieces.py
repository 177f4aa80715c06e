"""What a value is within an answer that is logged piece by piece, a chunk or event a line.

Chunks of the Chat and Completions APIs name their completion, Gemini's their response, Ollama's
the model alone; events of the Messages, Responses, Interactions, Converse and Cohere's APIs have a
kind. Which answer a piece belongs to is streaming.py's.
"""

from __future__ import annotations

from dataclasses import dataclass

from tasks.logs.formats.apis import (
    ANTHROPIC,
    CHAT,
    COHERE,
    CONVERSE,
    GEMINI,
    INTERACTIONS,
    OLLAMA,
    OLLAMA_GENERATE,
    RESPONSES,
)
from tasks.logs.formats.exchange import Api
from tasks.logs.formats.ollama_bodies import is_chunk
from tasks.logs.shapes import coerce
from tasks.logs.shapes.records import Json

#: events of the Messages API, with a key that each has
_EVENTS = {
    "message_start": "message", "content_block_start": "content_block",
    "content_block_delta": "delta", "content_block_stop": "index", "message_delta": "delta",
    "message_stop": "type", "ping": "type",
}  # fmt: skip
#: events of Cohere's chat API: v2 has the kind as `type`, v1 as `event_type`
_COHERE = {
    "type": ("message-start", "content-start", "content-delta", "content-end", "tool-plan-delta",
             "tool-call-start", "tool-call-delta", "tool-call-end", "citation-start",
             "citation-end", "message-end"),
    "event_type": ("stream-start", "text-generation", "citation-generation", "search-results",
                   "search-queries-generation", "tool-calls-generation", "stream-end"),
}  # fmt: skip
#: events of Bedrock's ConverseStream, each the one key of its object, with keys of which it has one
_CONVERSE = {
    "messageStart": ("role",), "contentBlockStart": ("contentBlockIndex",),
    "contentBlockDelta": ("contentBlockIndex",), "contentBlockStop": ("contentBlockIndex",),
    "messageStop": ("stopReason",), "metadata": ("usage", "metrics"),
    **dict.fromkeys(("internalServerException", "modelStreamErrorException",
                     "throttlingException", "serviceUnavailableException",
                     "validationException"), ("message",)),
}  # fmt: skip
#: what a line of such a file has in it, whatever else stands there
MARKERS = (
    b"chat.completion.chunk", b"text_completion", b"content_block_", b"message_start",
    b'"response.', b'"candidates"', b'"event_type"', b"content-delta", b"message-start",
    b'"contentBlock', b'"messageSt', b'"done"',
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Piece:
    """`begins`, `ends`: the first, the last with something of its answer; `is_last`: nothing at all
    follows. `says_nothing`: it only frames others. `is_sign` False: it may be anybody's."""

    api: Api
    own_id: str | None = None
    begins: bool = False
    ends: bool = False
    is_last: bool = False
    says_nothing: bool = False
    is_sign: bool = True


def piece_of(value: Json) -> Piece | None:
    """What a value is within a stream; None: it is none of a stream, or a whole answer."""
    if not isinstance(value, dict):
        return None
    kind = value.get("type")
    if isinstance(kind, str):
        if _EVENTS.get(kind, "") in value:
            return _of_anthropic(value, kind)
        if kind.startswith("response.") and _is_event(value):
            return _of_responses(value, kind)
        if kind in _COHERE["type"] and ("delta" in value or "id" in value or "index" in value):
            return _of_cohere(value, kind)
    event = value.get("event_type")
    if isinstance(event, str):
        if event in _COHERE["event_type"] and "is_finished" in value:
            return _of_cohere(value, event)
        if event.startswith(("interaction.", "step.", "content.")):
            return _of_interactions(value, event)
    if len(value) == 1:
        ((name, inner),) = value.items()
        if name in _CONVERSE and coerce.first(inner, *_CONVERSE[name]) is not None:
            return _of_converse(name)
    if isinstance(value.get("choices"), list):
        return _of_chat(value, value["choices"])
    if isinstance(value.get("candidates"), list):
        return _of_gemini(value)
    return _of_ollama(value) if value.get("done") is False else None


def _of_anthropic(value: dict[str, Json], kind: str) -> Piece:
    own_id = text_of(coerce.first(value.get("message"), "id"))
    is_last = kind == "message_stop"
    ends = is_last or coerce.first(value.get("delta"), "stop_reason") is not None
    is_ping = kind == "ping"
    begins = kind == "message_start"
    return Piece(ANTHROPIC, own_id, begins, ends, is_last, is_last or is_ping, not is_ping)


def _of_converse(kind: str) -> Piece:
    """The counts follow the end."""
    ends = kind == "messageStop" or kind.endswith("Exception")
    adds = kind in ("messageStart", "contentBlockStart", "contentBlockDelta")
    return Piece(CONVERSE, None, kind == "messageStart", ends, False, not adds)


def _is_event(value: dict[str, Json]) -> bool:
    return any(key in value for key in ("response", "item", "delta", "part", "item_id",
                                        "sequence_number"))  # fmt: skip


def _of_responses(value: dict[str, Json], kind: str) -> Piece:
    ends = kind in ("response.completed", "response.incomplete", "response.failed",
                    "response.done")  # fmt: skip
    own_id = coerce.first(value.get("response"), "id") or value.get("response_id")
    return Piece(RESPONSES, text_of(own_id), kind == "response.created", ends, ends)


def _of_cohere(value: dict[str, Json], kind: str) -> Piece:
    own_id = text_of(coerce.first(value, "id", "generation_id"))
    ends = kind in ("message-end", "stream-end")
    return Piece(COHERE, own_id, kind in ("message-start", "stream-start"), ends, ends)


def _of_interactions(value: dict[str, Json], kind: str) -> Piece:
    own_id = text_of(coerce.first(value.get("interaction"), "id"))
    begins = kind in ("interaction.created", "interaction.start")
    ends = kind in ("interaction.completed", "interaction.complete", "interaction.cancelled")
    return Piece(INTERACTIONS, own_id, begins, ends, ends)


def _of_chat(value: dict[str, Json], choices: list[Json]) -> Piece | None:
    """A whole completion of the Completions API looks like a chunk, but for its reason to end."""
    reasons = [coerce.first(choice, "finish_reason") for choice in choices]
    is_chunk = value.get("object") == "chat.completion.chunk" or any(
        isinstance(coerce.first(choice, "delta"), dict) for choice in choices
    )
    is_chunk |= not choices and value.get("object") == ""  # Azure's first, of its filter
    is_text = value.get("object") == "text_completion" and not all(reasons)
    if not is_chunk and not is_text:
        return None
    has_counts = not choices and isinstance(value.get("usage"), dict)
    says_nothing = not choices and not has_counts
    own_id = text_of(value.get("id"))
    is_sign = value.get("object") != ""
    return Piece(CHAT, own_id, False, any(reasons), has_counts, says_nothing, is_sign)


def _of_gemini(value: dict[str, Json]) -> Piece | None:
    """Every chunk looks like an answer; the last one alone has a reason to end."""
    if not GEMINI.is_answer(value):
        return None
    choices = value["candidates"]
    ends = any(coerce.first(each, "finishReason", "finish_reason") for each in choices)
    own_id = text_of(coerce.first(value, "responseId", "response_id"))
    return Piece(GEMINI, own_id, False, ends, ends) if choices else None


def _of_ollama(value: dict[str, Json]) -> Piece | None:
    """Its stream has no id: those of two models can be told apart. The last one looks like an
    answer by itself."""
    return Piece(api_of_ollama(value), text_of(value.get("model"))) if is_chunk(value) else None


def api_of_ollama(value: dict[str, Json]) -> Api:
    return OLLAMA if isinstance(value.get("message"), dict) else OLLAMA_GENERATE


def text_of(value: Json) -> str | None:
    return str(value) if isinstance(value, str | int) and value != "" else None
