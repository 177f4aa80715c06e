"""Ollama's answers as people log them: beside their request, alone, or streamed an object a line.

The objects of a stream have no id: those of one model are one answer until `done` is true, so two
streams of one model that interleave cannot be told apart. Nor has an answer: its content is its id.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tasks.logs.formats.apis import OLLAMA, OLLAMA_EMBEDDINGS, OLLAMA_GENERATE
from tasks.logs.formats.ollama_bodies import is_chunk
from tasks.logs.formats.pairs import Pairs
from tasks.logs.shapes.dead import or_dead
from tasks.logs.shapes.records import Json, Record

_pairs = Pairs("ollama", "ollama@1", (OLLAMA, OLLAMA_GENERATE, OLLAMA_EMBEDDINGS))
NAME, VERSION, matches = _pairs.NAME, _pairs.VERSION, _pairs.matches
#: streams that were never ended are called so; their models are open at the same time
_MAX_OPEN = 1_000
_MAX_CHUNKS = 100_000


def records(value: Json) -> Iterator[Record]:
    """A list is the stream of one answer."""
    if isinstance(value, list):
        yield from _pairs.records({"request": {}, "response": value})
    else:
        yield from _pairs.records(value)


@dataclass(slots=True)
class _Open:
    place: Any
    chunks: list[Json] = field(default_factory=list)


class OllamaReader:
    """Holds the streams of a file that are not ended yet, by model."""

    def __init__(self) -> None:
        self._open: dict[str, _Open] = {}

    def feed(self, value: Json, place: Any) -> Iterator[tuple[Record, Any]]:
        if not is_chunk(value) or (value["done"] and value["model"] not in self._open):
            yield from ((record, place) for record in records(value))
            return
        stream = self._open.setdefault(value["model"], _Open(place))
        stream.chunks.append(value)
        if value["done"] or len(stream.chunks) >= _MAX_CHUNKS:
            yield from self._close(value["model"])
        elif len(self._open) > _MAX_OPEN:
            yield from self._close(next(iter(self._open)))

    def end(self) -> Iterator[tuple[Record, Any]]:
        for model in list(self._open):
            yield from self._close(model)

    @property
    def oldest(self) -> Any | None:
        return next((stream.place for stream in self._open.values()), None)

    def _close(self, model: str) -> Iterator[tuple[Record, Any]]:
        stream = self._open.pop(model)
        record = or_dead(stream.chunks, lambda: list(records(stream.chunks)))
        for one in record if isinstance(record, list) else [record]:
            yield one, stream.place


reader = OllamaReader
