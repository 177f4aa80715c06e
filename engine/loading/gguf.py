"""A GGUF file as a configuration and float32 weights under Hugging Face names.

Owns llama.cpp's names and what its converter changes, which is undone here; the container is read
by gguf_file.py. llama.cpp rotates neighbouring pairs where Hugging Face rotates halves, so its
converter permutes the rows of q and k of the llama architecture; it turns GPT-2's matrices, adds
one to Gemma's norms, and keeps all experts of a layer in one tensor. Source: llama.cpp,
convert_hf_to_gguf.py and llama-model.cpp.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.errors import ModelLoadError, UnsupportedModelError
from engine.loading.gguf_file import GGUFFile, TensorEntry, read_gguf
from engine.models.config import ModelConfig
from engine.models.families import Family

__all__ = ["gguf_config", "gguf_weights", "read_gguf"]

ARCHITECTURES = {
    "gemma2": "Gemma2ForCausalLM",
    "gemma3": "Gemma3ForCausalLM",
    "gpt2": "GPT2LMHeadModel",
    "llama": "LlamaForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "qwen3moe": "Qwen3MoeForCausalLM",
}
WHOLE_MODEL = {
    "token_embd": "embedding",
    "position_embd": "positions",
    "output_norm": "final_norm",
    "output": "head",
}
# llama.cpp's name → part of a layer (models/families.py) and which of its modules
PER_LAYER = {
    "attn_norm": ("attention_norm", 0),
    "attn_qkv": ("qkv", 0),
    "attn_q": ("qkv", 0),
    "attn_k": ("qkv", 1),
    "attn_v": ("qkv", 2),
    "attn_q_norm": ("q_norm", 0),
    "attn_k_norm": ("k_norm", 0),
    "attn_output": ("output", 0),
    "post_attention_norm": ("post_attention_norm", 0),
    "ffn_norm": ("mlp_norm", 0),
    "ffn_gate": ("gate_up", 0),
    "ffn_up": ("gate_up", -1),
    "ffn_down": ("down", 0),
    "ffn_gate_inp": ("router", 0),
    "ffn_gate_exps": ("expert_gate_up", 0),
    "ffn_up_exps": ("expert_gate_up", 1),
    "ffn_down_exps": ("expert_down", 0),
    "post_ffw_norm": ("post_mlp_norm", 0),
}
ROPE_FACTORS = "rope_freqs.weight"
MAX_ROPE_FACTORS = 1 << 12


def gguf_config(file: GGUFFile) -> ModelConfig:
    """Metadata turned into the keys of a config.json, which models/config.py understands."""
    architecture = file.metadata.get("general.architecture")
    if not isinstance(architecture, str) or architecture not in ARCHITECTURES:
        raise UnsupportedModelError(
            f"{file.path}: architecture {architecture!r:.80} is not supported. Supported in "
            f"GGUF: {', '.join(ARCHITECTURES)}."
        )
    names = {entry.name for entry in file.tensors}

    def get(key: str, default: Any = None) -> Any:
        return file.metadata.get(f"{architecture}.{key}", default)

    _refuse_unknown_settings(file, get)

    vocab = next(
        (entry.shape[0] for entry in file.tensors if entry.name == "token_embd.weight"),
        get("vocab_size"),
    )
    block_count, hidden, heads = (
        get(key) for key in ("block_count", "embedding_length", "attention.head_count")
    )
    head_dim = get("attention.key_length")
    name = ARCHITECTURES[architecture]
    if architecture == "llama" and get("expert_count"):
        name = "MixtralForCausalLM"
    raw = {
        "architectures": [name],
        "vocab_size": vocab,
        "hidden_size": hidden,
        "intermediate_size": get("feed_forward_length"),
        "moe_intermediate_size": get("expert_feed_forward_length"),
        "num_experts": get("expert_count"),
        "num_experts_per_tok": get("expert_used_count"),
        "norm_topk_prob": True,  # llama.cpp does so for both families
        "num_hidden_layers": block_count,
        "num_attention_heads": heads,
        "num_key_value_heads": get("attention.head_count_kv"),
        "head_dim": head_dim,
        "max_position_embeddings": get("context_length"),
        "rms_norm_eps": get(
            "attention.layer_norm_rms_epsilon", get("attention.layer_norm_epsilon", 1e-5)
        ),
        "tie_word_embeddings": "output.weight" not in names,
        "attention_bias": "blk.0.attn_q.bias" in names,
        "mlp_bias": "blk.0.ffn_gate.bias" in names,
        "attn_logit_softcapping": get("attn_logit_softcapping"),
        "final_logit_softcapping": get("final_logit_softcapping"),
        "sliding_window": get("attention.sliding_window"),
        "rope_parameters": _rope_parameters(file, get),
        "rope_local_base_freq": get("rope.freq_base_swa"),
    }
    pattern = get("attention.sliding_window_pattern")
    if isinstance(pattern, list):
        kinds = ("full_attention", "sliding_attention")
        raw["layer_types"] = [kinds[bool(has_window)] for has_window in pattern]
    else:
        raw["sliding_window_pattern"] = pattern
    if architecture in ("gemma2", "gemma3"):
        # Not in the file. The 27B models, known by their layers, differ from the others.
        is_27b = block_count in (46, 62)
        raw["query_pre_attn_scalar"] = _ratio(hidden, heads) if is_27b else head_dim
    present = {key: value for key, value in raw.items() if value is not None}
    return ModelConfig.from_dict(present, str(file.path))


def _refuse_unknown_settings(file: GGUFFile, get: Callable[..., Any]) -> None:
    """What llama.cpp's models of these architectures may be set to and nothing here computes."""
    head_dim = get("attention.key_length") or _ratio(
        get("embedding_length"), get("attention.head_count")
    )
    neutral: dict[str, tuple[Any, ...]] = {
        "rope.dimension_count": (head_dim,),  # less: only a part of each head is turned
        "attention.value_length": (head_dim,),
        "attention.causal": (True,),
        "rope.scaling.attn_factor": (1,),
        "attention.clamp_kqv": (0,),
        "attention.max_alibi_bias": (0,),
        **dict.fromkeys(("attention.scale", "logit_scale", "residual_scale"), (0,)),
        **dict.fromkeys(("embedding_scale", "expert_weights_scale"), (0, 1)),
        "expert_shared_count": (0,),
        "use_parallel_residual": (False,),
    }
    for key, allowed in neutral.items():
        given = get(key)
        if given is not None and given not in allowed:
            raise UnsupportedModelError(
                f"{file.path}: {key} {given!r:.80} is not supported. Supported: {allowed[0]!r}."
            )


