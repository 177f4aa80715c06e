"""Model folders of random weights: the shapes of published models, for speed, and toy ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

__all__ = ["SHAPES", "random_folder", "tiny"]

LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500000.0,
    "hidden_act": "silu",
}
SHAPES: dict[str, dict[str, Any]] = {
    "llama-3.1-8b": {
        **LLAMA,
        "vocab_size": 128256,
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "tie_word_embeddings": False,
    },
    "llama-3.2-1b": {
        **LLAMA,
        "vocab_size": 128256,
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 64,
        "tie_word_embeddings": True,
    },
    "qwen3-0.6b": {
        **LLAMA,
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "rms_norm_eps": 1e-6,
        "rope_theta": 1000000.0,
        "vocab_size": 151936,
        "hidden_size": 1024,
        "intermediate_size": 3072,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "tie_word_embeddings": True,
    },
}


def tiny(config: dict[str, Any]) -> dict[str, Any]:
    """The same kind of model, small enough for any machine."""
    return {
        **config,
        "vocab_size": 512,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
    }


def random_folder(folder: Path, config: dict[str, Any], dtype: torch.dtype, device: str) -> Path:
    """A Llama or Qwen3 of random weights without a tokenizer, written layer by layer."""
    hidden, inner, head = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    q, kv = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    shapes = {
        "self_attn.q_proj": (q, hidden),
        "self_attn.k_proj": (kv, hidden),
        "self_attn.v_proj": (kv, hidden),
        "self_attn.o_proj": (hidden, q),
        "mlp.gate_proj": (inner, hidden),
        "mlp.up_proj": (inner, hidden),
        "mlp.down_proj": (hidden, inner),
        "input_layernorm": (hidden,),
        "post_attention_layernorm": (hidden,),
    }
    if config["model_type"] == "qwen3":
        shapes |= {"self_attn.q_norm": (head,), "self_attn.k_norm": (head,)}
    generator = torch.Generator(device).manual_seed(0)

    def draw(shape: tuple[int, ...]) -> torch.Tensor:
        if len(shape) == 1:
            return torch.ones(shape, dtype=dtype)
        values = torch.empty(shape, dtype=dtype, device=device)
        return values.normal_(0, 0.6 / shape[1] ** 0.5, generator=generator).cpu()

    folder.mkdir(parents=True, exist_ok=True)
    outer = {"model.embed_tokens": (config["vocab_size"], hidden), "model.norm": (hidden,)}
    if not config["tie_word_embeddings"]:
        outer["lm_head"] = outer["model.embed_tokens"]
    index: dict[str, str] = {}
    parts = {
        str(i): {f"model.layers.{i}.{name}": shape for name, shape in shapes.items()}
        for i in range(config["num_hidden_layers"])
    }
    for part, names in {"outer": outer, **parts}.items():
        name = f"model-{part}.safetensors"
        save_file(
            {f"{n}.weight": draw(s) for n, s in names.items()}, folder / name, {"format": "pt"}
        )
        index |= {f"{n}.weight": name for n in names}
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": index})
    )
    (folder / "config.json").write_text(json.dumps(config))
    return folder
