"""Items given in order, worked at by whoever is free, their answers handed back in that order.

What workers are ahead of whoever takes is bounded in bytes: one that is too far ahead waits, or
leaves its item to begin one that is needed before. An item whose worker died is given out again,
and is gone on with behind the answers that it had: a worker answers the same item the same way. One
that was met by three deaths is given up, and whoever gave it does it without them.

A monitor for threads; knows no clock, nor what a worker is.
"""

from __future__ import annotations

import heapq
import threading
from collections import deque
from dataclasses import dataclass, field

from tasks.workers.trouble import Trouble

#: deaths that an item may meet
MAX_DEATHS = 3
#: of all workers, without an answer between them; after more, nobody there can work
MAX_DEATHS_IN_A_ROW = 12
#: portions of the item that is being taken
_MAX_PORTIONS_OF_HEAD = 2


@dataclass(frozen=True, slots=True)
class Portion:
    """Some answers of an item, in order, in one pickle. `is_given_up`: the item is, behind those
    that were handed back before."""

    data: bytes
    num_answers: int
    is_last: bool
    is_given_up: bool = False


@dataclass(frozen=True, slots=True)
class Turn:
    """An item to work at. `skip`: answers of it that are known."""

    number: int
    item: bytes
    skip: int


@dataclass(slots=True)
class _Item:
    data: bytes
    portions: deque[Portion] = field(default_factory=deque)
    num_answers: int = 0
    num_deaths: int = 0


class Turns:
    """`max_bytes`: of answers that wait to be taken, beyond the item that is being taken."""

    def __init__(self, num_workers: int, max_bytes: int) -> None:
        self._changed = threading.Condition()
        self._items: dict[int, _Item] = {}
        self._open: list[int] = []
        self._num_given = 0
        self._head = 0
        self._num_bytes = 0
        self._max_bytes = max_bytes
        self._num_workers = num_workers
        self._num_idle = 0
        self._num_deaths_in_a_row = 0
        self._trouble: Trouble | None = None
        self._has_ended = False

    def give(self, data: bytes) -> None:
        """One more item."""
        with self._changed:
            self._items[self._num_given] = _Item(data)
            heapq.heappush(self._open, self._num_given)
            self._num_given += 1
            self._changed.notify_all()

    def next(self, timeout_s: float | None = None) -> Portion | Trouble | None:
        """The next portion in the order of the items; None: there is none yet."""
        with self._changed:
            assert self._head < self._num_given, "nothing was given that was not taken"
            item = self._items[self._head]
            self._changed.wait_for(lambda: item.portions or self._trouble, timeout_s)
            if not item.portions:
                return self._trouble
            portion = item.portions.popleft()
            self._num_bytes -= len(portion.data)
            if portion.is_last:
                del self._items[self._head]
                self._head += 1
            self._changed.notify_all()
            return portion

    def fail(self, trouble: Trouble) -> None:
        """Nobody can work any more."""
        with self._changed:
            self._trouble = self._trouble or trouble
            self._end()

    def end(self) -> None:
        """Nobody wants anything any more."""
        with self._changed:
            self._end()

    def take(self) -> Turn | None:
        """What a worker does next; None: nothing, ever."""
        with self._changed:
            self._num_idle += 1
            self._changed.wait_for(lambda: self._open or self._has_ended)
            self._num_idle -= 1
            if self._has_ended:
                return None
            number = heapq.heappop(self._open)
            item = self._items[number]
            return Turn(number, item.data, item.num_answers)

    def put(self, turn: Turn, portion: Portion) -> bool:
        """The next answers of a turn, once there is room for them; False: go on with another."""
        with self._changed:
            item = self._items[turn.number]
            item.portions.append(portion)
            item.num_answers += portion.num_answers
            self._num_bytes += len(portion.data)
            self._num_deaths_in_a_row = 0
            self._changed.notify_all()
            if portion.is_last:
                return False
            self._changed.wait_for(
                lambda: self._has_ended or self._has_room(turn.number) or self._must_leave(turn)
            )
            if self._has_ended:
                return False
            if self._has_room(turn.number):
                return True
            heapq.heappush(self._open, turn.number)
            return False

    def died(self, turn: Turn, why: str) -> None:
        """A worker has, at this turn."""
        with self._changed:
            if turn.number not in self._items:
                return  # it had told all
            item = self._items[turn.number]
            item.num_deaths += 1
            self._num_deaths_in_a_row += 1
            if (times := self._num_deaths_in_a_row) > MAX_DEATHS_IN_A_ROW:
                self._trouble = Trouble(f"actors died {times} times in a row: {why}")
                self._end()
            elif item.num_deaths >= MAX_DEATHS:
                self._give_up(item)
            else:
                heapq.heappush(self._open, turn.number)
            self._changed.notify_all()

    def give_up(self, turn: Turn) -> None:
        """It cannot be done by any worker."""
        with self._changed:
            self._give_up(self._items[turn.number])
            self._changed.notify_all()

    def lost(self) -> None:
        """A worker is, for good."""
        with self._changed:
            self._num_workers -= 1
            if not self._num_workers:
                why = "the actors died, and no node of the cluster has room for them"
                self._trouble = self._trouble or Trouble(why)
                self._end()

    def _end(self) -> None:
        self._has_ended = True
        self._changed.notify_all()

    def _give_up(self, item: _Item) -> None:
        item.portions.append(Portion(b"", 0, is_last=True, is_given_up=True))

    def _has_room(self, number: int) -> bool:
        if number == self._head:
            return len(self._items[number].portions) < _MAX_PORTIONS_OF_HEAD
        return self._num_bytes < self._max_bytes

    def _must_leave(self, turn: Turn) -> bool:
        """Whether what is needed before has nobody else."""
        return bool(self._open) and self._open[0] < turn.number and not self._num_idle
