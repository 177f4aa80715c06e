"""The local backend: the engine of this project. Importing this module loads torch."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from pathlib import Path

from engine import LLM, Completion, SamplingParams
from tasks.evaluate.backends.base import Answer, Ask, BackendFacts, Told


class LocalBackend:
    """One model in memory. Raises EngineError where the model cannot be used."""

    def __init__(
        self,
        model: Path,
        device: str,
        dtype: str,
        batch_invariant: bool,
        quantization: str | None = None,
    ) -> None:
        self._llm: LLM | None = LLM(
            model, device, dtype, batch_invariant, quantization=quantization
        )

    def answer(self, asks: Sequence[Ask], told: Told) -> list[Answer]:
        prompts = [[dict(message) for message in ask.messages] for ask in asks]
        completions = self._open.generate(prompts, [_params(ask) for ask in asks], told)
        return [_answer(completion) for completion in completions]

    def facts(self) -> BackendFacts:
        stats = self._open.stats()
        return BackendFacts(stats.device, stats.dtype, stats.load_s, stats.run_s)

    def close(self) -> None:
        self._llm = None
        gc.collect()  # the engine's parts point at each other

    @property
    def _open(self) -> LLM:
        assert self._llm is not None, "the backend was closed"
        return self._llm


def _params(ask: Ask) -> SamplingParams:
    return SamplingParams(
        max_tokens=ask.max_tokens,
        temperature=ask.temperature,
        top_p=ask.top_p,
        seed=ask.seed,
        stop=ask.stop,
        top_k=ask.top_k,
        min_p=ask.min_p,
        repetition_penalty=ask.repetition_penalty,
        stop_token_ids=ask.stop_token_ids,
        min_tokens=ask.min_tokens,
        json_schema=ask.json_schema or None,
    )


def _answer(completion: Completion) -> Answer:
    error = completion.error
    return Answer(
        text=None if error is not None else completion.text,
        finish_reason=completion.finish_reason,
        input_tokens=completion.num_prompt_tokens,
        cached_tokens=completion.num_cached_tokens,
        output_tokens=len(completion.token_ids),
        error=error,
        is_transient=completion.fault is not None and completion.fault.is_transient,
    )
