"""The engine's front: requests in, answers out in the order given, through one loop of schedule,
run, postprocess.

Owns the life of a call. Text is tokenizer.py's, tensors are runner.py's, order is scheduler.py's. A
fault of one request becomes that request's `error`; everyone else finishes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from engine.block_manager import BlockManager
from engine.device import default_cache_bytes, pick_device, pick_dtype
from engine.errors import EngineError, InvalidRequestError
from engine.hub import resolve_model
from engine.intake import Intake, sampling_params_for
from engine.loader import load_model_files
from engine.models.llama import LlamaModel
from engine.models.quantised import check_quantization
from engine.request import Completion, FinishReason, Prompt, Request, SamplingParams, Score, Text
from engine.runner import BLOCK_SIZE, ChunkResult, Runner, bytes_per_block
from engine.scheduler import Chunk, Scheduler
from engine.stats import Counters, EngineStats
from engine.tokenizer import TextCodec, load_tokenizer

__all__ = ["LLM", "EngineStats", "Progress"]

Progress = Callable[[int, int], None]

MAX_RUNNING = 128
DEFAULT_BATCH_TOKENS = 512


class LLM:
    """A model, its KV cache and its scheduler. One call runs at a time; others wait.

    model            a folder (config.json, *.safetensors), a .gguf file, or a hub id "owner/name"
    device           "auto" (CUDA where there is one), "cpu", "cuda", "cuda:1"
    dtype            "auto", "float32", "bfloat16", "float16"
    batch_invariant  the same bits for a request alone and in any batch, on this device, dtype and
                     number of threads
    kv_cache_bytes   memory for K and V; None takes a share of what is free
    max_batch_tokens tokens of one step; None takes 512
    quantization     None, "int8" or "int4": how the layers' matrices are kept in memory
    """

    def __init__(
        self,
        model: str | Path,
        device: str = "auto",
        dtype: str = "auto",
        batch_invariant: bool = True,
        kv_cache_bytes: int | None = None,
        max_batch_tokens: int | None = None,
        quantization: str | None = None,
    ) -> None:
        started = time.perf_counter()
        check_quantization(quantization)
        torch_device = pick_device(device)
        torch_dtype = pick_dtype(dtype, torch_device)
        self._max_batch_tokens = _batch_tokens(max_batch_tokens)
        path = resolve_model(str(model))
        files = load_model_files(path)
        config = files.config
        with ThreadPoolExecutor(max_workers=1) as pool:
            # The tokenizer is busy in Python, the weights mostly outside of it.
            codec = pool.submit(load_tokenizer, files.path, files.metadata)
            weights = files.read_weights()
            self._model = LlamaModel(
                config, weights, str(path), torch_dtype, torch_device, quantization
            )
            self._codec = codec.result()
        end_id = self._codec.end_id if self._codec is not None else None
        self._end_ids = files.end_ids | (frozenset() if end_id is None else {end_id})
        self._intake = Intake(self._codec, config.vocab_size, config.max_position)
        self._batch_invariant = batch_invariant
        self._num_blocks = _num_blocks(self._model, kv_cache_bytes)
        self._runner = Runner(self._model, self._num_blocks, batch_invariant)
        self._lock = threading.Lock()
        self._counters = Counters()
        self._empty_cache()
        self._load_s = time.perf_counter() - started

    def _empty_cache(self) -> None:
        """A new scheduler over a cache that holds nothing."""
        self._blocks = BlockManager(self._num_blocks, BLOCK_SIZE)
        self._scheduler = Scheduler(self._blocks, self._max_batch_tokens, MAX_RUNNING)

    @property
    def tokenizer(self) -> Any:
        """The Hugging Face tokenizer. Raises EngineError if the model folder has none."""
        return self._intake.text.tokenizer

    def stats(self) -> EngineStats:
        counters = {name: getattr(self._counters, name) for name in Counters.__slots__}
        return EngineStats(
            device=str(self._model.device),
            dtype=str(self._model.dtype).removeprefix("torch."),
            batch_invariant=self._batch_invariant,
            num_blocks=self._num_blocks,
            block_size=BLOCK_SIZE,
            load_s=self._load_s,
            **counters,
        )

    def generate(
        self,
        prompts: Sequence[Prompt],
        params: SamplingParams | Sequence[SamplingParams] | None = None,
        progress: Progress | None = None,
    ) -> list[Completion]:
        """One completion a prompt, in the order given. Prompts are texts, token ids or chat
        messages, mixed as you like.
        """
        _check_list(prompts, "prompts", "prompts")
        each = sampling_params_for(params, len(prompts))
        requests = [
            self._intake.generate_request(i, p, s)
            for i, (p, s) in enumerate(zip(prompts, each, strict=True))
        ]
        self._run(requests, progress)
        return [self._completion(request) for request in requests]

    def score(
        self, pairs: Sequence[tuple[Text, Text]], progress: Progress | None = None
    ) -> list[Score]:
        """Log-likelihood of every continuation after its context, in the order given. Texts or
        token ids.
        """
        _check_list(pairs, "pairs", "(context, continuation)")
        requests = [self._intake.score_request(i, pair) for i, pair in enumerate(pairs)]
        self._run(requests, progress)
        return [_score(request) for request in requests]

    def _run(self, requests: list[Request], progress: Progress | None) -> None:
        """Run until every request has a finish_reason. After an interrupt the engine is as if they
        had never been added.
        """
        with self._lock:
            started = time.perf_counter()
            ready = [request for request in requests if request.finish_reason is None]
            num_done = self._report(0, len(requests) - len(ready), len(requests), progress)
            try:
                for request in ready:
                    self._scheduler.add(request)
                while self._scheduler.has_work:
                    num_new = len(self.step())
                    num_done = self._report(num_done, num_new, len(requests), progress)
                self._blocks.check()
            except BaseException:
                # Interrupted anywhere: blocks may be half handed out or promised but not computed.
                self._empty_cache()
                raise
            finally:
                self._counters.run_s += time.perf_counter() - started
            self._counters.add_finished(requests)

    @staticmethod
    def _report(num_done: int, num_new: int, total: int, progress: Progress | None) -> int:
        if progress is not None and num_new:
            progress(num_done + num_new, total)
        return num_done + num_new

    def step(self) -> list[Request]:
        """One iteration: schedule, run, postprocess. The requests it finished."""
        num_preemptions = self._scheduler.num_preemptions
        chunks, finished = self._scheduler.schedule()
        self._counters.num_preemptions += self._scheduler.num_preemptions - num_preemptions
        if not chunks:
            return finished
        try:
            results = self._runner.run(chunks)
        except (RuntimeError, MemoryError) as error:
            return finished + self._fail_largest(chunks, error)
        self._counters.num_steps += 1
        self._counters.num_run_tokens += sum(chunk.num_tokens for chunk in chunks)
        return finished + [
            c.request for c, result in zip(chunks, results, strict=True) if self._advance(c, result)
        ]

    def _advance(self, chunk: Chunk, result: ChunkResult) -> bool:
        """Take a chunk's result over into its request; True if that finished it."""
        request = chunk.request
        request.num_computed = chunk.end
        if result.error is not None:
            request.fail(result.error)
            self._blocks.forget(request.block_table)
            self._runner.scrub(request.block_table)
        elif request.is_score:
            request.logprobs += result.logprobs
            request.num_greedy += sum(result.is_greedy)
            if request.targets is not None and len(request.logprobs) == len(request.targets):
                request.finish_reason = "stop"
        elif result.token_ids:
            request.token_ids.append(result.token_ids[0])
            if request.params.logprobs:
                request.logprobs.append(result.logprobs[0])
            request.finish_reason = self._finish_reason(request)
        if request.finish_reason is None:
            return False
        self._scheduler.finish(request)
        return True

    def _finish_reason(self, request: Request) -> FinishReason | None:
        if request.token_ids[-1] in self._end_ids:
            return "stop"
        if request.params.stop and self._codec is not None and _ends_in_stop(self._codec, request):
            return "stop"
        return "length" if request.num_tokens >= request.max_length else None

    def _fail_largest(self, chunks: list[Chunk], error: Exception) -> list[Request]:
        """A step that ran out of memory or broke in a kernel takes its largest request with it; the
        others are tried again.
        """
        # The blocks of this step were made findable before they were computed; they never were.
        self._blocks.forget_everything()
        victim = max(chunks, key=lambda chunk: chunk.num_tokens).request
        reason = (str(error).splitlines() or [""])[0][:300]
        victim.fail(f"The step failed on this device: {type(error).__name__}: {reason}")
        self._scheduler.finish(victim)
        self._scheduler.recompute_all()
        return [victim]

    def _completion(self, request: Request) -> Completion:
        output = request.output_ids
        return Completion(
            text=self._output_text(request, output),
            token_ids=tuple(output),
            logprobs=tuple(request.logprobs),
            finish_reason=request.finish_reason or "error",
            num_prompt_tokens=request.num_prompt,
            num_cached_tokens=max(0, request.num_cached),
            error=request.error,
        )

    def _output_text(self, request: Request, output: list[int]) -> str:
        if self._codec is None or not output:
            return ""
        text = self._codec.decode(output)
        ends = [place for stop in request.params.stop if (place := text.find(stop)) >= 0]
        return text[: min(ends)] if ends else text


def _check_list(value: object, name: str, of_what: str) -> None:
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise InvalidRequestError(
            f"{name} is a {type(value).__name__}, but it must be a list of {of_what}."
        )


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


def _batch_tokens(max_batch_tokens: int | None) -> int:
    if max_batch_tokens is None:
        return DEFAULT_BATCH_TOKENS
    if max_batch_tokens < 1:
        raise EngineError(f"max_batch_tokens is {max_batch_tokens}, but it must be at least 1.")
    return max_batch_tokens


def _ends_in_stop(codec: TextCodec, request: Request) -> bool:
    """Is a stop string in the text of the last tokens? A character is at most four tokens, so
    looking that far back is enough.
    """
    longest = max(len(stop) for stop in request.params.stop)
    tail = codec.decode(request.output_ids[-(4 * longest + 8) :])
    return any(stop in tail for stop in request.params.stop)


def _score(request: Request) -> Score:
    if request.error is not None:
        return Score(float("nan"), (), len(request.targets or ()), False, request.error)
    logprobs = tuple(request.logprobs)
    return Score(sum(logprobs), logprobs, len(logprobs), request.num_greedy == len(logprobs))
