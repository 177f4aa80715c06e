"""Work by processes of this machine; a thread for each asks it."""

from __future__ import annotations

import threading
from typing import Self

from tasks.processes import OtherProcess
from tasks.workers.job import Job
from tasks.workers.trouble import Trouble
from tasks.workers.turns import Portion, Turn, Turns
from tasks.workers.work import Work

#: bytes of answers that wait here
_MAX_BYTES = 256 * 2**20


class WorkHere(Work):
    """Processes that do one job. They are started with the first item; where none can be, or all
    die, every item is given up."""

    def __init__(self, num_workers: int, job: Job) -> None:
        self.num_workers = num_workers
        self._job = job
        self._turns = Turns(num_workers, _MAX_BYTES)
        self._threads = [threading.Thread(target=self._drive) for _ in range(num_workers)]
        self._workers: set[_Worker] = set()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._turns.end()
        for worker in tuple(self._workers):
            worker.kill()  # in the middle of what nobody wants any more
        for thread in self._threads:
            thread.join()

    def _give(self, item: bytes) -> None:
        self._turns.give(item)

    def _next(self) -> Portion | None:
        portion = self._turns.next()
        return None if isinstance(portion, Trouble) else portion

    def _drive(self) -> None:
        """Turn after turn, by one process and those that come in its place."""
        turns, worker = self._turns, None
        while (turn := turns.take()) is not None:
            try:
                if worker is None:
                    worker = _Worker(self._job)
                    self._workers.add(worker)
                worker.do(turn, turns)
            except (EOFError, OSError):
                turns.died(turn, "a process that worked ahead died")
                self._end(worker)
                worker = None
        self._end(worker)

    def _end(self, worker: _Worker | None) -> None:
        if worker is not None:
            self._workers.discard(worker)
            worker.end()


class _Worker:
    """A process that does the job. Raises EOFError or OSError where it is gone."""

    def __init__(self, job: Job) -> None:
        self._process = OtherProcess("tasks.workers.process")
        self._num_asked = 0
        try:
            self._process.say(job)
        except OSError:
            self._process.end()
            raise

    def do(self, turn: Turn, turns: Turns) -> None:
        while self._num_asked:  # of a turn before, which was left
            self._hear()
        self._ask((turn.number, turn.item, turn.skip))
        while True:
            self._ask(turn.number)  # it works at the next portion while we take this one
            told = self._hear()
            if isinstance(told, str):
                turns.give_up(turn)
                return
            if not turns.put(turn, told):
                return

    def kill(self) -> None:
        self._process.kill()

    def end(self) -> None:
        self._process.end()

    def _ask(self, what: object) -> None:
        self._num_asked += 1
        self._process.say(what)

    def _hear(self) -> Portion | str:
        told: Portion | str = self._process.hear()
        self._num_asked -= 1
        return told
