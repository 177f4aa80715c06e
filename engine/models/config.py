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
from engine.models.families import FAMILIES, Family

__all__ = ["ModelConfig", "RopeScaling"]

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
        """Raises UnsupportedModelError or ModelLoadError naming the key; `source` says whose config
        it is.
        """
        family = _family(raw, source)
        raw = {**raw, **(raw.get("text_config") or {})}
        raw = {**family.defaults, **{family.aliases.get(key, key): raw[key] for key in raw}}
        _refuse_unknown_settings(raw, family, source)
        hidden_size = _positive(raw, "hidden_size", source)
        num_layers = _positive(raw, "num_hidden_layers", source)
        num_heads = _positive(raw, "num_attention_heads", source)
        num_kv_heads = int(raw.get("num_key_value_heads") or num_heads)
        if num_heads % num_kv_heads:
            raise ModelLoadError(
                f"{source}: num_attention_heads {num_heads} is not a multiple of "
                f"num_key_value_heads {num_kv_heads}."
            )
        head_dim = int(raw.get("head_dim") or hidden_size // num_heads)
        local_theta, theta, scaling = _rope(raw, source)
        has_experts = "router" in family.layer
        experts = "num_experts" if "num_experts" in raw else "num_local_experts"
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
            rms_norm_eps=float(raw.get("rms_norm_eps", 1e-6)),
            rope_theta=theta,
            rope_scaling=scaling,
            local_rope_theta=local_theta,
            windows=_windows(raw, num_layers, source),
            tie_embeddings=bool(raw.get("tie_word_embeddings", False)),
            biases=_biases(raw, family),
            embedding_scale=hidden_size**0.5 if family.scaled_embedding else 1.0,
            attention_scale=float(raw.get("query_pre_attn_scalar") or head_dim) ** -0.5,
            attention_softcap=raw.get("attn_logit_softcapping"),
            logit_softcap=raw.get("final_logit_softcapping"),
            num_experts=_positive(raw, experts, source) if has_experts else 0,
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
            f"{source}: {key} is {value!r}, but it must be a whole number of at least 1."
        )
    return value


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


def _rope(raw: Mapping[str, Any], source: str) -> tuple[float | None, float, RopeScaling | None]:
    """Base of the layers with a window if it is their own, base of the others, their scaling."""
    parameters = dict(raw.get("rope_parameters") or raw.get("rope_scaling") or {})
    local = raw.get("rope_local_base_freq")
    if "full_attention" in parameters:
        sliding = parameters.get("sliding_attention") or {}
        if sliding.get("rope_type", "default") != "default":
            raise UnsupportedModelError(
                f"{source}: RoPE scaling {sliding['rope_type']!r} of the layers with a window is "
                "not supported. Supported: default."
            )
        local = sliding.get("rope_theta", local)
        parameters = dict(parameters["full_attention"])
    local = None if local is None else float(local)
    theta = float(parameters.get("rope_theta") or raw.get("rope_theta") or 10000.0)
    kind = parameters.get("rope_type") or parameters.get("type") or "default"
    scaling = None
    if kind == "linear":
        scaling = RopeScaling("linear", factor=float(parameters["factor"]))
    elif kind == "factors":
        scaling = RopeScaling("factors", factors=tuple(float(f) for f in parameters["factors"]))
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
