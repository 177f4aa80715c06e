"""Lines that a container's log cut because they were long, put together again, for each stream."""

from __future__ import annotations

from dataclasses import dataclass, field

from tasks.logs.shapes.records import Place


@dataclass(slots=True)
class _Held:
    place: Place
    pieces: list[bytes] = field(default_factory=list)
    num_bytes: int = 0


class Parts:
    """`max_bytes` of one line; what is longer is let go."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._held: dict[str, _Held] = {}

    @property
    def oldest(self) -> Place | None:
        return min((each.place for each in self._held.values()), key=lambda place: place.offset,
                   default=None)  # fmt: skip

    def hold(self, stream: str, piece: bytes, place: Place) -> Place | None:
        """Keep a piece for the rest of its line. The place of a line that got too long for it."""
        held = self._held.setdefault(stream, _Held(place))
        held.pieces.append(piece)
        held.num_bytes += len(piece)
        if held.num_bytes <= self._max_bytes:
            return None
        return self._held.pop(stream).place

    def whole(self, stream: str, piece: bytes) -> tuple[bytes, Place] | None:
        """The line that this piece ends, and where it began; None: nothing was held."""
        held = self._held.pop(stream, None)
        return None if held is None else (b"".join((*held.pieces, piece)), held.place)

    def left(self) -> list[Place]:
        """Where lines began whose rest is not in the file."""
        places = [held.place for held in self._held.values()]
        self._held.clear()
        return places
