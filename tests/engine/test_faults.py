"""A step that breaks, an interrupt, NaN in a cache that others read: the engine stays usable, and
the others get the bits they have alone.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from engine import LLM, Completion, EngineError, SamplingParams, errors
from engine.errors import FaultKind

FEW = SamplingParams(max_tokens=6, logprobs=1)
CONTEXT = [(3 * i) % 150 for i in range(40)]


def fresh(folder: Path, **options: Any) -> LLM:
    return LLM(folder, device="cpu", dtype="float32", **{"kv_cache_bytes": 4 << 20} | options)


def answer(completion: Completion) -> tuple[object, ...]:
    return completion.token_ids, completion.logprobs, completion.error


def break_step(llm: LLM, number: int, error: BaseException, patch: pytest.MonkeyPatch) -> None:
    """The forward pass number `number` raises, after it has written K and V of the first layers."""
    forward: Callable[..., torch.Tensor] = llm._engine.model.forward
    calls: list[int] = []

    def breaks(*args: Any) -> torch.Tensor:
        calls.append(1)
        result = forward(*args)
        if len(calls) == number:
            raise error
        return result

    patch.setattr(llm._engine.model, "forward", breaks)


def test_a_step_out_of_memory_is_computed_anew_and_takes_whom_it_was_too_large_for(
    plain_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    prompts = [[*CONTEXT, i] for i in range(5)]
    expected = [answer(c) for c in fresh(plain_folder).generate(prompts, FEW)]
    llm = fresh(plain_folder)
    memory = torch.OutOfMemoryError("CUDA out of memory")
    with monkeypatch.context() as patch:
        break_step(llm, 2, memory, patch)
        assert [answer(c) for c in llm.generate(prompts, FEW)] == expected
    forward: Callable[..., torch.Tensor] = llm._engine.model.forward

    def breaks(*args: Any) -> torch.Tensor:
        if len(args[0].token_ids) > 60:
            raise memory
        return forward(*args)

    monkeypatch.setattr(llm._engine.model, "forward", breaks)
    *completions, large = llm.generate([*prompts, [9] * 70], FEW)
    assert "OutOfMemoryError: CUDA out of memory" in (large.error or "")
    assert large.fault is FaultKind.DEVICE
    assert [answer(c) for c in completions] == expected


@pytest.mark.parametrize("number", [1, 2, 4])
def test_interrupt_in_a_step_leaves_an_engine_that_works(
    plain_folder: Path, monkeypatch: pytest.MonkeyPatch, number: int
):
    prompts = [[*CONTEXT, i] for i in range(5)]
    warm = SamplingParams(max_tokens=5, temperature=1.0, n=3, logprobs=1)
    llm = fresh(plain_folder)
    expected = llm.generate(prompts, warm)
    llm._engine.reset()
    with monkeypatch.context() as patch:
        break_step(llm, number, KeyboardInterrupt(), patch)
        with pytest.raises(KeyboardInterrupt):
            llm.generate(prompts, warm)
    assert llm.generate(prompts, warm) == expected


def test_nan_of_another_reaches_nobody_through_a_shared_or_forked_block(plain_folder: Path):
    """The prompt with the bad token is cut into chunks, so its NaN is not known yet when its block
    is forked; once it is, the block both share must not be scrubbed under the other.
    """
    llm = fresh(plain_folder, max_batch_tokens=44)
    good = [*CONTEXT, 7]
    expected = answer(llm.generate([good], FEW)[0])
    llm._engine.reset()
    llm._engine.model.embedding[151] = float("nan")
    llm.generate([CONTEXT], SamplingParams(max_tokens=1))
    bad, after = llm.generate([[*CONTEXT, 151, *range(60)], good], FEW)
    assert "NaN" in (bad.error or "")
    assert bad.num_cached_tokens == len(CONTEXT)
    assert after.num_cached_tokens == len(CONTEXT), "the block was forked"
    assert answer(after) == expected


def test_call_with_every_fault_at_once(plain_folder: Path):
    block_bytes = 2 * 2 * 2 * 12 * 4 * 32
    llm = fresh(plain_folder, kv_cache_bytes=4 * block_bytes)
    llm._engine.model.embedding[151] = float("nan")
    prompts = [[], [160], [-1], [1] * 512, [2] * 140, [3, 151], [4] * 50]
    reasons = ["empty", "token id 160", "token id -1", "context is 512", "whole cache holds 128",
               "NaN"]  # fmt: skip
    kinds = [*[FaultKind.REQUEST] * 3, FaultKind.TOO_LONG, FaultKind.CAPACITY,
             FaultKind.NOT_FINITE]  # fmt: skip
    completions = llm.generate(prompts, FEW)
    for completion, reason in zip(completions, reasons, strict=False):
        assert reason in (completion.error or "")
    assert [completion.fault for completion in completions] == [*kinds, None]
    assert completions[-1].error is None
    assert llm.stats().num_failed == len(reasons)


@pytest.mark.parametrize("words", ["KV cache", "failed on this device"])
def test_the_words_of_an_error_do_not_decide_what_it_is(chatty: LLM, words: str):
    [completion] = chatty.generate([[{"role": words, "content": "x"}]], FEW)
    assert words in (completion.error or "")
    assert completion.fault is FaultKind.REQUEST
    assert not completion.fault.is_transient


def test_a_failed_score_says_of_which_kind_its_fault_is(plain_folder: Path):
    llm = fresh(plain_folder)
    llm._engine.model.embedding[151] = float("nan")
    scores = llm.score([([1], [2]), ([151], [3]), ([1] * 600, [2]), ([1], [])])
    kinds = [None, FaultKind.NOT_FINITE, FaultKind.TOO_LONG, FaultKind.REQUEST]
    assert [score.fault for score in scores] == kinds
    assert [(score.error is None) for score in scores] == [kind is None for kind in kinds]


def test_every_error_of_the_tree_is_transient_or_terminal_by_its_kind():
    classes = {error for error in vars(errors).values() if isinstance(error, type)}
    tree = {error for error in classes if issubclass(error, EngineError)}
    assert {error.__name__ for error in tree if error("x").is_transient} == {
        "CapacityError",
        "DeviceError",
        "MachineError",
        "ModelFetchError",
    }
    assert {error.kind for error in tree} == set(FaultKind)
