"""A GGUF file as a configuration and float32 weights under Hugging Face names.

Owns llama.cpp's names and its reordering of q and k; the container is read by gguf_file.py.
llama.cpp rotates neighbouring pairs where Hugging Face rotates halves, so its converter permutes
the rows of q and k of the llama architecture; that is undone here. Source: llama.cpp,
convert_hf_to_gguf.py (LlamaModel.permute).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.errors import ModelLoadError, UnsupportedModelError
from engine.loader.gguf_file import GGUFFile, TensorEntry, read_gguf
from engine.models.config import ModelConfig

__all__ = ["gguf_config", "gguf_weights", "read_gguf"]

ARCHITECTURES = {
    "llama": "LlamaForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
}
WHOLE_MODEL = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
PER_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
ROPE_FACTORS = "rope_freqs.weight"


def gguf_config(file: GGUFFile) -> ModelConfig:
    """Metadata turned into the keys of a config.json, which models/config.py understands."""
    architecture = file.metadata.get("general.architecture")
    if architecture not in ARCHITECTURES:
        raise UnsupportedModelError(
            f"{file.path}: architecture {architecture!r} is not supported. Supported in "
            f"GGUF: {', '.join(ARCHITECTURES)}."
        )
    names = {entry.name for entry in file.tensors}

    def get(key: str, default: Any = None) -> Any:
        return file.metadata.get(f"{architecture}.{key}", default)

    vocab = next(
        (entry.shape[0] for entry in file.tensors if entry.name == "token_embd.weight"),
        get("vocab_size"),
    )
    raw = {
        "architectures": [ARCHITECTURES[architecture]],
        "vocab_size": vocab,
        "hidden_size": get("embedding_length"),
        "intermediate_size": get("feed_forward_length"),
        "num_hidden_layers": get("block_count"),
        "num_attention_heads": get("attention.head_count"),
        "num_key_value_heads": get("attention.head_count_kv"),
        "head_dim": get("attention.key_length"),
        "max_position_embeddings": get("context_length"),
        "rms_norm_eps": get("attention.layer_norm_rms_epsilon", 1e-5),
        "tie_word_embeddings": "output.weight" not in names,
        "attention_bias": "blk.0.attn_q.bias" in names,
        "mlp_bias": "blk.0.ffn_gate.bias" in names,
        "sliding_window": get("attention.sliding_window"),
        "rope_parameters": _rope_parameters(file, get),
    }
    return ModelConfig.from_dict(raw, str(file.path))


def _rope_parameters(file: GGUFFile, get: Callable[..., Any]) -> dict[str, Any]:
    parameters: dict[str, Any] = {
        "rope_theta": get("rope.freq_base", 10000.0),
        "rope_type": "default",
    }
    factors = next((entry for entry in file.tensors if entry.name == ROPE_FACTORS), None)
    kind = get("rope.scaling.type", "none")
    if factors is not None:
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
        return dict(pool.map(lambda entry: _weight(file, entry, config), wanted))


def _weight(file: GGUFFile, entry: TensorEntry, config: ModelConfig) -> tuple[str, Tensor]:
    name = _hugging_face_name(entry.name, file.path)
    tensor = torch.from_numpy(file.dequantised(entry))
    if file.metadata["general.architecture"] == "llama":
        if ".q_proj." in name:
            tensor = _unpermute(tensor, config.num_heads)
        elif ".k_proj." in name:
            tensor = _unpermute(tensor, config.num_kv_heads)
    return name, tensor


def _hugging_face_name(name: str, path: Path) -> str:
    stem, _, suffix = name.rpartition(".")
    if stem in WHOLE_MODEL:
        return f"{WHOLE_MODEL[stem]}.{suffix}"
    parts = stem.split(".")
    if len(parts) == 3 and parts[0] == "blk" and parts[1].isdigit() and parts[2] in PER_LAYER:
        return f"model.layers.{parts[1]}.{PER_LAYER[parts[2]]}.{suffix}"
    raise ModelLoadError(f"{path}: unexpected tensor {name!r}: the model has no place for it.")


def _unpermute(weight: Tensor, num_heads: int) -> Tensor:
    """Rows (head, half_index, half) → (head, half, half_index); works for biases too."""
    rows = weight.shape[0]
    pairs = weight.view(num_heads, rows // num_heads // 2, 2, *weight.shape[1:])
    return pairs.swapaxes(1, 2).reshape(weight.shape)
