"""The same request gives the same bits alone, in any batch, in any order, cached, cut or
preempted, with our own kernels. With torch's it gives the same to rounding, and says so.
"""

from __future__ import annotations

import logging
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import LLM, Completion, SamplingParams
from engine.kernels import build, cpu
from tests.engine.conftest import GPT2, VOCAB_SIZE, MakeModel

with_own_kernels = pytest.mark.skipif(
    build.build().library is None, reason=f"no native kernels here: {build.build().reason}"
)

PARAMS = SamplingParams(max_tokens=7, logprobs=1)
POOL = [[(7 * i + 3 * j * j) % VOCAB_SIZE for j in range(1 + (i * 13) % 80)] for i in range(24)]
POOL += [[*POOL[5][:33], i] for i in range(6)]  # some with a common beginning


def answer(completion: Completion) -> tuple[tuple[int, ...], tuple[float, ...], str | None]:
    return completion.token_ids, completion.logprobs, completion.error


def fresh(folder: Path, **options: object) -> LLM:
    return LLM(folder, **{"device": "cpu", "dtype": "float32"} | options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def folder(make_model: MakeModel) -> Path:
    # three query heads a K/V head, as in SmolLM2: its small tiles need padding
    return make_model(num_attention_heads=6, num_key_value_heads=2, hidden_size=96)


@pytest.fixture(scope="module")
def alone(folder: Path) -> list[tuple[tuple[int, ...], tuple[float, ...], str | None]]:
    """Every prompt of the pool, one a call, in an engine that has seen nothing before."""
    llm = fresh(folder, kv_cache_bytes=1 << 20)
    results = []
    for prompt in POOL:
        llm._engine.reset()
        results.append(answer(llm.generate([prompt], PARAMS)[0]))
    return results


@with_own_kernels
@given(
    st.lists(st.integers(0, len(POOL) - 1), min_size=1, max_size=40),
    st.sampled_from([5, 64, 512, 2048]),
    st.sampled_from([12, 40, 400]),
)
@settings(max_examples=25, deadline=None)
def test_bits_do_not_depend_on_batch_order_chunks_cache_or_preemption(
    folder: Path, alone: list[object], chosen: list[int], batch_tokens: int, num_blocks: int
):
    block_bytes = 2 * 2 * 2 * 16 * 4 * 32
    llm = fresh(folder, kv_cache_bytes=num_blocks * block_bytes, max_batch_tokens=batch_tokens)
    assert llm.stats().num_blocks == num_blocks
    for _ in range(2):  # the second time with a warm prefix cache
        for index, completion in zip(
            chosen, llm.generate([POOL[i] for i in chosen], PARAMS), strict=True
        ):
            assert answer(completion) == alone[index]


@with_own_kernels
def test_step_of_several_tiles_keeps_the_bits(folder: Path, alone: list[object]):
    llm = fresh(folder, kv_cache_bytes=4 << 20, max_batch_tokens=2048)
    completions = llm.generate(POOL, PARAMS)
    assert sum(c.num_prompt_tokens - c.num_cached_tokens for c in completions) > 512
    assert [answer(c) for c in completions] == alone


@with_own_kernels
def test_scores_have_the_same_bits_alone_and_together(plain: LLM):
    pairs = [(POOL[i], POOL[i + 1]) for i in range(20)] + [(POOL[5], [1]), (POOL[5], [2])]
    plain._engine.reset()
    together = plain.score(pairs)
    for pair, score in zip(pairs, together, strict=True):
        plain._engine.reset()
        assert plain.score([pair])[0] == score


def test_prefix_cache_hit_is_reported_and_changes_nothing(folder: Path):
    llm = fresh(folder, kv_cache_bytes=1 << 20)
    prompt = POOL[5]
    first, second = (llm.generate([prompt], PARAMS)[0] for _ in range(2))
    assert first.num_cached_tokens == 0
    assert second.num_cached_tokens == (len(prompt) - 1) // 32 * 32 > 0
    assert answer(first) == answer(second)
    assert llm.stats().num_cached_tokens == second.num_cached_tokens


def test_preempted_sequence_finishes_with_the_same_tokens(folder: Path):
    params = SamplingParams(max_tokens=60, temperature=1.0, seed=5)
    roomy = fresh(folder, kv_cache_bytes=4 << 20)
    tight = fresh(folder, kv_cache_bytes=2 * 2 * 2 * 16 * 4 * 32 * 7)
    expected, received = (llm.generate(POOL[:8], params) for llm in (roomy, tight))
    assert tight.stats().num_preemptions > 0
    assert [c.token_ids for c in received] == [c.token_ids for c in expected]


def test_without_batch_invariance_tokens_stay_the_same(folder: Path, alone: list[object]):
    llm = fresh(folder, kv_cache_bytes=4 << 20, batch_invariant=False)
    tokens = [c.token_ids for c in llm.generate(POOL, PARAMS)]
    assert tokens == [result[0] for result in alone]  # type: ignore[index]
    assert llm.stats().batch_invariant is False


FAMILIES: dict[str, tuple[dict[str, Any], str | None]] = {
    "window": ({"kind": "Mistral", "sliding_window": 24}, None),
    "soft caps": ({"kind": "Gemma2", "sliding_window": 24, "head_dim": 20}, None),
    "layer norm": (GPT2, None),
    "experts": (
        {
            "kind": "Qwen3Moe",
            "num_experts": 8,
            "num_experts_per_tok": 3,
            "moe_intermediate_size": 64,
        },
        None,
    ),
    "4-bit weights": ({"hidden_size": 64}, "int4"),
    "8-bit experts": ({"kind": "Mixtral", "num_local_experts": 4, "hidden_size": 64}, "int8"),
}


@with_own_kernels
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", FAMILIES)
def test_families_keep_their_bits_in_random_batches(name: str, dtype: str, make_model: MakeModel):
    settings, quantization = FAMILIES[name]
    folder = make_model(**settings)
    pool = POOL[::2]
    options = {"kv_cache_bytes": 4 << 20, "quantization": quantization, "dtype": dtype}
    llm = fresh(folder, **options)
    assert llm.stats().batch_invariant
    alone = []
    for prompt in pool:
        llm._engine.reset()
        alone.append(answer(llm.generate([prompt], PARAMS)[0]))
    assert len({tokens for tokens, _, _ in alone}) > len(pool) // 2
    rng = random.Random(0)
    for batch_tokens in (5, 64, 512, 2048):
        llm = fresh(folder, **options, max_batch_tokens=batch_tokens)
        chosen = rng.choices(range(len(pool)), k=rng.randint(2, 40))
        completions = llm.generate([pool[i] for i in chosen], PARAMS)
        assert [answer(c) for c in completions] == [alone[i] for i in chosen]


@pytest.mark.parametrize("name", ["plain", *FAMILIES])
def test_without_our_kernels_answers_are_right_to_rounding_and_nothing_more_is_promised(
    name: str,
    make_model: MakeModel,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    """Tiles of all sizes, cut, cached and forked, against the kernels that keep bits."""
    settings, quantization = FAMILIES.get(name, ({}, None))
    folder = make_model(**settings)
    options = {"kv_cache_bytes": 4 << 20, "quantization": quantization, "max_batch_tokens": 64}
    expected = fresh(folder, **options).generate(POOL, PARAMS)
    assert not caplog.records
    monkeypatch.setattr(cpu, "can_run", lambda device, dtype: False)
    with caplog.at_level(logging.WARNING):
        llm = fresh(folder, **options)
    assert llm.stats().batch_invariant is False
    assert "batch_invariant is not promised here: kernels are torch's" in caplog.text
    for completion, reference in zip(llm.generate(POOL, PARAMS), expected, strict=True):
        assert completion.token_ids == reference.token_ids
        assert completion.logprobs == pytest.approx(reference.logprobs, abs=1e-4)


@pytest.mark.parametrize("name", ["plain", "soft caps", "experts"])
def test_half_precision_without_kernels_of_ours_is_near_float32(name: str, make_model: MakeModel):
    folder = make_model(**FAMILIES.get(name, ({}, None))[0] | {"initializer_range": 0.05})
    pairs = [(prompt, [3, 4]) for prompt in POOL[::5]]
    scores = []
    for dtype in ("float16", "float32"):
        llm = fresh(folder, kv_cache_bytes=4 << 20, dtype=dtype)
        scores.append([score.logprob for score in llm.score(pairs)])
        assert llm.stats().batch_invariant is (dtype == "float32" and not cpu.why_not())
    assert scores[0] == pytest.approx(scores[1], abs=0.03)


def test_who_does_not_ask_for_equal_bits_is_not_warned(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(cpu, "can_run", lambda device, dtype: False)
    fresh(folder, kv_cache_bytes=1 << 20, batch_invariant=False)
    assert not caplog.records
