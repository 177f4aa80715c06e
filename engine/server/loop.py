"""The engine thread: the only one that touches the core while the server runs.

The asyncio side hands requests over through a queue and gets what every step gave them. A request
joins at the next step, whatever else runs (Orca), and a cancelled one leaves at the next step.
Knows nothing of HTTP or text.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from engine.errors import EngineError, MachineError
from engine.requests.request import FinishReason, Request, TopLogprobs
from engine.scheduling.core import EngineCore

__all__ = ["EngineThread", "Exchange", "Update"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Update:
    """What one step gave to one request: new tokens with their log-probabilities (for a score
    request only these), and the end, if it is one. at_s is on the clock of time.perf_counter.
    """

    request: Request
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    top_logprobs: tuple[TopLogprobs, ...]
    finish_reason: FinishReason | None
    failure: EngineError | None
    at_s: float


class Exchange:
    """Requests that were submitted together, and the updates of all of them. submitted_s, first_s
    of those that have a token: on the clock of time.perf_counter.
    """

    def __init__(self, requests: Sequence[Request]) -> None:
        self.submitted_s = time.perf_counter()
        self.first_s: dict[Request, float] = {}
        self.open = set(requests)
        self.updates: asyncio.Queue[Update] = asyncio.Queue()

    async def __aiter__(self) -> AsyncIterator[Update]:
        """Ends when every request has ended."""
        while self.open or not self.updates.empty():
            yield await self.updates.get()


class EngineThread:
    """Public methods belong to the thread of the event loop; everything after `_run` to the engine
    thread.
    """

    def __init__(self, core: EngineCore) -> None:
        self.core = core
        core.max_ahead = 1
        self.num_open = 0
        self._inbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._exchange_of: dict[Request, Exchange] = {}
        self._num_told: dict[Request, int] = {}
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def stop(self) -> None:
        """Ends after the step that runs now; open requests are dropped."""
        self._inbox.put(None)
        await asyncio.to_thread(self._thread.join)

    def submit(self, requests: Sequence[Request]) -> Exchange:
        """They join at the next step."""
        exchange = Exchange(requests)
        self.num_open += len(requests)
        self._inbox.put(partial(self._add, tuple(requests), exchange))
        return exchange

    def cancel(self, exchange: Exchange) -> None:
        """Take out what is still open; its blocks are free after the step that runs now."""
        if exchange.open:
            self.num_open -= len(exchange.open)
            self._inbox.put(partial(self._abort, tuple(exchange.open)))
            exchange.open.clear()

    def _deliver(self, updates: Sequence[tuple[Exchange, Update]]) -> None:
        for exchange, update in updates:
            if update.request not in exchange.open:
                continue  # cancelled meanwhile
            if update.finish_reason is not None:
                exchange.open.remove(update.request)
                self.num_open -= 1
            exchange.updates.put_nowait(update)

    def _run(self) -> None:
        while True:
            while not self.core.has_work or not self._inbox.empty():
                message = self._inbox.get()
                if message is None:
                    return
                message()
            try:
                finished = self.core.step()
            except BaseException as error:  # not even the culprit can be found: all these fail
                logger.exception("a step failed")
                finished = list(self._exchange_of)
                for request in finished:
                    request.fail(MachineError(f"The engine failed: {type(error).__name__}."))
                self.core.reset()
            try:
                self.core.check_idle()
            except AssertionError:  # our own bug, and nobody's fault who has an answer
                logger.exception("blocks of the cache leaked")
                self.core.reset()
            self.core.counters.add_finished(finished)
            self._tell([*self.core.scheduler.running, *finished])

    def _add(self, requests: Sequence[Request], exchange: Exchange) -> None:
        for request in requests:
            self._exchange_of[request] = exchange
            self.core.add(request)

    def _abort(self, requests: Sequence[Request]) -> None:
        for request in requests:
            if self._exchange_of.pop(request, None) is not None:
                self._num_told.pop(request, None)
                self.core.drop(request)

    def _tell(self, requests: Sequence[Request]) -> None:
        now = time.perf_counter()
        updates = []
        for request in requests:
            told = self._num_told.get(request, 0)
            first = request.num_prompt + told
            if request.finish_reason is None and (request.is_score or request.num_tokens == first):
                continue
            tokens = () if request.is_score else tuple(request.token_ids[first:])
            self._num_told[request] = told + len(tokens)
            update = Update(
                request,
                tokens,
                tuple(request.logprobs[told:]),
                tuple(request.top_logprobs[told:]),
                request.finish_reason,
                request.failure,
                now,
            )
            updates.append((self._exchange_of[request], update))
            if request.finish_reason is not None:
                del self._exchange_of[request], self._num_told[request]
        if updates:
            self._loop.call_soon_threadsafe(self._deliver, updates)
