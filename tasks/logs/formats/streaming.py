"""Answers that are logged piece by piece, one chunk or event a line → one exchange each.

Chunks of the Chat and Completions APIs name their completion, Gemini's their response; events of
the Messages, Responses, Interactions, Converse and Cohere's APIs belong to the one that began last,
unless an envelope gives them an id. Ollama's name the model alone. Answers may interleave. One that
does not end is a call that was cut off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

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
from tasks.logs.formats.exchange import Api, Exchange
from tasks.logs.formats.exchange_call import call_of
from tasks.logs.formats.ollama_bodies import is_chunk
from tasks.logs.shapes import coerce
from tasks.logs.shapes.answers import CUT_OFF, NO_COMPLETION
from tasks.logs.shapes.dead import or_dead
from tasks.logs.shapes.records import Call, Json, Other, Place, Record

#: answers at work at once; a log that opens more is not one of streams
_MAX_OPEN = 1_000
#: an answer that has its end waits so many values for its counts
_MAX_WAIT = 500
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
#: APIs whose pieces all tell which answer they belong to
_OF_OLLAMA = (OLLAMA, OLLAMA_GENERATE)
_NAMED = (CHAT, GEMINI, *_OF_OLLAMA)
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
    own_id = _text(coerce.first(value.get("message"), "id"))
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
    return Piece(RESPONSES, _text(own_id), kind == "response.created", ends, ends)


def _of_cohere(value: dict[str, Json], kind: str) -> Piece:
    own_id = _text(coerce.first(value, "id", "generation_id"))
    ends = kind in ("message-end", "stream-end")
    return Piece(COHERE, own_id, kind in ("message-start", "stream-start"), ends, ends)


def _of_interactions(value: dict[str, Json], kind: str) -> Piece:
    own_id = _text(coerce.first(value.get("interaction"), "id"))
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
    own_id = _text(value.get("id"))
    is_sign = value.get("object") != ""
    return Piece(CHAT, own_id, False, any(reasons), has_counts, says_nothing, is_sign)


def _of_gemini(value: dict[str, Json]) -> Piece | None:
    """Every chunk looks like an answer; the last one alone has a reason to end."""
    if not GEMINI.is_answer(value):
        return None
    choices = value["candidates"]
    ends = any(coerce.first(each, "finishReason", "finish_reason") for each in choices)
    own_id = _text(coerce.first(value, "responseId", "response_id"))
    return Piece(GEMINI, own_id, False, ends, ends) if choices else None


def _of_ollama(value: dict[str, Json]) -> Piece | None:
    """Its stream has no id: those of two models can be told apart. The last one looks like an
    answer by itself."""
    return Piece(_api_of_ollama(value), _text(value.get("model"))) if is_chunk(value) else None


def _api_of_ollama(value: dict[str, Json]) -> Api:
    return OLLAMA if isinstance(value.get("message"), dict) else OLLAMA_GENERATE


def _text(value: Json) -> str | None:
    return str(value) if isinstance(value, str | int) and value != "" else None


@dataclass(slots=True)
class _Open:
    api: Api
    place: Place
    last_fed: int
    chunks: list[Json] = field(default_factory=list)
    has_ended: bool = False


class Joining:
    """Joins the pieces of one file; `whole` reads every other value."""

    def __init__(self, whole: Callable[[Json], Iterator[Record]]) -> None:
        self._whole = whole
        self._open: dict[tuple[str, str], _Open] = {}
        self._last: dict[str, tuple[str, str]] = {}
        self._num_fed = 0
        self._num_ended = 0

    @property
    def oldest(self) -> Place | None:
        return next((each.place for each in self._open.values()), None)

    def feed(self, value: Json, place: Place) -> Iterator[tuple[Record, Place]]:
        self._num_fed += 1
        piece = piece_of(value)
        if piece is None:
            known = self._continued(value)
            if known is not None:
                api = self._open[known].api
                last = Piece(api, ends=True, is_last=api in _OF_OLLAMA)
                yield from self._add(known, last, value, place)
            else:
                yield from ((record, place) for record in self._whole(value))
            return
        key = self._key(piece, place)
        if key not in self._open and piece.says_nothing:
            yield Other(), place
        elif key not in self._open and piece.api is GEMINI and piece.ends:
            # with its end and nothing before it, it is an answer by itself
            yield from ((record, place) for record in self._whole(value))
        else:
            yield from self._add(key, piece, value, place)

    def end(self) -> Iterator[tuple[Record, Place]]:
        for key in list(self._open):
            yield self._close(key)

    def _continued(self, value: Json) -> tuple[str, str] | None:
        """The open answer that this ends, though it looks like one by itself: the last chunk of a
        text completion, an error in the middle of a stream."""
        if not self._open or not isinstance(value, dict):
            return None
        if value.get("object") == "text_completion":
            key = (_family(CHAT), _text(value.get("id")) or "")
            return key if key in self._open else None
        if value.get("done") is True and is_chunk(value):
            key = (_family(_api_of_ollama(value)), _text(value.get("model")) or "")
            return key if key in self._open else None
        if value.get("type") != "error":
            return None
        last = (self._last.get(_family(api)) for api in (ANTHROPIC, RESPONSES))
        return next((key for key in last if key in self._open), None)

    def _key(self, piece: Piece, place: Place) -> tuple[str, str]:
        """The answer's own id, its envelope's, or the one that its API began last."""
        of_envelope = None if place.facts is None else place.facts.key
        own = piece.own_id if piece.api in _NAMED or piece.begins else None
        if own is None and of_envelope is None and not piece.begins:
            known = self._last.get(_family(piece.api))
            if known is not None and known in self._open:
                return known
        if of_envelope is not None and piece.api in (ANTHROPIC, RESPONSES):
            own = of_envelope
        return _family(piece.api), own or piece.own_id or f"#{self._num_fed}"

    def _add(
        self, key: tuple[str, str], piece: Piece, value: Json, place: Place
    ) -> Iterator[tuple[Record, Place]]:
        if piece.begins and key in self._open and not self._repeats(key, piece):
            yield self._close(key)
        answer = self._open.setdefault(key, _Open(piece.api, place, self._num_fed))
        answer.chunks.append(value)
        answer.last_fed = self._num_fed
        self._last[_family(piece.api)] = key
        if piece.ends and not answer.has_ended:
            answer.has_ended = True
            self._num_ended += 1
        if piece.is_last:
            yield self._close(key)
        if self._num_ended or len(self._open) > _MAX_OPEN:
            yield from self._close_old()

    def _repeats(self, key: tuple[str, str], piece: Piece) -> bool:
        """Whether it says once more that the answer began which is open."""
        began = piece_of(self._open[key].chunks[0])
        same = began is not None and began.own_id == piece.own_id is not None
        return same and not self._open[key].has_ended

    def _close_old(self) -> Iterator[tuple[Record, Place]]:
        """Those that have ended and got nothing for long; of too many the first."""
        for key, answer in list(self._open.items()):
            is_old = answer.has_ended and self._num_fed - answer.last_fed > _MAX_WAIT
            if is_old or len(self._open) > _MAX_OPEN:
                yield self._close(key)
            elif not answer.has_ended:
                continue
            else:
                break

    def _close(self, key: tuple[str, str]) -> tuple[Record, Place]:
        answer = self._open.pop(key)
        self._num_ended -= answer.has_ended
        record = or_dead(answer.chunks, call_of, Exchange({}, answer.chunks), answer.api)
        is_whole = answer.api is GEMINI and len(answer.chunks) == 1
        is_cut = not answer.has_ended and not is_whole
        if is_cut and isinstance(record, Call) and record.error_type in (None, NO_COMPLETION):
            record.status, record.error_type = "error", CUT_OFF
        return record, answer.place


def _family(api: Api) -> str:
    return api.provider + api.paths[0]
