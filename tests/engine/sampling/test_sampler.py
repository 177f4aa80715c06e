"""Drawing tokens: what is left is what transformers leaves, draws follow the probabilities, and the
same seed draws the same whatever else is in the batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from engine.requests.request import SamplingParams
from engine.sampling.sampler import (
    FLOORS,
    Draw,
    _above,
    _above_on_device,
    _edit,
    _survivors,
    choose,
    uniform,
)


def reference(logits: torch.Tensor, params: SamplingParams, history: list[int]) -> torch.Tensor:
    """Probabilities [vocab_size] after transformers' own processors, in its own order."""
    from transformers import generation as hf

    steps: list[Any] = []
    if params.repetition_penalty != 1:
        steps.append(hf.RepetitionPenaltyLogitsProcessor(params.repetition_penalty))
    if params.temperature not in (0, 1):
        steps.append(hf.TemperatureLogitsWarper(float(params.temperature)))
    if params.top_k:
        steps.append(hf.TopKLogitsWarper(params.top_k))
    if params.top_p < 1:
        steps.append(hf.TopPLogitsWarper(params.top_p))
    if params.min_p > 0:
        steps.append(hf.MinPLogitsWarper(params.min_p))
    scores = logits[None].double()
    for step in steps:
        scores = step(torch.tensor([history]), scores)
    return torch.softmax(scores[0], dim=-1)


def ours(logits: torch.Tensor, params: SamplingParams, history: list[int]) -> torch.Tensor:
    """Probabilities of what may be drawn, through the functions that draw."""
    scaled = (logits / (params.temperature or 1.0)).clone()
    _edit(scaled, Draw(params, history, 0))
    probabilities = torch.softmax(scaled, dim=-1)
    result = torch.zeros(logits.numel(), dtype=torch.float64)
    for floor in FLOORS:
        ids, values = next(_above(probabilities[None], floor))
        if floor and ids.size < max(1, params.top_k):
            continue
        left, mass, is_cut = _survivors(ids, values, params)
        if is_cut or floor == 0:
            result[torch.from_numpy(left.copy())] = torch.from_numpy(
                np.diff(mass, prepend=0) / mass[-1]
            )
            return result
    raise AssertionError("the whole row must do")


SETTINGS = [
    {"temperature": 0.7},
    {"temperature": 0.7, "top_p": 0.9},
    {"temperature": 1.5, "top_p": 0.95},
    {"temperature": 1.0, "top_k": 40},
    {"temperature": 1.0, "top_k": 5000},
    {"temperature": 0.8, "min_p": 0.05},
    {"temperature": 2.0, "min_p": 1e-5},
    {"temperature": 1.0, "repetition_penalty": 1.3},
    {"temperature": 0.9, "top_k": 100, "top_p": 0.8, "min_p": 0.02, "repetition_penalty": 1.2},
    {"temperature": 3.0, "top_k": 3000, "top_p": 0.99, "min_p": 1e-4, "repetition_penalty": 0.8},
]


@pytest.mark.parametrize("changes", SETTINGS, ids=str)
@pytest.mark.parametrize("spread", [0.3, 1.0, 4.0])
def test_what_is_left_is_what_transformers_leaves(changes: dict[str, Any], spread: float):
    params = SamplingParams(**changes)
    generator = torch.Generator().manual_seed(int(spread * 10))
    for _ in range(3):
        logits = torch.randn(20_000, generator=generator) * spread
        history = torch.randint(0, 20_000, (300,), generator=generator).tolist()
        history += logits.topk(5).indices.tolist()  # so that the penalty matters
        wanted, received = (f(logits, params, history) for f in (reference, ours))
        differ = ((received > 0) != (wanted > 0)) & (wanted + received > 1e-12)
        # float32 against float64: rounding may move one token over the border of top_p
        assert int(differ.sum()) <= (1 if params.top_p < 1 else 0)
        assert (received - wanted)[~differ].abs().max() < 1e-6


@pytest.mark.parametrize(
    "changes",
    [
        {"temperature": 1.0},
        {"temperature": 0.7, "top_p": 0.9},
        {"temperature": 1.3, "top_k": 6},
        {"temperature": 1.0, "min_p": 0.2},
        {"temperature": 1.0, "repetition_penalty": 2.0},
    ],
    ids=str,
)
def test_draws_follow_the_probabilities(changes: dict[str, Any]):
    logits = torch.randn(12, generator=torch.Generator().manual_seed(3)) * 1.5
    history, num_draws = [int(logits.argmax()), 3], 6000
    params = [SamplingParams(seed=seed, **changes) for seed in range(num_draws)]
    tokens = choose(logits.repeat(num_draws, 1), [Draw(p, history, 5) for p in params])
    wanted = reference(logits, params[0], history).numpy()
    counts = np.bincount(tokens, minlength=12)
    assert counts[wanted == 0].sum() == 0
    possible = wanted > 0
    assert chisquare(counts[possible], wanted[possible] * num_draws).pvalue > 1e-3