def _ratio(whole: Any, part: Any) -> int | None:
    is_right = isinstance(whole, int) and isinstance(part, int) and part > 0
    return whole // part if is_right else None


def _rope_parameters(file: GGUFFile, get: Callable[..., Any]) -> dict[str, Any]:
    parameters: dict[str, Any] = {
        "rope_theta": get("rope.freq_base", 10000.0),
        "rope_type": "default",
    }
    factors = next((entry for entry in file.tensors if entry.name == ROPE_FACTORS), None)
    kind = get("rope.scaling.type", "none")
    if factors is not None:
        if math.prod(factors.shape) > MAX_ROPE_FACTORS:
            raise ModelLoadError(
                f"{file.path}: tensor {ROPE_FACTORS} has shape {factors.shape}; up to "
                f"{MAX_ROPE_FACTORS} factors are read."
            )
        parameters |= {
            "rope_type": "factors",
            "factors": file.dequantised(factors).reshape(-1).tolist(),
        }
    elif kind != "none":
        parameters |= {"rope_type": kind, "factor": get("rope.scaling.factor", 1.0)}
    return parameters


def gguf_weights(file: GGUFFile, config: ModelConfig) -> dict[str, Tensor]:
    """All weights in float32. Raises ModelLoadError naming a tensor that has no place in the
    model.
    """
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        wanted = [entry for entry in file.tensors if entry.name != ROPE_FACTORS]
        return dict(chain.from_iterable(pool.map(lambda e: _weights(file, e, config), wanted)))


def _weights(file: GGUFFile, entry: TensorEntry, config: ModelConfig) -> list[tuple[str, Tensor]]:
    """One tensor, or one for every expert."""
    part, name = _part_and_name(entry.name, config.family, file.path)
    tensor = torch.from_numpy(file.dequantised(entry))
    try:
        return _converted(file, part, name, tensor, config)
    except (RuntimeError, ValueError) as error:
        raise ModelLoadError(
            f"{file.path}: tensor {entry.name} of shape {entry.shape} does not fit the model: "
            f"{error}"
        ) from None


def _converted(
    file: GGUFFile, part: str, name: str, tensor: Tensor, config: ModelConfig
) -> list[tuple[str, Tensor]]:
    """What llama.cpp's converter changed, undone."""
    if file.metadata["general.architecture"] == "llama" and part == "qkv":
        if ".q_proj." in name:
            tensor = _unpermute(tensor, config.num_heads)
        elif ".k_proj." in name:
            tensor = _unpermute(tensor, config.num_kv_heads)
    if part.endswith("norm") and config.family.norm == "rms_plus_one":
        tensor = tensor - 1
    if part.startswith("expert_"):
        return [(name.format(e=e), expert) for e, expert in enumerate(tensor)]
    is_turned = config.family.transposed and name.startswith(config.family.layers)
    return [(name, tensor.t() if is_turned and tensor.ndim == 2 else tensor)]


def _part_and_name(name: str, family: Family, path: Path) -> tuple[str, str]:
    """Part of the model, and Hugging Face's name of the tensor."""
    stem, _, suffix = name.rpartition(".")
    if WHOLE_MODEL.get(stem) in family.whole:
        part = WHOLE_MODEL[stem]
        return part, f"{family.whole[part]}.{suffix}"
    fields = stem.split(".")
    if len(fields) == 3 and fields[0] == "blk" and fields[1].isdigit() and fields[2] in PER_LAYER:
        part, place = PER_LAYER[fields[2]]
        if part in family.layer and place < len(family.layer[part]):
            return part, f"{family.layers}.{fields[1]}.{family.layer[part][place]}.{suffix}"
    raise ModelLoadError(f"{path}: unexpected tensor {name!r}: the model has no place for it.")


def _unpermute(weight: Tensor, num_heads: int) -> Tensor:
    """Rows (head, half_index, half) → (head, half, half_index); works for biases too."""
    rows = weight.shape[0]
    pairs = weight.view(num_heads, rows // num_heads // 2, 2, *weight.shape[1:])
    return pairs.swapaxes(1, 2).reshape(weight.shape)
