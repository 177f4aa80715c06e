"""A fault at any seam stays with the request it comes from: the others get the tokens and the
log-probabilities they have without it, and the engine works on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch

from engine import LLM, Completion, SamplingParams
from engine.cache.block_manager import BlockManager
from engine.execution import readout
from engine.loading import tokenizer
from engine.loading.tokenizer import TextCodec
from engine.models.llama import LlamaModel
from engine.requests import answers
from engine.requests.request import Request
from engine.sampling import sampler
from engine.sampling.grammar import GrammarState
from engine.scheduling.core import EngineCore
from engine.scheduling.scheduler import Scheduler

MARK = 241  # begins the victim's prompt, and nobody else's
MARK_TEXT = "victim"
SEED = 4242
CONTEXT = [(3 * i) % 90 for i in range(40)]


class PanicException(BaseException):
    """As Rust libraries raise it: no Exception."""


KINDS = [ValueError, RuntimeError, MemoryError, torch.OutOfMemoryError, PanicException]


def schema_params(**more: Any) -> SamplingParams:
    return SamplingParams(max_tokens=9, json_schema={"type": "array", "maxItems": 2}, **more)


OTHERS: list[tuple[Any, SamplingParams]] = [
    ([*CONTEXT, 1], SamplingParams(max_tokens=12, logprobs=2)),
    ([*CONTEXT, 2], SamplingParams(max_tokens=9, temperature=1.0, seed=3, logprobs=1)),
    ("a text", SamplingParams(max_tokens=15, temperature=0.7, top_p=0.9, stop=("zq",))),
    ([5, 6], SamplingParams(max_tokens=7, repetition_penalty=1.3)),
    ([{"role": "user", "content": "Hi"}], SamplingParams(max_tokens=5, min_tokens=3)),
]
VICTIMS: dict[str, tuple[Any, SamplingParams]] = {
    "ids": ([MARK, *CONTEXT], SamplingParams(max_tokens=10, seed=SEED, logprobs=1)),
    "drawn": ([MARK, *CONTEXT], SamplingParams(max_tokens=10, temperature=1.0, seed=SEED)),
    "text": (MARK_TEXT, SamplingParams(max_tokens=5)),
    "stops": ([MARK, 7], SamplingParams(max_tokens=10, stop=("never seen",), seed=SEED)),
    "chat": ([{"role": "user", "content": MARK_TEXT}], SamplingParams(max_tokens=5)),
    "schema": ([MARK, 7], schema_params(seed=SEED)),
}


def is_marked(ids: Any) -> bool:
    return isinstance(ids, (list, tuple)) and MARK in ids[:1]


def has_victim(values: Iterable[Any]) -> bool:
    """Among arguments: its text, its tokens, its parameters, a request of it, or a list of one."""
    for value in values:
        if isinstance(value, Request) and is_marked(value.token_ids):
            return True
        if isinstance(value, torch.Tensor):
            continue
        params = getattr(value, "params", value)
        if isinstance(params, SamplingParams) and params.seed == SEED:
            return True
        if is_marked(value) or (isinstance(value, str) and MARK_TEXT in value):
            return True
        if isinstance(value, (list, tuple)) and value and not isinstance(value[0], int):
            inner = [getattr(item, "request", item) for item in value]
            if has_victim(x for item in inner for x in (item if type(item) is tuple else [item])):
                return True
    return False


def in_batch(arguments: tuple[Any, ...]) -> bool:
    return bool((arguments[1].token_ids == MARK).any())


Seam = tuple[str, object, str, Callable[[tuple[Any, ...]], bool]]
#: victim, where, what, and whether a call is the victim's
SEAMS: dict[str, Seam] = {
    "tokenizer": ("text", TextCodec, "encode", has_victim),
    "chat template": ("chat", tokenizer, "render", lambda a: MARK_TEXT in str(a[1])),
    "grammar's mask": ("schema", GrammarState, "allowed", lambda a: True),
    "grammar's step": ("schema", GrammarState, "accept", lambda a: True),
    "logits processing": ("drawn", sampler, "_edit", has_victim),
    "draw": ("drawn", sampler, "_pick", has_victim),
    "draw of the batch": ("drawn", readout, "choose", has_victim),
    "log-probabilities": ("ids", readout, "read_logits", has_victim),
    "detokenising": ("stops", answers, "_text", has_victim),
    "stop strings": ("stops", answers, "_ends_in_stop", has_victim),
    "prefix cache": ("ids", BlockManager, "match", has_victim),
    "fork": ("ids", BlockManager, "fork", has_victim),
    "commit": ("ids", BlockManager, "commit", has_victim),
    "giving back": ("ids", Scheduler, "finish", has_victim),
    "growing": ("ids", Scheduler, "_chunk", has_victim),
    "end of a token": ("ids", EngineCore, "_take_token", has_victim),
    "taking over": ("ids", EngineCore, "_advance", lambda a: is_marked(a[1].request.token_ids)),
    "forward pass": ("ids", LlamaModel, "forward", in_batch),
}


#: the second time, when it has a token already
LATER = {"grammar's mask", "draw", "logits processing", "stop strings", "log-probabilities"}


def broken(
    patch: pytest.MonkeyPatch,
    seam: Seam,
    kind: type[BaseException],
    after: int = 0,
    times: int = 10**9,
) -> list[int]:
    """Calls from number `after` on raise, so many times. Returns a list that grows with each."""
    _, where, what, is_hit = seam
    original = getattr(where, what)
    raised: list[int] = []
    seen: list[int] = []

    def breaks(*arguments: Any, **named: Any) -> Any:
        if is_hit(arguments):
            seen.append(1)
            if len(seen) > after and len(raised) < times:
                raised.append(1)
                raise kind(f"injected into {what}")
        return original(*arguments, **named)

    patch.setattr(where, what, breaks)
    if what == "read_logits":
        patch.setattr("engine.execution.runner.read_logits", breaks)
    return raised


def answer(completion: Completion) -> tuple[object, ...]:
    return completion.token_ids, completion.logprobs, completion.text, completion.error


def fresh(folder: Path) -> LLM:
    return LLM(folder, device="cpu", dtype="float32", kv_cache_bytes=1 << 20, max_batch_tokens=64)


def generate(llm: LLM, asked: list[tuple[Any, SamplingParams]]) -> list[Completion]:
    return llm.generate([prompt for prompt, _ in asked], [params for _, params in asked])


@pytest.fixture(scope="module")
def expected(tiny_model: Path) -> list[tuple[object, ...]]:
    """Each alone, in an engine that has seen nothing."""
    llm = fresh(tiny_model)
    found = []
    for ask in OTHERS:
        llm._engine.reset()
        found += map(answer, generate(llm, [ask]))
    assert all(error is None and MARK not in tokens for tokens, _, _, error in found)
    return found


@pytest.fixture(scope="module")
def llm(tiny_model: Path) -> LLM:
    return fresh(tiny_model)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SEAMS)
def test_others_keep_their_tokens(
    name: str,
    kind: type[BaseException],
    llm: LLM,
    expected: list[tuple[object, ...]],
    monkeypatch: pytest.MonkeyPatch,
):
    victim = SEAMS[name][0]
    if victim == "schema":
        pytest.importorskip("llguidance")
    llm._engine.reset()
    asked = [*OTHERS[:3], VICTIMS[victim], *OTHERS[3:]]
    with monkeypatch.context() as patch:
        raised = broken(patch, SEAMS[name], kind, after=int(name in LATER))
        completions = generate(llm, asked)
    assert raised, "the fault was injected"
    error = completions[3].error or ""
    if name == "giving back":  # it had its whole answer by then
        assert (len(completions[3].token_ids), error) == (10, "")
    else:
        assert f"{kind.__name__}: injected" in error, "and told to whom it concerns"
    assert [answer(c) for i, c in enumerate(completions) if i != 3] == expected
    assert list(map(answer, generate(llm, OTHERS))) == expected, "the engine works on"


@pytest.mark.parametrize("after", [0, 3, 8])
@pytest.mark.parametrize(
    ("where", "what"),
    [
        (LlamaModel, "forward"),
        (LlamaModel, "logits"),
        (BlockManager, "take"),
        (BlockManager, "begin_step"),
        (BlockManager, "share"),
        (Scheduler, "schedule"),
        (sampler, "_draw"),
    ],
)
def test_a_fault_that_passes_costs_nobody_an_answer(
    where: object,
    what: str,
    after: int,
    llm: LLM,
    expected: list[tuple[object, ...]],
    monkeypatch: pytest.MonkeyPatch,
):
    """It is of nobody: a kernel that failed once, memory that was short for a moment."""
    llm._engine.reset()
    with monkeypatch.context() as patch:
        raised = broken(patch, ("", where, what, lambda _: True), RuntimeError, after, times=1)
        completions = generate(llm, OTHERS)
    assert len(raised) == 1 or after > 0, "the fault was injected"
    assert list(map(answer, completions)) == expected


def test_a_step_that_breaks_for_every_batch_gets_done_one_by_one(
    llm: LLM, expected: list[tuple[object, ...]], monkeypatch: pytest.MonkeyPatch
):
    """As where memory is enough for one sequence and not for two."""

    def has_several(arguments: tuple[Any, ...]) -> bool:
        return len(arguments[1].logit_rows) > 1

    llm._engine.reset()
    with monkeypatch.context() as patch:
        seam: Seam = ("", LlamaModel, "forward", has_several)
        raised = broken(patch, seam, torch.OutOfMemoryError)
        completions = generate(llm, OTHERS)
    assert len(raised) > 1
    assert list(map(answer, completions)) == expected


def test_two_that_break_everything_are_both_found(
    llm: LLM, expected: list[tuple[object, ...]], monkeypatch: pytest.MonkeyPatch
):
    llm._engine.reset()
    asked = [VICTIMS["ids"], *OTHERS, ([MARK, 3, 4], SamplingParams(max_tokens=8, seed=SEED))]
    with monkeypatch.context() as patch:
        broken(patch, SEAMS["forward pass"], TypeError)
        first, *others, last = generate(llm, asked)
    assert "TypeError" in (first.error or "") and "TypeError" in (last.error or "")  # noqa: PT018
    assert list(map(answer, others)) == expected


def test_scores_beside_a_fault_keep_their_bits(llm: LLM, monkeypatch: pytest.MonkeyPatch):
    pairs = [(CONTEXT, [4, 5]), ([MARK, 2], [3, 4]), ([*CONTEXT, 9], [1]), ([8] * 130, [2, 3])]
    llm._engine.reset()
    expected = llm.score(pairs)
    llm._engine.reset()
    with monkeypatch.context() as patch:
        broken(patch, SEAMS["forward pass"], RuntimeError)
        scores = llm.score(pairs)
    assert "injected" in (scores[1].error or "")
    assert [scores[i] for i in (0, 2, 3)] == [expected[i] for i in (0, 2, 3)]


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt()])
def test_a_callback_that_raises_ends_its_own_call(
    llm: LLM, expected: list[tuple[object, ...]], error: BaseException
):
    def progress(done: int, total: int) -> None:
        raise error

    with pytest.raises(type(error)):
        llm.generate([prompt for prompt, _ in OTHERS], progress=progress)
    assert list(map(answer, generate(llm, OTHERS))) == expected


@pytest.mark.parametrize(
    ("params", "is_error"),
    [
        ({"temperature": 1e-40}, False),
        ({"temperature": 5e-324}, False),
        ({"temperature": 1e-6, "top_p": 1e-40}, False),
        ({"temperature": 1.0, "min_tokens": 4, "stop_token_ids": (*range(259),)}, True),
        ({"temperature": 0.0, "min_tokens": 4, "stop_token_ids": (*range(259),)}, True),
        ({"temperature": 100.0, "repetition_penalty": 100.0}, False),
        ({"temperature": 1e-5, "repetition_penalty": 0.01}, False),
    ],
)
def test_parameters_at_their_bounds_concern_nobody_else(
    llm: LLM, expected: list[tuple[object, ...]], params: dict[str, Any], is_error: bool
):
    extreme = ([MARK, *CONTEXT], SamplingParams(max_tokens=10, **params))
    first, *others = generate(llm, [extreme, *OTHERS])
    assert (first.error is not None) == is_error, first.error
    if is_error:
        assert "No token can be drawn in place 0" in (first.error or "")
    elif params["temperature"] < 1e-5:
        greedy = generate(llm, [([MARK, *CONTEXT], SamplingParams(max_tokens=10))])[0]
        assert first.token_ids == greedy.token_ids
    assert list(map(answer, others)) == expected
