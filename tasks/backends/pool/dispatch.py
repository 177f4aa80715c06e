"""Which actor answers which shard next, and what becomes of a shard whose actor died.

Every actor has a stretch of neighbouring shards, so that what they share stays in its engine's
cache; who is done takes from the far end of the longest stretch left. A shard whose actor dies is
given out again, to whoever is free: the answers are the same. One that is met by two deaths is cut
in halves and these in halves again, so that what kills an actor is given up alone.

Pure: knows nothing of Ray and no clock. Used by host.py, and by benchmarks/ray_model.py.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

#: times that a shard is given out as it is
_WHOLE_TRIES = 2
#: one ask that kills costs at most so many in a row; after more, nothing here can answer
MAX_DEATHS_IN_A_ROW = 12


@dataclass(frozen=True, slots=True)
class Shard:
    """Places of asks that are answered together, and how often it was given out in vain."""

    places: tuple[int, ...]
    num_deaths: int = 0


class Dispatch:
    """Of one list of asks. Whoever takes a shard says once what it came to."""

    def __init__(self, shards: Sequence[tuple[int, ...]], num_actors: int) -> None:
        self._stretches: list[deque[Shard]] = [deque() for _ in range(num_actors)]
        for number, places in enumerate(shards):
            self._stretches[number * num_actors // len(shards)].append(Shard(places))
        self._again: deque[Shard] = deque()
        self._num_open = len(shards)
        self.num_deaths_in_a_row = 0

    @property
    def is_done(self) -> bool:
        return self._num_open == 0

    def take(self, actor: int) -> Shard | None:
        """What the actor answers next; None where nothing waits."""
        if self._again:
            return self._again.popleft()
        if own := self._stretches[actor]:
            return own.popleft()
        longest = max(self._stretches, key=len)
        return longest.pop() if longest else None

    def finished(self) -> None:
        self._num_open -= 1
        self.num_deaths_in_a_row = 0

    def died(self, shard: Shard) -> tuple[int, ...]:
        """Its actor has, with it; the places that are given up."""
        self.num_deaths_in_a_row += 1
        num_deaths = shard.num_deaths + 1
        if num_deaths < _WHOLE_TRIES:
            self._again.append(Shard(shard.places, num_deaths))
            return ()
        if len(shard.places) == 1:
            self._num_open -= 1
            return shard.places
        middle = len(shard.places) // 2
        for half in (shard.places[:middle], shard.places[middle:]):
            self._again.append(Shard(half, _WHOLE_TRIES - 1))
        self._num_open += 1
        return ()
