"""What a decoder-only model's shape is, read from a Hugging Face config.json.

Knows the names of config.json; nothing of tensors. GGUF metadata is turned into the same names by
loader/gguf.py, so there is one place that understands them. What is not understood is refused by
name, never ignored.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.errors import ModelLoadError, UnsupportedModelError
from engine.models.families import FAMILIES, Family
from engine.models.rope import RopeScaling, read_rope

__all__ = ["ModelConfig"]

#: sizes are hostile input too: a table is made of some of them before any weight is read
MAX_SIZE = 1 << 24
MAX_SIZES = {
    "num_hidden_layers": 1 << 12,
    "num_experts": 1 << 12,
    "num_local_experts": 1 << 12,
    "max_position_embeddings": 1 << 20,
    "sliding_window": 1 << 31,
}
MAX_EXPERTS = 1 << 17  # of all layers
# Settings with one value that is understood; others change what a layer computes.
ONLY = {
    "partial_rotary_factor": 1.0,
    "use_bidirectional_attention": False,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "add_cross_attention": False,
}


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """biases    parts of a layer (see families.py), and the final norm, that have one
    windows   for every layer: how many tokens, its own included, a query sees; None: all
    local_rope_theta  of the layers with a window, where they have their own
    intermediate_size, with experts: of one expert
    """

    family: Family
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
    local_rope_theta: float | None
    windows: tuple[int | None, ...]
    tie_embeddings: bool
    biases: frozenset[str]
    embedding_scale: float
    attention_scale: float
    attention_softcap: float | None
    logit_softcap: float | None
    num_experts: int
    experts_per_token: int
    normalise_experts: bool

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any], source: str) -> ModelConfig:
        """Raises UnsupportedModelError or ModelLoadError, naming the key where one alone is to
        blame; `source` says whose config it is.
        """
        try:
            return cls._from_dict(raw, source)
        except (TypeError, ValueError, KeyError, AttributeError, ArithmeticError) as error:
            # a list where a number should be, a factor that is not there, …
            raise ModelLoadError(
                f"{source}: the configuration cannot be read: {type(error).__name__}: "
                f"{str(error)[:200]}"
            ) from error

    @classmethod
    def _from_dict(cls, raw: Mapping[str, Any], source: str) -> ModelConfig:
        family = _family(raw, source)
        raw = {**raw, **(raw.get("text_config") or {})}
        raw = {**family.defaults, **{family.aliases.get(key, key): raw[key] for key in raw}}
        _refuse_unknown_settings(raw, family, source)
        hidden_size = _positive(raw, "hidden_size", source)
        num_layers = _positive(raw, "num_hidden_layers", source)
        num_heads = _positive(raw, "num_attention_heads", source)
        num_kv_heads = num_heads
        if raw.get("num_key_value_heads"):
            num_kv_heads = _positive(raw, "num_key_value_heads", source)
        if num_heads % num_kv_heads:
            raise ModelLoadError(
                f"{source}: num_attention_heads {num_heads} is not a multiple of "
                f"num_key_value_heads {num_kv_heads}."
            )
        head_dim = hidden_size // num_heads
        if raw.get("head_dim"):
            head_dim = _positive(raw, "head_dim", source)
        if head_dim < 1 or (head_dim % 2 and "positions" not in family.whole):
            raise ModelLoadError(
                f"{source}: head_dim is {head_dim}, but it must be an even number of at least 2."
            )
        local_theta, theta, scaling = read_rope(raw, head_dim, source)
        has_experts = "router" in family.layer
        experts = "num_experts" if "num_experts" in raw else "num_local_experts"
        num_experts = _positive(raw, experts, source) if has_experts else 0
        if num_layers * num_experts > MAX_EXPERTS:
            raise ModelLoadError(
                f"{source}: {num_layers} layers of {num_experts} experts; up to {MAX_EXPERTS} "
                "experts in all are read."
            )
        return cls(
            family=family,
            vocab_size=_positive(raw, "vocab_size", source),
            hidden_size=hidden_size,
            intermediate_size=_inner_size(raw, family, source),
            num_layers=num_layers,
            num_heads=num_heads,
            num_kv_heads=num_kv_heads,
            head_dim=head_dim,
            max_position=_positive(raw, "max_position_embeddings", source),
            rms_norm_eps=_finite(raw, "rms_norm_eps", 1e-6, source),
            rope_theta=theta,
            rope_scaling=scaling,
            local_rope_theta=local_theta,
            windows=_windows(raw, num_layers, source),
            tie_embeddings=bool(raw.get("tie_word_embeddings", False)),
            biases=_biases(raw, family),
            embedding_scale=hidden_size**0.5 if family.scaled_embedding else 1.0,
            attention_scale=_finite(raw, "query_pre_attn_scalar", head_dim, source) ** -0.5,
            attention_softcap=_softcap(raw, "attn_logit_softcapping", source),
            logit_softcap=_softcap(raw, "final_logit_softcapping", source),
            num_experts=num_experts,
            experts_per_token=_positive(raw, "num_experts_per_tok", source) if has_experts else 0,
            normalise_experts=has_experts and bool(raw.get("norm_topk_prob", False)),
        )


def _family(raw: Mapping[str, Any], source: str) -> Family:
    architectures = raw.get("architectures") or []
    for name in architectures:
        if name in FAMILIES:
            return FAMILIES[name]
    received = ", ".join(map(str, architectures)) or f"model_type {raw.get('model_type')!r}"
    raise UnsupportedModelError(
        f"{source}: architecture {received} is not supported. Supported: "
        f"{', '.join(sorted(FAMILIES))}."
    )


def _positive(raw: Mapping[str, Any], key: str, source: str) -> int:
    value = raw.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ModelLoadError(
            f"{source}: {key} is {value!r:.80}, but it must be a whole number of at least 1."
        )
    most = MAX_SIZES.get(key, MAX_SIZE)
    if value > most:
        raise ModelLoadError(f"{source}: {key} is {value}; models of up to {most} are read.")
    return value


def _finite(raw: Mapping[str, Any], key: str, default: float, source: str) -> float:
    """A number above 0."""
    value = raw.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise ModelLoadError(f"{source}: {key} is {value!r:.80}, but it must be a number above 0.")
    return float(value)


def _softcap(raw: Mapping[str, Any], key: str, source: str) -> float | None:
    return None if raw.get(key) is None else _finite(raw, key, 0.0, source)


def _refuse_unknown_settings(raw: Mapping[str, Any], family: Family, source: str) -> None:
    activation = raw.get("hidden_act", "silu")
    if activation not in family.activations:
        raise UnsupportedModelError(
            f"{source}: hidden_act {activation!r} is not supported. Supported: "
            f"{', '.join(map(repr, family.activations))}."
        )
    for key, allowed in ONLY.items():
        if raw.get(key) not in (None, allowed):
            raise UnsupportedModelError(
                f"{source}: {key} {raw[key]!r} is not supported. Supported: {allowed!r}."
            )
    if raw.get("quantization_config"):
        raise UnsupportedModelError(
            f"{source}: quantised safetensors (quantization_config) are not supported. Use "
            "the float weights or a GGUF file."
        )


def _inner_size(raw: Mapping[str, Any], family: Family, source: str) -> int:
    if family.mlp == "gelu" and raw.get("intermediate_size") is None:
        return 4 * _positive(raw, "hidden_size", source)
    is_own = "router" in family.layer and "moe_intermediate_size" in raw
    return _positive(raw, "moe_intermediate_size" if is_own else "intermediate_size", source)


def _biases(raw: Mapping[str, Any], family: Family) -> frozenset[str]:
    biases = set(family.biases)
    if raw.get("attention_bias") and not biases:
        biases |= {"qkv", "output"}
    if raw.get("mlp_bias"):
        biases |= {"gate_up", "down"}
    return frozenset(biases)


def _windows(raw: Mapping[str, Any], num_layers: int, source: str) -> tuple[int | None, ...]:
    """layer_types says which layers have a window; older files say it by number."""
    window = raw.get("sliding_window") if raw.get("use_sliding_window", True) else None
    if window is None:
        return (None,) * num_layers
    window = _positive(raw, "sliding_window", source)
    first = int(raw.get("max_window_layers") or 0)
    period = int(raw.get("sliding_window_pattern") or 0)
    kinds = raw.get("layer_types") or [
        "full_attention" if i < first or (period and (i + 1) % period == 0) else "sliding_attention"
        for i in range(num_layers)
    ]
    unknown = sorted({str(kind) for kind in kinds} - {"full_attention", "sliding_attention"})
    if unknown or len(kinds) != num_layers:
        raise UnsupportedModelError(
            f"{source}: layer_types has {len(kinds)} entries for {num_layers} layers, unknown: "
            f"{', '.join(unknown) or 'none'}. Supported: full_attention, sliding_attention."
        )
    return tuple(window if kind == "sliding_attention" else None for kind in kinds)
