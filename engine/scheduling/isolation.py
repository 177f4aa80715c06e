"""Finding the one request that breaks a step for all.

After a step that broke, its members run one at a time, each until it is computed to its end, and
everyone else waits; who breaks a step of its own is the culprit and fails. Then all go on together.
A fault that has passed meanwhile costs time and nobody's answer, and each round gives every member
a token, so that even a batch that breaks every time gets done. Knows requests and their order;
nothing of why a step broke.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable

from engine.requests.request import Request

__all__ = ["Isolation"]


class Isolation:
    def __init__(self) -> None:
        self.is_on = False
        self._suspects: deque[Request] = deque()
        self._proven: list[Request] = []
        self._bystanders: deque[Request] = deque()

    def begin(self, going: Iterable[Request], suspects: Collection[Request]) -> None:
        """going: every request that has not ended, in the order in which they came to run."""
        self.is_on = True
        for request in going:
            (self._suspects if request in suspects else self._bystanders).append(request)

    def add(self, request: Request) -> None:
        """It came meanwhile, and waits."""
        self._bystanders.append(request)

    def drop(self, request: Request) -> None:
        for line in (self._suspects, self._proven, self._bystanders):
            if request in line:
                line.remove(request)

    def prove(self, request: Request) -> None:
        """It has run by itself and broke nothing."""
        self._proven.append(request)

    def next_ones(self) -> list[Request]:
        """Who runs next, once nobody runs: one suspect; then all, and this is over."""
        if self._suspects:
            return [self._suspects.popleft()]
        everyone = [*self._proven, *self._bystanders]
        self.is_on = False
        self._proven.clear()
        self._bystanders.clear()
        return everyone