def test_tail_below_the_first_floor_is_drawn_as_often_as_it_should():
    logits = torch.zeros(40_000)
    logits[7] = 10.0  # 36 % of the mass; every other token is below both floors but the last
    tokens = choose(logits.repeat(400, 1), [Draw(SamplingParams(temperature=1.0, seed=s), [1], 0)
                                            for s in range(400)])  # fmt: skip
    assert 0.27 < tokens.count(7) / 400 < 0.45
    assert len(set(tokens)) > 200


def test_same_draw_alone_and_in_any_batch():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(24, 3000, generator=generator) * 3
    draws = [
        Draw(SamplingParams(seed=i, **SETTINGS[i % len(SETTINGS)]), [i, i + 1], i, i % 3)
        for i in range(24)
    ]
    alone = [choose(logits[i : i + 1], [draw])[0] for i, draw in enumerate(draws)]
    assert choose(logits, draws) == alone
    order = torch.randperm(24, generator=generator).tolist()
    assert choose(logits[order], [draws[i] for i in order]) == [alone[i] for i in order]


@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=60),
    st.integers(0, 20),
    st.floats(0.05, 1.0),
    st.floats(0.0, 1.0),
)
@settings(max_examples=150, deadline=None)
def test_survivors_are_the_first_of_the_sorted_vocabulary(
    values: list[int], top_k: int, top_p: float, min_p: float
):
    """Equals are kept by their id, so exactly top_k tokens survive and not their equals."""
    params = SamplingParams(temperature=1.0, top_k=top_k, top_p=top_p, min_p=min_p)
    row = torch.softmax(torch.tensor(values, dtype=torch.float32), -1).numpy()
    ids, mass, _ = _survivors(np.arange(row.size), row, params)
    order = np.lexsort((np.arange(row.size), -row))
    assert list(ids) == list(order[: ids.size])
    assert 1 <= ids.size <= (top_k or row.size)
    kept = row[order].astype(np.float64)[: top_k or row.size]
    assert mass[:-1].sum() == 0 or mass[-2] < top_p * kept.sum() * (1 + 1e-12)
    assert all(row[i] >= min_p * row.max() for i in ids)


def test_greedy_under_a_penalty_is_the_first_choice_of_what_is_left():
    logits = torch.tensor([[3.0, 2.9, -1.0, 2.9], [3.0, 2.9, -1.0, 2.9], [-3.0, -2.0, -2.5, -9.0]])
    penalty = SamplingParams(repetition_penalty=2.0)
    draws = [Draw(penalty, [0], 0), Draw(SamplingParams(), [0], 0, forbidden=(0, 1)),
             Draw(penalty, [1, 1], 0)]  # fmt: skip
    assert choose(logits, draws) == [1, 3, 2]
    assert logits[0, 0] == 3.0, "the logits are read again for log-probabilities"


def test_grammar_leaves_only_what_it_allows():
    allowed = np.array([False, False, True, True])
    logits = torch.tensor([[9.0, 8.0, 1.0, 2.0]]).repeat(60, 1)
    greedy = Draw(SamplingParams(), [0], 0, allowed=allowed)
    warm = [Draw(SamplingParams(temperature=2.0, seed=i), [0], 0, allowed=allowed)
            for i in range(59)]  # fmt: skip
    tokens = choose(logits, [greedy, *warm])
    assert tokens[0] == 3
    assert set(tokens) == {2, 3}


def test_draws_depend_on_seed_step_and_sample_alone():
    assert uniform(3, 5, 1) == uniform(3, 5, 1)
    places = [(seed, step, i) for seed in range(9) for step in range(9) for i in range(5)]
    assert len({uniform(*place) for place in places}) == len(places)
    assert 0.45 < np.mean([uniform(2**64 - 1, step, 127) for step in range(2000)]) < 0.55


@pytest.mark.parametrize("floor", FLOORS)
def test_candidates_are_the_same_where_the_device_chooses_them(floor: float):
    rows = torch.softmax(torch.randn(5, 900, generator=torch.Generator().manual_seed(1)) * 4, -1)
    both = zip(_above(rows, floor), _above_on_device(rows, floor), strict=True)
    for (ids, values), (other_ids, other_values) in both:
        assert np.array_equal(ids, other_ids)
        assert np.array_equal(values, other_values)
