"""Weights as integers: what the values are, what they cost, and what cannot be quantised."""

from __future__ import annotations

import shutil
from pathlib import Path

import gguf
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from engine import LLM, EngineError, SamplingParams
from engine.models.quantised import Quantised, dense, quantise, split
from tests.engine.conftest import MakeModel

WEIGHT = torch.randn(24, 96, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("quantization", "largest"), [("int8", 127), ("int4", 7)])
def test_values_are_within_half_a_step(quantization: str, largest: int):
    values = dense(quantise(WEIGHT, quantization, "w"), torch.float32)
    steps = WEIGHT.view(24, 3, 32).abs().amax(-1, keepdim=True) / largest
    errors = (values - WEIGHT).view(24, 3, 32).abs() / steps
    # Half a step, and what rounding the scale to float16 moves the largest code.
    assert 0 < errors.max() <= 0.5 + largest * 2**-11


def test_int8_values_are_those_of_q8_0():
    kind = gguf.GGMLQuantizationType.Q8_0
    expected = torch.from_numpy(gguf.dequantize(gguf.quantize(WEIGHT.numpy(), kind), kind))
    values = dense(quantise(WEIGHT, "int8", "w"), torch.float32)
    # Where a weight lies between two codes the scale's rounding may decide otherwise.
    assert (values != expected).float().mean() < 0.02
    assert (values - expected).abs().max() <= WEIGHT.abs().max() / 127 * 1.01


@pytest.mark.parametrize("quantization", ["int8", "int4"])
@given(exponent=st.integers(-40, 12))
def test_values_of_any_size_are_finite_and_near(quantization: str, exponent: int):
    weight = WEIGHT * 2.0**exponent
    once = dense(quantise(weight, quantization, "w"), torch.float32)
    # float16 has no finer step than 2**-24: beside large groups, what it loses is nothing
    assert (once - weight).abs().max() <= weight.abs().max() / 7 + 2.0**-17
    if exponent > -7:
        assert torch.equal(dense(quantise(once, quantization, "w"), torch.float32), once)


def test_zeros_and_dtypes():
    quantised = quantise(torch.zeros(2, 64), "int4", "w")
    assert dense(quantised, torch.float32).count_nonzero() == 0
    values = dense(quantise(WEIGHT, "int4", "w"), torch.float32)
    assert torch.equal(dense(quantise(WEIGHT, "int4", "w"), torch.bfloat16), values.bfloat16())
    second = split(quantise(WEIGHT, "int4", "w"), 12)[1]
    assert isinstance(second, Quantised)
    assert torch.equal(dense(second, torch.float32), values[2:4])


@pytest.mark.parametrize(("quantization", "bits"), [("int8", 8.5), ("int4", 4.5)])
def test_memory_is_the_bits_of_a_code_and_its_share_of_a_scale(quantization: str, bits: float):
    quantised = quantise(WEIGHT, quantization, "w")
    assert (quantised.codes.nbytes + quantised.scales.nbytes) * 8 == WEIGHT.numel() * bits
    assert quantised.shape == WEIGHT.shape


@pytest.mark.parametrize("quantization", ["int8", "int4"])
def test_model_answers_as_one_whose_weights_were_rounded_before(
    quantization: str, make_model: MakeModel, tmp_path: Path
):
    """An engine with quantised weights against a folder that holds their values in float32."""
    folder = make_model(hidden_size=64, intermediate_size=96)
    rounded = tmp_path / "rounded"
    shutil.copytree(folder, rounded)
    weights = load_file(folder / "model.safetensors")
    for name, weight in weights.items():
        if "_proj" in name:
            weights[name] = dense(quantise(weight, quantization, name), torch.float32)
    save_file(weights, rounded / "model.safetensors")
    params = SamplingParams(max_tokens=8, logprobs=1)
    prompts = [[5, 6, 7], list(range(70))]
    answers = [
        LLM(path, device="cpu", dtype="float32", kv_cache_bytes=1 << 20, quantization=q).generate(
            prompts, params
        )
        for path, q in ((folder, quantization), (rounded, None), (folder, None))
    ]
    assert answers[0] == answers[1]
    assert answers[0] != answers[2]


def test_what_cannot_be_quantised_is_named(plain_folder: Path):
    with pytest.raises(EngineError, match=r"quantization 'int3' is not supported\. Allowed: None"):
        LLM(plain_folder, device="cpu", quantization="int3")
    with pytest.raises(EngineError, match=r"q_proj.weight has 48 inputs; int8 needs a multiple of"):
        LLM(plain_folder, device="cpu", quantization="int8")
