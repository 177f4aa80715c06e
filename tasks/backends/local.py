"""The local backend: the engine of this project. Importing this module loads torch."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from engine import LLM, Chat, Completion, SamplingParams, Score
from tasks.backends.base import Ask, BackendFacts, Meter, OnProgress, Reply
from tasks.backends.calls import kept_text
from tasks.backends.weighing import weigh
from tasks.model.answer_format import schema_of
from tasks.model.failure import Failure, Fault


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

    def answer(self, asks: Sequence[Ask], on_progress: OnProgress, meter: Meter) -> list[Reply]:
        weighed = [place for place, ask in enumerate(asks) if ask.choices]
        written = [place for place, ask in enumerate(asks) if not ask.choices]
        replies: dict[int, Reply] = {}

        def progress(done: int, _: int, before: int = 0) -> None:
            on_progress(before + done, len(asks))

        if weighed:
            chosen = [asks[place] for place in weighed]
            given = weigh(self._open, chosen, _prompt, _failure, progress)
            replies |= zip(weighed, given, strict=True)
        if written:
            done = self._open.generate(
                [_prompt(asks[place]) for place in written],
                [_sampling(asks[place]) for place in written],
                partial(progress, before=len(weighed)),
            )
            given = [_reply(asks[place], one) for place, one in zip(written, done, strict=True)]
            replies |= zip(written, given, strict=True)
        return [replies[place] for place in range(len(asks))]

    def chunk_size(self, wished: int) -> int:
        return wished

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


@contextmanager
def other_threads() -> Iterator[None]:
    """One thread for the length of the block, or two where this process computes with one."""
    before = torch.get_num_threads()
    torch.set_num_threads(2 if before == 1 else 1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _prompt(ask: Ask) -> Chat | str:
    """Raw, the messages' texts one after another, with an empty line between two."""
    if ask.is_raw:
        return "\n\n".join(message["content"] for message in ask.messages)
    messages = [dict(message) for message in ask.messages]
    return Chat(
        messages, ask.tools, ask.template, ask.continues, ask.tool_choice, not ask.is_single
    )


def _sampling(ask: Ask) -> SamplingParams:
    """What an answer has to be says itself when it may end."""
    params = ask.sampling
    if ask.answer_format is not None:
        return replace(params, json_schema=schema_of(ask.answer_format), min_tokens=0)
    is_forced = ask.tool_choice not in (None, "none")
    return replace(params, min_tokens=0) if is_forced and params.min_tokens else params


def _failure(answer: Completion | Score) -> Failure:
    """Of one that has an error."""
    kind = answer.fault
    assert kind is not None, "the engine says of which kind every error is"
    assert answer.error is not None
    # what another moment or machine would cure is no fault of what is judged
    fault: Fault = "harness" if kind.is_transient else "release"
    return Failure(str(kind), answer.error, fault, kind.is_transient)


def _reply(ask: Ask, completion: Completion) -> Reply:
    failure = None if completion.error is None else _failure(completion)
    return Reply(
        text=None if failure is not None else kept_text(ask, completion.text),
        finish_reason=completion.finish_reason,
        input_tokens=completion.num_prompt_tokens,
        cached_tokens=completion.num_cached_tokens,
        output_tokens=len(completion.token_ids),
        failure=failure,
    )
