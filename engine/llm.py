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

from engine.errors import InvalidRequestError
from engine.loading.chat import Chat
from engine.options import EngineOptions
from engine.requests.answers import completion, samples
from engine.requests.intake import Intake, check_top_logprobs, sampling_params_for
from engine.requests.request import Completion, Prompt, Request, SamplingParams, Score, Text
from engine.requests.scoring import join, score_of, share_rows
from engine.scheduling.core import EngineCore
from engine.scheduling.replicas import Replicas
from engine.scheduling.stats import EngineStats

__all__ = ["LLM", "EngineStats", "Progress"]

Progress = Callable[[int, int], None]


class LLM:
    """A model, its KV cache and its scheduler. One call runs at a time; others wait.

    model            a folder (config.json, *.safetensors), a .gguf file, or a hub id "owner/name"
    device           "auto" (CUDA where there is one), "cpu", "cuda", "cuda:1"
    dtype            "auto", "float32", "bfloat16", "float16"
    batch_invariant  the same bits for a request alone and in any batch, on this device and dtype;
                     kept by our own kernels, stats() says whether they run
    kv_cache_bytes   memory for K and V; None takes a share of what is free
    max_batch_tokens tokens of one step; None takes 512, on CUDA 8192
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
        self._intake = Intake(self._engine.codec, config.vocab_size, config.max_position)
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
            self._intake.generate_request(prompt, chosen, self._engine.end_ids)
            for prompt, chosen in zip(prompts, each, strict=True)
        ]
        groups = [samples(request) for request in requests]
        self._run([request for group in groups for request in group], progress)
        return [completion(group, self._engine.codec) for group in groups]

    def score(
        self,
        pairs: Sequence[tuple[Text | Chat, Text]],
        progress: Progress | None = None,
        top_logprobs: int = 0,
    ) -> list[Score]:
        """Log-likelihood of every continuation after its context, in the order given. Texts or
        token ids; the context of a text may be a Chat, as its model's template writes it.
        top_logprobs: so many most probable tokens in the place of each token as well.
        """
        _check_list(pairs, "pairs", "(context, continuation)")
        num_top = check_top_logprobs(top_logprobs)
        parts = share_rows([self._intake.score_request(pair, num_top) for pair in pairs])
        self._run(list(dict.fromkeys(part.request for part in parts)), progress)
        return [score_of(part) for part in parts]

    def score_rolling(self, texts: Sequence[Text], progress: Progress | None = None) -> list[Score]:
        """Log-likelihood of whole texts, each token once, for perplexity: exp(-logprob /
        num_tokens). A text longer than the model's context is scored in windows, which are what
        progress counts.
        """
        _check_list(texts, "texts", "texts")
        windows = [self._intake.rolling_requests(text) for text in texts]
        parts = share_rows([request for group in windows for request in group])
        self._run(list(dict.fromkeys(part.request for part in parts)), progress)
        scores = iter([score_of(part) for part in parts])
        return [join([next(scores) for _ in group]) for group in windows]

    def _run(self, requests: list[Request], progress: Progress | None) -> None:
        """Run until every request has a finish_reason. After an interrupt the engine is as if they
        had never been added.
        """
        with self._lock:
            ready = [request for request in requests if request.finish_reason is None]
            failed = [request for request in requests if request.finish_reason is not None]
            total = sum(request.num_answers for request in requests)
            num_done = 0

            def finished(ended: Sequence[Request]) -> None:
                nonlocal num_done
                num_new = sum(request.num_answers for request in ended)
                num_done += num_new
                if progress is not None and num_new:
                    progress(num_done, total)

            finished(failed)
            self._engine.run(ready, finished)
            self._engine.counters.add_finished(requests)


def _check_list(value: object, name: str, of_what: str) -> None:
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise InvalidRequestError(
            f"{name} is a {type(value).__name__}, but it must be a list of {of_what}."
        )
