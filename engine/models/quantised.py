"""Weights kept as 8- or 4-bit integers and opened to the compute dtype where they are used.

Group-wise symmetric: 32 neighbouring inputs of a row share one scale (float16), value = code *
scale; 8.5 and 4.5 bits a weight. The values are those of llama.cpp's Q8_0 and nearly of its Q4_0
and are the same on every device and in every dtype. Knows nothing of layers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.errors import EngineError, UnsupportedModelError

__all__ = ["Quantised", "check_quantization", "codes_and_scales", "dense", "quantise", "split"]

GROUP = 32
LARGEST = {"int8": 127, "int4": 7}


@dataclass(frozen=True, slots=True)
class Quantised:
    """codes: int8 [rows, groups, 32], or uint8 [rows, groups, 16] with inputs i (low bits) and i +
    16 (high bits) in a byte, both plus 8. scales: float16 [rows, groups, 1].
    """

    codes: Tensor
    scales: Tensor

    @property
    def shape(self) -> tuple[int, int]:
        return self.scales.shape[0], self.scales.shape[1] * GROUP


def check_quantization(quantization: str | None) -> None:
    if quantization is not None and quantization not in LARGEST:
        raise EngineError(
            f"quantization {quantization!r} is not supported. Allowed: None, 'int8', 'int4'."
        )


def quantise(weight: Tensor, quantization: str, name: str) -> Quantised:
    """weight [rows, inputs]; name is for the error if the inputs are not whole groups."""
    rows, inputs = weight.shape
    if inputs % GROUP:
        raise UnsupportedModelError(
            f"{name} has {inputs} inputs; {quantization} needs a multiple of {GROUP}. "
            "Load this model without quantization."
        )
    groups = weight.float().view(rows, -1, GROUP)
    largest = LARGEST[quantization]
    scales = (groups.abs().amax(-1, keepdim=True) / largest).half()
    # A scale that rounds to 0 makes its whole group 0.
    divisors = scales.float().masked_fill(scales == 0, float("inf"))
    codes = (groups / divisors).round_().clamp_(-largest, largest)
    if quantization == "int8":
        return Quantised(codes.to(torch.int8), scales)
    low, high = (codes + 8).to(torch.uint8).chunk(2, dim=-1)
    return Quantised(low | (high << 4), scales)


def codes_and_scales(weight: Quantised) -> tuple[Tensor, Tensor, int]:
    """int8 codes [rows, inputs], scales [rows, groups], bits of a code."""
    codes, bits = weight.codes, 8
    if codes.dtype == torch.uint8:
        codes, bits = torch.cat((codes & 15, codes >> 4), dim=-1).to(torch.int8) - 8, 4
    return codes.flatten(1), weight.scales[:, :, 0], bits


def split(weight: Tensor | Quantised, count: int) -> list[Tensor] | list[Quantised]:
    """So many matrices that lie one after another, each by itself."""
    if isinstance(weight, Tensor):
        return list(weight.chunk(count))
    parts = zip(weight.codes.chunk(count), weight.scales.chunk(count), strict=True)
    return [Quantised(codes, scales) for codes, scales in parts]


def dense(weight: Quantised, dtype: torch.dtype) -> Tensor:
    """As a matrix [rows, inputs]."""
    codes, scales, _ = codes_and_scales(weight)
    values = codes.float().view(*scales.shape, GROUP)
    # The product is rounded once, from float32: the same values on every device.
    return values.mul_(scales.float()[:, :, None]).to(dtype).flatten(1)
