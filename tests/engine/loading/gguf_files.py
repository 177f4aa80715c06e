"""GGUF files made of model folders as llama.cpp's converter makes them; names from the package
gguf, so that the loader's own are not tested against themselves.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from safetensors.torch import load_file
from tokenizers import pre_tokenizers

EXPERT = re.compile(
    r"(model\.layers\.\d+\.)(?:mlp|block_sparse_moe)\.experts\.(\d+)\.(\w+)\.weight"
)
GPT2_MATRIX = re.compile(r"\.(c_attn|c_proj|c_fc)\.weight$")
MERGED = {"w1": "gate_proj", "w2": "down_proj", "w3": "up_proj"}
TEMPLATE = (
    "{% for m in messages %}{{ m['content'] }}"
    "{{ raise_exception('no') if m['content'] == 'bad' }}{% endfor %}"
)


def write_gguf(
    path: Path,
    folder: Path,
    kind: gguf.GGMLQuantizationType = gguf.GGMLQuantizationType.F32,
    *,
    architecture: str = "llama",
    tokenizer: bool = False,
    extra: dict[str, np.ndarray] | None = None,
) -> Path:
    """Matrices of `kind` where their rows are whole blocks, everything else in float32."""
    config = json.loads((folder / "config.json").read_text())
    writer = gguf.GGUFWriter(path, architecture)
    add_settings(writer, config, architecture)
    if tokenizer:
        add_tokenizer(writer)
    arch = {name: key for key, name in gguf.MODEL_ARCH_NAMES.items()}[architecture]
    names = gguf.get_tensor_name_map(arch, 8)
    for name, weight in converted(load_file(folder / "model.safetensors"), config, architecture):
        target = names.get_name(name, try_suffixes=(".weight", ".bias"))
        assert target is not None, name
        values = weight.float().contiguous().numpy()
        if values.ndim > 1 and values.shape[-1] % gguf.GGML_QUANT_SIZES[kind][0] == 0:
            writer.add_tensor(target, gguf.quantize(values, kind), raw_dtype=kind)
        else:
            writer.add_tensor(target, values)
    for name, values in (extra or {}).items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def add_settings(writer: gguf.GGUFWriter, config: dict[str, Any], architecture: str) -> None:
    if architecture == "gpt2":
        writer.add_block_count(config["n_layer"])
        writer.add_context_length(config["n_positions"])
        writer.add_embedding_length(config["n_embd"])
        writer.add_feed_forward_length(4 * config["n_embd"])
        writer.add_head_count(config["n_head"])
        writer.add_layer_norm_eps(config["layer_norm_epsilon"])
        return
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    rope = config["rope_parameters"]
    writer.add_rope_freq_base(rope.get("full_attention", rope)["rope_theta"])
    if config.get("head_dim"):
        writer.add_key_length(config["head_dim"])
    if config.get("num_local_experts") or config.get("num_experts"):
        writer.add_expert_count(config.get("num_local_experts") or config["num_experts"])
        writer.add_expert_used_count(config["num_experts_per_tok"])
    if config.get("moe_intermediate_size"):
        writer.add_expert_feed_forward_length(config["moe_intermediate_size"])
    if architecture.startswith("gemma"):
        writer.add_sliding_window(config["sliding_window"])
    if architecture == "gemma2":
        writer.add_attn_logit_softcapping(config["attn_logit_softcapping"])
        writer.add_final_logit_softcapping(config["final_logit_softcapping"])


def converted(
    weights: dict[str, torch.Tensor], config: dict[str, Any], architecture: str
) -> list[tuple[str, torch.Tensor]]:
    """What llama.cpp's converter does to the weights before it names them."""
    found: dict[str, torch.Tensor] = {}
    experts: dict[str, dict[int, torch.Tensor]] = {}
    for name, weight in weights.items():
        if match := EXPERT.fullmatch(name):
            prefix, number, module = match.groups()
            merged = f"{prefix}mlp.experts.{MERGED.get(module, module)}.weight"
            experts.setdefault(merged, {})[int(number)] = weight
        elif architecture == "llama" and re.search(r"\.[qk]_proj\.", name):
            heads = "num_attention_heads" if ".q_proj." in name else "num_key_value_heads"
            found[name] = permuted(weight, config[heads])
        elif architecture == "gpt2" and GPT2_MATRIX.search(name):
            found[name] = weight.t()
        elif architecture.startswith("gemma") and name.endswith("norm.weight"):
            found[name] = weight + 1
        else:
            found[name] = weight
    for name, parts in experts.items():
        found[name] = torch.stack([parts[number] for number in sorted(parts)])
    return list(found.items())


def permuted(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """llama.cpp's reordering of q and k rows."""
    return (
        weight.reshape(heads, 2, weight.shape[0] // heads // 2, -1)
        .swapaxes(1, 2)
        .reshape(weight.shape)
    )


def add_tokenizer(writer: gguf.GGUFWriter) -> None:
    """Byte-level, 160 tokens, three of them special."""
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())[: 160 - len(special) - 1]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list([*special, *letters, "ab"])
    writer.add_token_types([3] * len(special) + [1] * (len(letters) + 1))
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(True)
    writer.add_chat_template(TEMPLATE)
