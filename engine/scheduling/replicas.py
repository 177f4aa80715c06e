"""Copies of the model side by side, each an EngineCore in a process of its own, behind one `run`.

Owns the worker processes and what goes over their pipes; which request goes where is routing.py's.
A worker that dies takes only its own requests with it. Workers end when their pipe closes, so they
cannot outlive this process, however it ends. What is pickled over the pipes are our own
dataclasses, between processes that we started; a grammar's state stays in its own. Knows nothing of
text or of what a step does.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import time
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TypeAlias

import torch

from engine.errors import EngineError, MachineError, failure_of
from engine.execution.device import default_cache_bytes, pick_device
from engine.loading.hub import resolve_model
from engine.loading.model_files import load_model_files
from engine.loading.tokenizer import load_tokenizer
from engine.options import EngineOptions
from engine.requests.intake import Intake
from engine.requests.request import Request
from engine.scheduling.core import EngineCore, Finished, end_ids
from engine.scheduling.routing import route
from engine.scheduling.stats import EngineStats

__all__ = ["Replicas"]

JOIN_S = 10.0


#: requests under keys by which the worker names them when they are done; none: forget all
Work: TypeAlias = dict[int, Request]


@dataclass(frozen=True, slots=True)
class Reply:
    """Finished requests; none: the model is loaded, or all is forgotten. failed: why there is no
    model.
    """

    requests: Mapping[int, Request]
    stats: EngineStats | None
    failed: EngineError | None = None


class Replicas:
    """`count` workers with one model. Same `run`, `stats`, `close` as EngineCore."""

    def __init__(self, model: str | Path, options: EngineOptions, count: int) -> None:
        devices = _devices(options.device, count)
        files = load_model_files(resolve_model(str(model)))
        self.config = files.config
        self.codec = load_tokenizer(files.path, files.metadata)
        self.end_ids = end_ids(files, self.codec)
        if options.kv_cache_bytes is None and devices[0].type == "cpu":
            options = replace(options, kv_cache_bytes=default_cache_bytes(devices[0]) // count)
        num_threads = max(1, torch.get_num_threads() // count)
        self._workers: list[_Worker] = []
        self.close = weakref.finalize(self, _end, self._workers)
        started = time.perf_counter()
        # Workers never see Ctrl-C: they inherit the mask. Ours comes after.
        resource_tracker.ensure_running()  # or the first start would, and lift the mask
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            for index, device in enumerate(devices):
                chosen = replace(options, device=str(device))
                self._workers.append(_Worker(index, files.path, chosen, num_threads))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        try:
            for worker in self._workers:
                worker.wait_until_ready()
        except BaseException:
            self.close()
            raise
        self.counters = replace(
            self._workers[0].stats,
            device=", ".join(worker.stats.device for worker in self._workers),
            load_s=time.perf_counter() - started,
            num_replicas=count,
        )

    def stats(self) -> EngineStats:
        summed = ("num_steps", "num_run_tokens", "num_preemptions", "num_blocks")
        sums = {name: sum(getattr(w.stats, name) for w in self._workers) for name in summed}
        return replace(self.counters, **sums)

    def run(self, requests: Iterable[Request], finished: Finished) -> None:
        """As EngineCore.run, but that all are taken first: who gets which is decided of all."""
        started = time.perf_counter()
        requests = list(requests)
        living = [worker for worker in self._workers if worker.is_alive]
        if not living:
            raise MachineError("Every replica has ended. Make a new LLM.")
        try:
            parts = route(requests, len(living))
            for worker, part in zip(living, parts, strict=True):
                worker.open = {key: requests[key] for key in part}
                if part:
                    worker.send({key: replace(requests[key], grammar=None) for key in part})
            while busy := {worker.pipe: worker for worker in living if worker.open}:
                for pipe in wait(list(busy)):
                    finished(busy[pipe].take_done())  # type: ignore[index]
        except BaseException:
            # Workers forget the call. What they had sent before is read and dropped: a worker that
            # waits to be read could not listen.
            try:
                for worker in living:
                    worker.send({})
                for worker in living:
                    worker.drain()
            except BaseException:  # interrupted again: no time to lose
                self.close()
                raise
            raise
        finally:
            self.counters.run_s += time.perf_counter() - started


class _Worker:
    """A process, our end of its pipe, and the requests it has not answered yet."""

    def __init__(self, index: int, model: Path, options: EngineOptions, num_threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.open: dict[int, Request] = {}
        self.stats: EngineStats
        self._index, self._device = index, options.device
        self.process: BaseProcess = context.Process(
            target=_work,
            args=(theirs, model, options, num_threads),
            name=f"engine-replica-{index}",
            daemon=True,
        )
        self.process.start()
        theirs.close()  # so that the pipe ends with the process

    @property
    def is_alive(self) -> bool:
        return not self.pipe.closed and self.process.is_alive()

    def wait_until_ready(self) -> None:
        try:
            message = self.pipe.recv()
        except (EOFError, OSError):
            raise MachineError(
                f"{self._ended()} while it loaded the model. A script has to make its LLM below "
                "`if __name__ == '__main__':`, because every replica imports the script."
            ) from None
        if message.failed is not None:
            reason = f"Replica {self._index} ({self._device}): {message.failed}"
            raise type(message.failed)(reason)
        self.stats = message.stats

    def send(self, message: Work) -> None:
        with contextlib.suppress(OSError):  # it died: take_done sees the end of the pipe
            self.pipe.send(message)

    def take_done(self) -> list[Request]:
        """Take over what the worker has finished; the requests that this ended."""
        try:
            message = self.pipe.recv()
        except (EOFError, OSError):
            reason = MachineError(f"{self._ended()} before this request was done.")
            ended = list(self.open.values())
            for request in ended:
                request.fail(reason)
            self.open = {}
            return ended
        self.stats = message.stats
        ended = []
        for key, theirs in message.requests.items():
            mine = self.open.pop(key)
            for field in fields(Request):
                setattr(mine, field.name, getattr(theirs, field.name))
            ended.append(mine)
        return ended

    def drain(self) -> None:
        self.open = {}
        with contextlib.suppress(EOFError, OSError):
            while self.pipe.recv().requests:
                pass

    def _ended(self) -> str:
        self.process.join(JOIN_S)
        name = f"Replica {self._index} ({self._device}, process {self.process.pid})"
        return f"{name} ended with exit code {self.process.exitcode}"


def _end(workers: Sequence[_Worker]) -> None:
    for worker in workers:
        worker.pipe.close()
        worker.process.terminate()
    deadline = time.monotonic() + JOIN_S
    for worker in workers:
        worker.process.join(max(0.0, deadline - time.monotonic()))
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()


def _work(pipe: Connection, model: Path, options: EngineOptions, num_threads: int) -> None:
    """A worker's life: step while there is work, and listen in between, until the pipe closes."""
    torch.set_num_threads(num_threads)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        try:
            core = EngineCore(model, options)
        except EngineError as error:
            pipe.send(Reply({}, None, error))
            return
        pipe.send(Reply({}, core.stats()))
        key_of: dict[Request, int] = {}
        intake = Intake(core.codec, core.config.vocab_size, core.config.max_position)
        while True:
            while not core.has_work or pipe.poll():
                work: Work = pipe.recv()
                key_of = {request: key for key, request in work.items()}
                if not key_of:
                    core.reset()
                done = [request for request in key_of if not _begin(request, core, intake)]
                if done or not key_of:
                    pipe.send(_reply(done, key_of, core))
            done = core.step()
            core.check_idle()
            if done:
                pipe.send(_reply(done, key_of, core))


def _begin(request: Request, core: EngineCore, intake: Intake) -> bool:
    """Let it join; False if it has failed already."""
    try:
        if request.guide is not None:
            request.grammar = intake.grammar(request.guide, core.end_ids)
    except BaseException as error:
        request.fail(failure_of(error))
        return False
    core.add(request)
    return True


def _reply(done: Sequence[Request], key_of: Mapping[Request, int], core: EngineCore) -> Reply:
    return Reply({key_of[r]: replace(r, grammar=None) for r in done}, core.stats())


def _devices(device: str, count: int) -> list[torch.device]:
    if not isinstance(count, int) or count < 1:
        raise EngineError(f"replicas is {count!r}, but it must be a whole number of at least 1.")
    chosen = pick_device(device)
    if chosen.type == "cpu":
        return [chosen] * count
    if ":" in device or count > torch.cuda.device_count():
        raise EngineError(
            f"{count} replicas on device {device!r} are not possible: they take cuda:0, cuda:1, …, "
            f"and torch sees {torch.cuda.device_count()} CUDA devices. Use device='cuda' and at "
            "most that many."
        )
    return [torch.device("cuda", index) for index in range(count)]
