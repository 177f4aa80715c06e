"""The roofline's arithmetic on made-up rates, and that a measurement is a plausible one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from engine import LLM
from engine.measuring.roofline import Roofline, measure

FLAT = Roofline(
    device="cpu",
    dtype="float32",
    num_threads=1,
    layer_flops_per_s={8: 100.0, 64: 200.0},
    head_flops_per_s={8: 50.0, 64: 100.0},
    bandwidth_bytes_per_s=1000.0,
    layers_flops_per_token=20,
    head_flops_per_token=10,
    attention_flops_per_pair=2,
    kv_bytes_per_token=4,
)


def test_decode_adds_matrices_and_reading_of_k_and_v():
    # 8 rows: 160 / 100 s in the layers, 80 / 50 s in the head, 8 * 5 * 4 / 1000 s of K and V
    assert FLAT.decode_tokens_per_s(8, 5) == pytest.approx(8 / (1.6 + 1.6 + 0.16))
    assert FLAT.decode_tokens_per_s(64, 5) > 64 / 8 * FLAT.decode_tokens_per_s(8, 5) / 8
    assert FLAT.matmul_flops_per_s[8] == pytest.approx(8 * 30 / 3.2)


def test_prefill_counts_logits_once_a_prompt_and_attention_by_pairs():
    # 10 tokens: 200 / 200 s in the layers, 55 pairs * 2 / 200 s, one row of logits 10 / 100 s
    assert FLAT.prefill_tokens_per_s(10) == pytest.approx(10 / (1 + 0.55 + 0.1))
    assert FLAT.prefill_tokens_per_s(10, 10) == pytest.approx(10 / (1 + 0.55 + 1.0))


def test_rate_of_a_size_in_between_is_that_of_the_one_below():
    assert FLAT.decode_tokens_per_s(40, 0) == pytest.approx(40 / (40 * 20 / 100 + 40 * 10 / 50))
    assert FLAT.decode_tokens_per_s(4, 0) == pytest.approx(FLAT.decode_tokens_per_s(8, 0))


def test_measured_on_this_machine(chatty: LLM, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("engine.measuring.roofline.MIN_CYCLE_BYTES", 1 << 20)
    monkeypatch.setattr("engine.measuring.roofline.MIN_TRY_S", 0.001)
    roof = measure(chatty._engine.config, torch.float32, [16, 128])
    assert roof.layers_flops_per_token == 2 * 2 * (32 * 64 + 32 * 32 + 3 * 32 * 64)
    assert roof.kv_bytes_per_token == 2 * 2 * 2 * 8 * 4
    assert all(1e7 < rate < 1e14 for rate in roof.matmul_flops_per_s.values())
    assert 1e8 < roof.bandwidth_bytes_per_s < 1e13
    slow = replace(roof, bandwidth_bytes_per_s=1.0)
    assert slow.decode_tokens_per_s(16, 100) < roof.decode_tokens_per_s(16, 100)
