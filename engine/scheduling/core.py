"""The loop of the engine: requests in, one step at a time, finished requests out.

Owns a loaded model, its KV cache and its scheduler, and the life of a request between `add` and its
finish_reason. One thread at a time drives it: LLM from a call, the server from its engine thread, a
replica from its process. What callers give and get is llm.py's, tensors are runner.py's, order is
scheduler.py's.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path

from engine.cache.block_manager import BlockManager
from engine.cache.kv_cache import BLOCK_SIZE
from engine.errors import EngineError, failure_of
from engine.execution.device import default_cache_bytes, pick_device, pick_dtype
from engine.execution.readout import RowResult
from engine.execution.runner import Runner, bytes_per_block
from engine.loading.hub import resolve_model
from engine.loading.model_files import ModelFiles, load_model_files
from engine.loading.tokenizer import TextCodec, load_tokenizer
from engine.models.llama import LlamaModel
from engine.models.quantised import check_quantization
from engine.options import EngineOptions
from engine.requests.answers import finish_reason
from engine.requests.request import Chunk, Request
from engine.scheduling.isolation import Isolation
from engine.scheduling.scheduler import Scheduler
from engine.scheduling.stats import EngineStats

__all__ = ["MAX_RUNNING", "EngineCore", "Finished", "end_ids"]

logger = logging.getLogger(__name__)
NOT_PROMISED = "batch_invariant is not promised here: kernels are %s"

#: hears which requests a step has ended
Finished = Callable[[Sequence[Request]], None]

MAX_RUNNING = 256
MAX_OPEN = 2 * MAX_RUNNING  # of one call: those that run, and as many that wait for their places
MAX_AHEAD = 8
ENDED_SHARE = 10  # the device goes less far ahead if more than one in so many requests ended
#: a step's tokens: enough to keep the device's matrix units busy
DEFAULT_BATCH_TOKENS = {"cpu": 512, "cuda": 8192}


class EngineCore:
    """codec is None for a model folder without a tokenizer."""

    def __init__(self, model: str | Path, options: EngineOptions) -> None:
        started = time.perf_counter()
        check_quantization(options.quantization)
        torch_device = pick_device(options.device)
        torch_dtype = pick_dtype(options.dtype, torch_device)
        self.max_batch_tokens = DEFAULT_BATCH_TOKENS[torch_device.type]
        if options.max_batch_tokens is not None:
            self.max_batch_tokens = options.max_batch_tokens
        if self.max_batch_tokens < 1:
            raise EngineError(
                f"max_batch_tokens is {self.max_batch_tokens}, but it must be at least 1."
            )
        path = resolve_model(str(model))
        files = load_model_files(path)
        self.config = files.config
        with ThreadPoolExecutor(max_workers=1) as pool:
            # the tokenizer is busy in Python, the weights mostly outside of it
            codec = pool.submit(load_tokenizer, files.path, files.metadata)
            self.model = LlamaModel(
                files.config,
                files.read_weights(),
                str(path),
                torch_dtype,
                torch_device,
                options.quantization,
                options.batch_invariant,
            )
            self.codec = codec.result()
        self.end_ids = end_ids(files, self.codec)
        self._num_blocks = _num_blocks(self.model, options.kv_cache_bytes)
        self._runner = Runner(self.model, self._num_blocks)
        if options.batch_invariant and not self.model.keeps_bits:
            logger.warning(NOT_PROMISED, self._runner.kernels)
        self.counters = EngineStats(
            device=str(self.model.device),
            dtype=str(self.model.dtype).removeprefix("torch."),
            kernels=self._runner.kernels,
            batch_invariant=self.model.keeps_bits,
            num_blocks=self._num_blocks,
            block_size=BLOCK_SIZE,
        )
        #: at most so many steps between two looks of the host; 1 for whoever waits for each token
        self.max_ahead = MAX_AHEAD
        self.reset()
        self.counters.load_s = time.perf_counter() - started

    def reset(self) -> None:
        """Drop every request; a new scheduler over a cache that holds nothing."""
        self._open: dict[Request, None] = {}
        self._isolation = Isolation()
        self._renew_cache()

    def _renew_cache(self) -> None:
        self.blocks = BlockManager(self._num_blocks, BLOCK_SIZE)
        self.scheduler = Scheduler(self.blocks, self.max_batch_tokens, MAX_RUNNING)
        self._wish_ahead = 2

    def stats(self) -> EngineStats:
        return replace(self.counters)

    def run(self, requests: Iterable[Request], finished: Finished) -> None:
        """Run until every request has a finish_reason; they are taken when there is room for them,
        so that a long list of prompts is not encoded before the first answer. After an interrupt
        the engine is as if they had never been added.
        """
        started = time.perf_counter()
        coming = iter(requests)
        try:
            while True:
                for request in islice(coming, MAX_OPEN - len(self._open)):
                    self.add(request)
                if not self.has_work:
                    break
                finished(self.step())
            self.check_idle()
        except BaseException:
            # Interrupted anywhere: blocks may be half handed out or promised but not computed.
            self.reset()
            raise
        finally:
            self.counters.run_s += time.perf_counter() - started

    def close(self) -> None:
        """Nothing to stop: the memory goes with the object."""

    @property
    def has_work(self) -> bool:
        return bool(self._open)

    def check_idle(self) -> None:
        """Prove that no block leaked, if nothing waits or runs. Raises AssertionError."""
        if not self.has_work:
            self.blocks.check()

    def add(self, request: Request) -> None:
        """Let the request join from the next step on."""
        self._open[request] = None
        (self._isolation if self._isolation.is_on else self.scheduler).add(request)

    def drop(self, request: Request) -> None:
        """Take a request out between two steps, wherever it is, and give its blocks back."""
        self._open.pop(request, None)
        self._isolation.drop(request)
        self.scheduler.drop(request)

    def step(self) -> list[Request]:
        """One iteration: schedule, run, postprocess. The requests it finished. Whatever is raised
        on the way stays with the request that it comes from; see isolation.py.
        """
        if self._isolation.is_on and not self.scheduler.has_work:
            for request in self._isolation.next_ones():
                self.scheduler.add(request)
        try:
            finished = self._step()
        except BaseException as error:
            finished = self._isolate(failure_of(error))
        for request in finished:
            self._open.pop(request, None)
        return finished

    def _step(self) -> list[Request]:
        num_preemptions = self.scheduler.num_preemptions
        chunks, finished = self.scheduler.schedule()
        self.counters.num_preemptions += self.scheduler.num_preemptions - num_preemptions
        if not chunks:
            return finished
        num_steps = self._steps_ahead(chunks)
        if num_steps > 1:
            results = self._runner.run_ahead(chunks, num_steps)
        else:
            results = self._runner.run(chunks)
        self.counters.num_steps += num_steps
        self.counters.num_run_tokens += num_steps * sum(chunk.num_tokens for chunk in chunks)
        ended = [
            c.request for c, rows in zip(chunks, results, strict=True) if self._advance(c, rows)
        ]
        if num_steps > 1:
            is_too_far = len(ended) * ENDED_SHARE > len(chunks)
            self._wish_ahead = max(2, num_steps // 2) if is_too_far else 2 * num_steps
        if self._isolation.is_on:
            self._release_proven(chunks, results)
        return finished + ended

    def _steps_ahead(self, chunks: Sequence[Chunk]) -> int:
        """How many steps the device may take before the host looks: more as long as few requests
        end meanwhile, whose last steps are in vain.
        """
        if self.max_ahead == 1 or not self._runner.can_run_ahead(chunks):
            return 1
        wanted = max(chunk.request.max_length - chunk.end for chunk in chunks)
        room = min(self.config.max_position - chunk.start for chunk in chunks)
        num_steps = min(self._wish_ahead, self.max_ahead, wanted, room)
        return num_steps if num_steps > 1 and self.scheduler.reserve(chunks, num_steps) else 1

    def _advance(self, chunk: Chunk, rows: Sequence[RowResult]) -> bool:
        """Take a chunk's results over into its request; True if that finished it."""
        request = chunk.request
        request.num_computed = chunk.end
        failure = next((row.error for row in rows if row.error is not None), None)
        if failure is not None:
            request.fail(failure)
            self.blocks.forget(request.block_table)
            self._runner.attention.cache.scrub(self.blocks.unshared(request.block_table))
        elif request.is_score:
            for row in rows:
                request.logprobs.append(row.logprobs[0])
                request.top_logprobs += [row.top] if request.num_top else []
                request.greedy_ids.append(row.greedy_id)
            if request.targets is not None and len(request.logprobs) == len(request.targets):
                request.choice_logprobs = rows[-1].logprobs
                request.finish_reason = "stop"
        else:
            try:
                for row in rows:
                    if request.finish_reason is None:
                        self._take_token(request, row)
            except BaseException as error:
                request.fail(failure_of(error))
            if len(rows) > 1:  # the device has drawn and run the tokens after the chunk by itself
                request.num_computed = request.num_tokens - 1
                self.blocks.commit(
                    request.block_table, request.token_ids, request.block_digests, chunk.end,
                    request.num_computed,
                )  # fmt: skip
        if request.finish_reason is None:
            return False
        self.scheduler.finish(request)
        return True

    def _take_token(self, request: Request, row: RowResult) -> None:
        request.token_ids.append(row.token_ids[0])
        if request.params.logprobs:
            request.logprobs.append(row.logprobs[0])
            request.top_logprobs.append(row.top)
        if request.grammar is not None:
            request.grammar.accept(row.token_ids[0])
        request.finish_reason = finish_reason(request, self.codec)

    def _isolate(self, failure: EngineError) -> list[Request]:
        """After a step that broke: nothing in the cache is believed, what the step's members have
        drawn stays, and they run one at a time until it is known whose fault it is. The requests
        that have ended.
        """
        for request in self._open:
            self._runner.attention.cache.scrub(request.block_table)
        suspects = [r for r in self.scheduler.suspects() if r.finish_reason is None]
        if self._isolation.is_on:  # one alone, for the second time
            for request in suspects:
                request.fail(failure)
        going = [r for r in dict.fromkeys([*suspects, *self._open]) if r.finish_reason is None]
        for request in going:
            request.forget_cache()
        self._renew_cache()
        if not self._isolation.is_on:
            self._isolation.begin(going, suspects)
        return [request for request in self._open if request.finish_reason is not None]

    def _release_proven(
        self, chunks: Sequence[Chunk], results: Sequence[Sequence[RowResult]]
    ) -> None:
        """A suspect that got a token by itself; a score is proven by its end."""
        for (request, *_), rows in zip(chunks, results, strict=True):
            if rows and request.finish_reason is None and not request.is_score:
                self.scheduler.drop(request)
                self._isolation.prove(request)


def end_ids(files: ModelFiles, codec: TextCodec | None) -> frozenset[int]:
    """The model's own end tokens, as its files and its tokenizer name them."""
    end_id = codec.tokenizer.eos_token_id if codec is not None else None
    return files.end_ids | ({end_id} if isinstance(end_id, int) else set())


def _num_blocks(model: LlamaModel, kv_cache_bytes: int | None) -> int:
    """As many as the bytes allow; by default no more than the longest requests can fill at once."""
    per_block = bytes_per_block(model)
    wanted = default_cache_bytes(model.device) if kv_cache_bytes is None else kv_cache_bytes
    if wanted < per_block:
        raise EngineError(
            f"kv_cache_bytes is {wanted}, but one block of {BLOCK_SIZE} tokens needs "
            f"{per_block} bytes."
        )
    num_blocks = int(wanted // per_block)
    if kv_cache_bytes is None:
        num_blocks = min(num_blocks, MAX_RUNNING * -(-model.config.max_position // BLOCK_SIZE))
    return num_blocks
