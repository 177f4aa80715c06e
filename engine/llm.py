"""The engine's front: prompts and pairs in, answers out in the order given.

Owns the life of a call. Where its requests run is core.py's (this process) or replicas.py's (one
process a device); what they are made of is intake.py's. A fault of one request becomes that
request's `error`; everyone else finishes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from engine.errors import InvalidRequestError
from engine.loading.chat import Chat
from engine.options import EngineOptions
from engine.requests.answers import completion, samples
from engine.requests.intake import Intake, check_top_logprobs, sampling_params_for
from engine.requests.request import Completion, Prompt, Request, SamplingParams, Score, Text
from engine.requests.scoring import Part, join, score_of, share_rows
from engine.scheduling.core import EngineCore
from engine.scheduling.replicas import Replicas
from engine.scheduling.stats import EngineStats

__all__ = ["LLM", "EngineStats", "OnDone", "Progress"]

T = TypeVar("T")
Progress = Callable[[int, int], None]
#: called with the place of what was asked, and its answer
OnDone: TypeAlias = Callable[[int, T], None]
#: requests, one or more, and what they come to once all have ended
Job: TypeAlias = tuple[Sequence[Request], Callable[[], T]]


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
        on_done: OnDone[Completion] | None = None,
    ) -> list[Completion]:
        """One completion a prompt, in the order given. Prompts are texts, token ids or chat
        messages, mixed as you like. on_done: called with the place and the completion of each
        prompt as soon as it is there.
        """
        _check_list(prompts, "prompts", "prompts")
        each = sampling_params_for(params, len(prompts))

        def jobs() -> Iterator[Job[Completion]]:
            for prompt, chosen in zip(prompts, each, strict=True):
                request = self._intake.generate_request(prompt, chosen, self._engine.end_ids)
                group = samples(request)
                yield group, partial(completion, group, self._engine.codec)

        return self._run(jobs(), sum(chosen.n for chosen in each), progress, on_done)

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
        return self._score([self._intake.score_request(pair, num_top) for pair in pairs], progress)

    def score_choices(
        self,
        items: Sequence[tuple[Text | Chat, Sequence[Text]]],
        on_done: OnDone[list[Score]] | None = None,
    ) -> list[list[Score]]:
        """Log-likelihood of each continuation of each context, as `score` has it. A context is
        computed once for its continuations. on_done: as at `generate`, for each context.
        """
        _check_list(items, "items", "(context, continuations)")
        for _, continuations in items:
            _check_list(continuations, "continuations", "texts")
            if not continuations:
                raise InvalidRequestError("A context has no continuation to score.")

        def jobs() -> Iterator[Job[list[Score]]]:
            for context, continuations in items:
                parts = share_rows(self._intake.choice_requests(context, continuations))
                yield _leaders(parts), partial(_scores, parts)

        return self._run(jobs(), sum(len(item[1]) for item in items), None, on_done)

    def score_rolling(self, texts: Sequence[Text], progress: Progress | None = None) -> list[Score]:
        """Log-likelihood of whole texts, each token once, for perplexity: exp(-logprob /
        num_tokens). A text longer than the model's context is scored in windows, which are what
        progress counts.
        """
        _check_list(texts, "texts", "texts")
        windows = [self._intake.rolling_requests(text) for text in texts]
        scores = iter(self._score([request for group in windows for request in group], progress))
        return [join([next(scores) for _ in group]) for group in windows]

    def _score(self, requests: Sequence[Request], progress: Progress | None) -> list[Score]:
        """In order; requests that run the same tokens are one, wherever they stand."""
        parts = share_rows(requests)
        jobs: list[Job[None]] = [((leader,), lambda: None) for leader in _leaders(parts)]
        self._run(jobs, len(requests), progress, None)
        return _scores(parts)

    def _run(
        self,
        jobs: Iterable[Job[T]],
        num_answers: int,
        progress: Progress | None,
        on_done: OnDone[T] | None,
    ) -> list[T]:
        """The result of every job, in order, once all its requests have a finish_reason. After an
        interrupt the engine is as if they had never been added.
        """
        results: dict[int, T] = {}
        open_jobs: dict[Request, tuple[int, Job[T]]] = {}
        num_done = 0

        def finished(ended: Sequence[Request]) -> None:
            nonlocal num_done
            self._engine.counters.add_finished(ended)
            num_done += sum(request.num_answers for request in ended)
            if progress is not None and ended:
                progress(num_done, num_answers)
            for request in ended:
                place, (group, result) = open_jobs.pop(request)
                if not any(other in open_jobs for other in group):
                    results[place] = result()
                    if on_done is not None:
                        on_done(place, results[place])

        def ready() -> Iterator[Request]:
            for place, job in enumerate(jobs):
                group, _ = job
                open_jobs.update((request, (place, job)) for request in group)
                finished([request for request in group if request.finish_reason is not None])
                yield from (request for request in group if request in open_jobs)

        with self._lock:
            self._engine.run(ready(), finished)
        return [results[place] for place in range(len(results))]


def _leaders(parts: Sequence[Part]) -> list[Request]:
    """Every request once."""
    return list(dict.fromkeys(part.request for part in parts))


def _scores(parts: Sequence[Part]) -> list[Score]:
    return [score_of(part) for part in parts]


def _check_list(value: object, name: str, of_what: str) -> None:
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise InvalidRequestError(
            f"{name} is a {type(value).__name__}, but it must be a list of {of_what}."
        )
