"""What a config.json says of rotary position embeddings: bases, scaling, and which of it is not
understood.

Knows names and numbers; the tables are made of them in layers.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.errors import ModelLoadError, UnsupportedModelError

__all__ = ["RopeScaling", "read_rope"]


@dataclass(frozen=True, slots=True)
class RopeScaling:
    """kind: "linear" (factor), "llama3" (all four numbers) or "factors" (one divisor a frequency,
    from a GGUF).
    """

    kind: str
    factor: float = 1.0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_max_position: int = 8192
    factors: tuple[float, ...] = ()


def read_rope(
    raw: Mapping[str, Any], head_dim: int, source: str
) -> tuple[float | None, float, RopeScaling | None]:
    """Base of the layers with a window if it is their own, base of the others, their scaling.
    Raises UnsupportedModelError, ModelLoadError, and KeyError, TypeError or ValueError for a
    setting that is not what it must be.
    """
    parameters = dict(raw.get("rope_parameters") or raw.get("rope_scaling") or {})
    local = raw.get("rope_local_base_freq")
    if "full_attention" in parameters:
        sliding = parameters.get("sliding_attention") or {}
        if sliding.get("rope_type", "default") != "default":
            raise UnsupportedModelError(
                f"{source}: RoPE scaling {sliding['rope_type']!r} of the layers with a window is "
                "not supported. Supported: default."
            )
        _refuse_partial_rotary(sliding, source)
        local = sliding.get("rope_theta", local)
        parameters = dict(parameters["full_attention"])
    _refuse_partial_rotary(parameters, source)
    local = None if local is None else float(local)
    theta = float(parameters.get("rope_theta") or raw.get("rope_theta") or 10000.0)
    kind = parameters.get("rope_type") or parameters.get("type") or "default"
    scaling = None
    if kind == "linear":
        scaling = RopeScaling("linear", factor=float(parameters["factor"]))
    elif kind == "factors":
        scaling = RopeScaling("factors", factors=tuple(float(f) for f in parameters["factors"]))
        if len(scaling.factors) != head_dim // 2:
            raise ModelLoadError(
                f"{source}: there are {len(scaling.factors)} RoPE factors for heads of {head_dim}; "
                "it must be half as many."
            )
    elif kind == "llama3":
        scaling = RopeScaling(
            "llama3",
            factor=float(parameters["factor"]),
            low_freq_factor=float(parameters["low_freq_factor"]),
            high_freq_factor=float(parameters["high_freq_factor"]),
            original_max_position=int(parameters["original_max_position_embeddings"]),
        )
    elif kind != "default":
        raise UnsupportedModelError(
            f"{source}: RoPE scaling {kind!r} is not supported. Supported: default, linear, llama3."
        )
    return local, theta, scaling


def _refuse_partial_rotary(parameters: Mapping[str, Any], source: str) -> None:
    factor = parameters.get("partial_rotary_factor")
    if factor not in (None, 1):
        raise UnsupportedModelError(
            f"{source}: partial_rotary_factor {factor!r:.80} is not supported. Supported: 1."
        )
