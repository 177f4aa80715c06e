"""The local backend: the engine of this project. Importing this module loads torch."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from engine import LLM, Chat, Completion, SamplingParams, Score
from tasks.backends.base import Ask, BackendFacts, Meter, OnReply, Pace, Reply, ask_text
from tasks.backends.calls import kept_text
from tasks.backends.weighing import weighed_reply
from tasks.model.answer_format import schema_of
from tasks.model.failure import Failure, Fault

#: handed over at a time, the engine's batch is full but for the last few of them
_MANY_ASKS = 16_384


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

    def answer(self, asks: Sequence[Ask], on_reply: OnReply, meter: Meter) -> None:
        written = [place for place, ask in enumerate(asks) if not ask.choices]
        alike: dict[str, list[int]] = {}  # nothing is drawn, so seeds make no difference
        for place, ask in enumerate(asks):
            if ask.choices:
                alike.setdefault(ask_text(ask), []).append(place)
        weighed = list(alike.values())

        def on_scores(number: int, scores: Sequence[Score]) -> None:
            for place in weighed[number]:
                on_reply(place, weighed_reply(asks[place].choices, scores, _failure))

        def on_completion(number: int, completion: Completion) -> None:
            place = written[number]
            on_reply(place, _reply(asks[place], completion))

        # choices of a prompt share its blocks in the KV cache; those that differ in their last
        # token alone share one computation
        items = [(_prompt(asks[place]), asks[place].choices) for place, *_ in weighed]
        self._open.score_choices(items, on_scores)
        self._open.generate(
            [_prompt(asks[place]) for place in written],
            [_sampling(asks[place]) for place in written],
            on_done=on_completion,
        )

    def pace(self, chunk_size: int, *, is_looked_at: bool) -> Pace:
        return Pace(chunk_size if is_looked_at else max(chunk_size, _MANY_ASKS), chunk_size)

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
