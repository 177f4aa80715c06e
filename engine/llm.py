"""The engine's front: prompts and pairs in, answers out in the order given.

Owns the life of a call. Where its requests run is core.py's (this process) or replicas.py's (one
process a device); what they are made of is intake.py's. A fault of one request becomes that
request's `error`; everyone else finishes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from engine.core import EngineCore
from engine.errors import InvalidRequestError
from engine.intake import Intake, sampling_params_for
from engine.options import EngineOptions
from engine.replicas import Replicas
from engine.request import Completion, Prompt, Request, SamplingParams, Score, Text
from engine.stats import EngineStats

__all__ = ["LLM", "EngineStats", "Progress"]

Progress = Callable[[int, int], None]


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
    replicas         how many copies of the model work side by side, each in a process of its own:
                     on cuda:0, cuda:1, … or on equal shares of the processor's threads
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
        replicas: int = 1,
    ) -> None:
        options = EngineOptions(
            device, dtype, batch_invariant, kv_cache_bytes, max_batch_tokens, quantization
        )
        self._engine: EngineCore | Replicas
        if replicas == 1:
            self._engine = EngineCore(model, options)
        else:
            self._engine = Replicas(model, options, replicas)
        config = self._engine.config
        self._codec = self._engine.codec
        self._intake = Intake(self._codec, config.vocab_size, config.max_position)
        self._lock = threading.Lock()

    def close(self) -> None:
        """Stop the worker processes of `replicas`; they also stop with this process."""
        self._engine.close()

    @property
    def tokenizer(self) -> Any:
        """The Hugging Face tokenizer. Raises EngineError if the model folder has none."""
        return self._intake.text.tokenizer

    def stats(self) -> EngineStats:
        return self._engine.stats()

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
            ready = [request for request in requests if request.finish_reason is None]
            num_done = self._report(0, len(requests) - len(ready), len(requests), progress)

            def finished(num_new: int) -> None:
                nonlocal num_done
                num_done = self._report(num_done, num_new, len(requests), progress)

            self._engine.run(ready, finished)
            self._engine.counters.add_finished(requests)

    @staticmethod
    def _report(num_done: int, num_new: int, total: int, progress: Progress | None) -> int:
        if progress is not None and num_new:
            progress(num_done + num_new, total)
        return num_done + num_new

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


def _score(request: Request) -> Score:
    if request.error is not None:
        return Score(float("nan"), (), len(request.targets or ()), False, request.error)
    logprobs = tuple(request.logprobs)
    return Score(sum(logprobs), logprobs, len(logprobs), request.num_greedy == len(logprobs))
