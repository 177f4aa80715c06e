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
    GEMINI,
    OLLAMA,
    OLLAMA_GENERATE,
    RESPONSES,
)
from tasks.logs.formats.exchange import Api, Exchange
from tasks.logs.formats.exchange_call import call_of
from tasks.logs.formats.ollama_bodies import is_chunk
from tasks.logs.formats.stream_pieces import Piece, api_of_ollama, piece_of, text_of
from tasks.logs.shapes.answers import CUT_OFF, NO_COMPLETION
from tasks.logs.shapes.dead import or_dead
from tasks.logs.shapes.records import Call, Json, Other, Place, Record

#: answers at work at once; a log that opens more is not one of streams
_MAX_OPEN = 1_000
#: an answer that has its end waits so many values for its counts
_MAX_WAIT = 500
#: APIs whose pieces all tell which answer they belong to
_OF_OLLAMA = (OLLAMA, OLLAMA_GENERATE)
_NAMED = (CHAT, GEMINI, *_OF_OLLAMA)


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
        if piece is None and not self._open:  # nearly every value
            return ((record, place) for record in self._whole(value))
        return self._joined(piece, value, place)

    def _joined(
        self, piece: Piece | None, value: Json, place: Place
    ) -> Iterator[tuple[Record, Place]]:
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
            key = (_family(CHAT), text_of(value.get("id")) or "")
            return key if key in self._open else None
        if value.get("done") is True and is_chunk(value):
            key = (_family(api_of_ollama(value)), text_of(value.get("model")) or "")
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
