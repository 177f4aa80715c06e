"""What a decoder-only model's shape is, read from a Hugging Face config.json.

Knows the names of config.json; nothing of tensors. GGUF metadata is turned into the same names by
loader/gguf.py, so there is one place that understands them. What is not understood is refused by
name, never ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.errors import ModelLoadError, UnsupportedModelError

__all__ = ["SUPPORTED_ARCHITECTURES", "ModelConfig", "RopeScaling"]

SUPPORTED_ARCHITECTURES = {
    "LlamaForCausalLM": "llama",
    "MistralForCausalLM": "mistral",
    "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3",
}


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


@dataclass(frozen=True, slots=True)
class ModelConfig:
    family: str
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    max_position: int
    rms_norm_eps: float
    rope_theta: float
    rope_scaling: RopeScaling | None
    tie_embeddings: bool
    qkv_bias: bool
    output_bias: bool
    mlp_bias: bool
    qk_norm: bool

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any], source: str) -> ModelConfig:
        """Raises UnsupportedModelError or ModelLoadError naming the key; `source` says whose config
        it is.
        """
        family = _family(raw, source)
        num_heads = _positive(raw, "num_attention_heads", source)
        hidden_size = _positive(raw, "hidden_size", source)
        num_kv_heads = int(raw.get("num_key_value_heads") or num_heads)
        if num_heads % num_kv_heads:
            raise ModelLoadError(
                f"{source}: num_attention_heads {num_heads} is not a multiple of "
                f"num_key_value_heads {num_kv_heads}."
            )
        _refuse_unknown_settings(raw, source)
        theta, scaling = _rope(raw, source)
        bias = bool(raw.get("attention_bias", False))
        return cls(
            family=family,
            vocab_size=_positive(raw, "vocab_size", source),
            hidden_size=hidden_size,
            intermediate_size=_positive(raw, "intermediate_size", source),
            num_layers=_positive(raw, "num_hidden_layers", source),
            num_heads=num_heads,
            num_kv_heads=num_kv_heads,
            head_dim=int(raw.get("head_dim") or hidden_size // num_heads),
            max_position=_context(raw, source),
            rms_norm_eps=float(raw.get("rms_norm_eps", 1e-6)),
            rope_theta=theta,
            rope_scaling=scaling,
            tie_embeddings=bool(raw.get("tie_word_embeddings", False)),
            qkv_bias=bias or family == "qwen2",
            output_bias=bias and family in ("llama", "qwen3"),
            mlp_bias=bool(raw.get("mlp_bias", False)),
            qk_norm=family == "qwen3",
        )


def _family(raw: Mapping[str, Any], source: str) -> str:
    architectures = raw.get("architectures") or []
    for name in architectures:
        if name in SUPPORTED_ARCHITECTURES:
            return SUPPORTED_ARCHITECTURES[name]
    received = ", ".join(map(str, architectures)) or f"model_type {raw.get('model_type')!r}"
    raise UnsupportedModelError(
        f"{source}: architecture {received} is not supported. Supported: "
        f"{', '.join(sorted(SUPPORTED_ARCHITECTURES))}."
    )


def _positive(raw: Mapping[str, Any], key: str, source: str) -> int:
    value = raw.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ModelLoadError(
            f"{source}: {key} is {value!r}, but it must be a whole number of at least 1."
        )
    return value


def _refuse_unknown_settings(raw: Mapping[str, Any], source: str) -> None:
    if raw.get("hidden_act", "silu") != "silu":
        raise UnsupportedModelError(
            f"{source}: hidden_act {raw['hidden_act']!r} is not supported. Supported: 'silu'."
        )
    partial = raw.get("partial_rotary_factor", 1.0)
    if partial not in (None, 1, 1.0):
        raise UnsupportedModelError(
            f"{source}: partial_rotary_factor {partial!r} is not supported. Supported: 1.0."
        )
    if raw.get("quantization_config"):
        raise UnsupportedModelError(
            f"{source}: quantised safetensors (quantization_config) are not supported. Use "
            "the float weights or a GGUF file."
        )


def _context(raw: Mapping[str, Any], source: str) -> int:
    """Longest sequence. Inside its window a sliding-window model attends to everything, so the
    window is the limit.
    """
    context = _positive(raw, "max_position_embeddings", source)
    uses_window = raw.get("use_sliding_window", True)
    window = raw.get("sliding_window") if uses_window else None
    return min(context, int(window)) if window else context


def _rope(raw: Mapping[str, Any], source: str) -> tuple[float, RopeScaling | None]:
    parameters = dict(raw.get("rope_parameters") or raw.get("rope_scaling") or {})
    theta = float(parameters.get("rope_theta") or raw.get("rope_theta") or 10000.0)
    kind = parameters.get("rope_type") or parameters.get("type") or "default"
    if kind == "default":
        return theta, None
    if kind == "linear":
        return theta, RopeScaling("linear", factor=float(parameters["factor"]))
    if kind == "factors":
        return theta, RopeScaling("factors", factors=tuple(float(f) for f in parameters["factors"]))
    if kind == "llama3":
        return theta, RopeScaling(
            "llama3",
            factor=float(parameters["factor"]),
            low_freq_factor=float(parameters["low_freq_factor"]),
            high_freq_factor=float(parameters["high_freq_factor"]),
            original_max_position=int(parameters["original_max_position_embeddings"]),
        )
    raise UnsupportedModelError(
        f"{source}: RoPE scaling {kind!r} is not supported. Supported: default, linear, llama3."
    )
