"""The roofline's arithmetic on made-up rates, that the best reading counts, and that a measurement
is a plausible one.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from engine import LLM
from engine.measuring.roofline import Roofline, Shape, best, measure

#: 20 operations a token in the layers, 10 in the head, 2 a pair of query and key
SHAPE = Shape(((2, 5),), layers=1, vocab=5, hidden=1, query_width=0.5, kv_width=0.5)  # type: ignore[arg-type]
FLAT = Roofline(
    SHAPE,
    itemsize=4,
    layer_flops_per_s={8: 100.0, 64: 200.0},
    head_flops_per_s={8: 50.0, 64: 100.0},
    bytes_per_s=1000.0,
)


def step_s(roof: Roofline, batch: int, num_keys: int) -> float:
    """Of the second token, the first that is decoded."""
    return roof.decode_s([num_keys - 1] * batch, [2] * batch)


def test_a_decode_step_is_the_slower_of_computing_and_reading():
    # 8 rows: 160 / 100 s in the layers, 80 / 50 s in the head, 8 * 5 * 2 / 100 s of attention
    assert step_s(FLAT, 8, 5) == pytest.approx(1.6 + 1.6 + 0.8)
    # 15 weights and 8 * 5 pairs of K and V of half a number, of 4 bytes
    slow = replace(FLAT, bytes_per_s=1.0)
    assert step_s(slow, 8, 5) == pytest.approx(15 * 4 + 8 * 5 * 4)
    assert 64 / step_s(FLAT, 64, 5) > 8 / step_s(FLAT, 8, 5)
    assert FLAT.matmul_flops_per_s[8] == pytest.approx(8 * 30 / 3.2)


def test_prefill_counts_logits_once_a_prompt_and_attention_by_pairs():
    # 10 tokens: 200 / 200 s in the layers, 55 pairs * 2 / 200 s, one row of logits 10 / 100 s
    assert FLAT.prefill_s([10], 1) == pytest.approx(1 + 0.55 + 0.1)
    assert FLAT.prefill_s([10], 10) == pytest.approx(1 + 0.55 + 1.0)


def test_rate_of_a_size_in_between_lies_on_the_line_and_outside_at_the_nearest():
    # half way: 150 in the layers, 75 in the head
    computing = 36 * 20 / 150 + 36 * 10 / 75 + 36 * 2 / 150
    assert step_s(FLAT, 36, 1) == pytest.approx(computing)
    assert step_s(FLAT, 4, 1) == pytest.approx(step_s(FLAT, 8, 1) / 2)


def test_the_best_of_several_readings_counts_number_by_number():
    low = replace(FLAT, bytes_per_s=47.5, layer_flops_per_s={8: 150.0, 64: 120.0})
    high = replace(FLAT, bytes_per_s=80.0, head_flops_per_s={8: 20.0, 64: 300.0})
    assert best([low, high]) == best([high, low])
    assert best([low, high]).bytes_per_s == 80.0
    assert best([low, high]).layer_flops_per_s == {8: 150.0, 64: 200.0}
    assert best([low, high]).head_flops_per_s == {8: 50.0, 64: 300.0}
    for reading in (low, high):  # so no share of it can be larger than by one reading alone
        assert step_s(best([low, high]), 40, 9) <= step_s(reading, 40, 9)


def test_measured_on_this_machine(chatty: LLM, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("engine.measuring.roofline.MIN_CYCLE_BYTES", 1 << 20)
    monkeypatch.setattr("engine.measuring.roofline.MIN_TRY_S", 0.001)
    shape = Shape.of(chatty._engine.config)
    roof = measure(shape, torch.float32, [16, 128])
    assert 2 * shape.layer_parameters == 2 * 2 * (32 * 64 + 32 * 32 + 3 * 32 * 64)
    assert shape.kv_bytes(1, 4) == 2 * 2 * 2 * 8 * 4
    assert all(1e7 < rate < 1e14 for rate in roof.matmul_flops_per_s.values())
    assert 1e8 < roof.bytes_per_s < 1e13
    slow = replace(roof, bytes_per_s=1.0)
    assert step_s(slow, 16, 100) > step_s(roof, 16, 100)
