"""Rows or spans of a file by their trace, held until the trace is told: at the end of the file, or
when many others are held. The trace that began first is told first."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

#: rows held at most, and bytes of their lines; a trace that is cut shows its nesting no more, which
#: costs no call
MAX_HELD = 4096
MAX_HELD_BYTES = 64 * 2**20

T = TypeVar("T")
P = TypeVar("P")


class Gathering(Generic[T, P]):
    """Of one file: items with the place where each stands."""

    def __init__(self) -> None:
        self._held: dict[Hashable, list[tuple[T, P]]] = {}
        self._num_held = 0
        self._num_bytes = 0

    @property
    def oldest(self) -> P | None:
        return next((items[0][1] for items in self._held.values()), None)

    def hold(self, trace: Hashable, item: T, place: P) -> Iterator[list[tuple[T, P]]]:
        """Traces that are told now, to make room."""
        self._held.setdefault(trace, []).append((item, place))
        self._num_held += 1
        self._num_bytes += _size(place)
        while self._num_held > MAX_HELD or self._num_bytes > MAX_HELD_BYTES:
            yield self._first()

    def end(self) -> Iterator[list[tuple[T, P]]]:
        """All that are held."""
        while self._held:
            yield self._first()

    def _first(self) -> list[tuple[T, P]]:
        items = self._held.pop(next(iter(self._held)))
        self._num_held -= len(items)
        self._num_bytes -= sum(_size(place) for _, place in items)
        return items


def _size(place: object) -> int:
    """Of the bytes that a place keeps, where it keeps any."""
    return len(getattr(place, "data", b""))
