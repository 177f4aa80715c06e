"""Where the model families differ from Llama: one table, no code.

A family names the parts of a layer as its checkpoints do; a part that it does not name, its layers
do not have. Knows nothing of tensors or files. Source: the families' modules in transformers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

__all__ = ["FAMILIES", "Family"]

WHOLE = {"embedding": "model.embed_tokens", "final_norm": "model.norm", "head": "lm_head"}
ATTENTION = {
    "attention_norm": ("input_layernorm",),
    "qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "output": ("self_attn.o_proj",),
    "mlp_norm": ("post_attention_layernorm",),
}
QK_NORMS = {"q_norm": ("self_attn.q_norm",), "k_norm": ("self_attn.k_norm",)}
MLP = {"gate_up": ("mlp.gate_proj", "mlp.up_proj"), "down": ("mlp.down_proj",)}
GEMMA_NORMS = {
    "post_attention_norm": ("post_attention_layernorm",),
    "mlp_norm": ("pre_feedforward_layernorm",),
    "post_mlp_norm": ("post_feedforward_layernorm",),
}


@dataclass(frozen=True, slots=True)
class Family:
    """layer       part of a layer → modules of a checkpoint that make it up, stacked along their
                rows; "{e}" stands for the number of an expert
    whole       the same for what there is once; "positions": learned ones instead of rotary ones
    layers      where the numbered layers are
    transposed  matrices are stored [in, out]
    norm        "rms"; "rms_plus_one" (stored less one, multiplied in float32); "layer"
    mlp         "swiglu", "geglu" or "gelu" (without a gate)
    activations names of the MLP's function in config.json
    biases      parts that always have one
    scaled_embedding  embeddings are multiplied by the root of their size
    defaults    of config.json, where they are not Llama's
    aliases     key in this family's config.json → Llama's key
    """

    layer: Mapping[str, tuple[str, ...]]
    whole: Mapping[str, str] = field(default_factory=lambda: WHOLE)
    layers: str = "model.layers"
    transposed: bool = False
    norm: str = "rms"
    mlp: str = "swiglu"
    activations: tuple[str, ...] = ("silu",)
    biases: frozenset[str] = frozenset()
    scaled_embedding: bool = False
    defaults: Mapping[str, Any] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)


LLAMA = Family(ATTENTION | MLP)
QWEN_WINDOW = {"use_sliding_window": False, "max_window_layers": 28}
QWEN2 = Family(ATTENTION | MLP, biases=frozenset({"qkv"}), defaults=QWEN_WINDOW)
QWEN3 = Family(ATTENTION | QK_NORMS | MLP, defaults=QWEN_WINDOW)
QWEN3_MOE = Family(
    ATTENTION
    | QK_NORMS
    | {
        "router": ("mlp.gate",),
        "expert_gate_up": ("mlp.experts.{e}.gate_proj", "mlp.experts.{e}.up_proj"),
        "expert_down": ("mlp.experts.{e}.down_proj",),
    },
    defaults={"use_sliding_window": False, "norm_topk_prob": False},
)
MIXTRAL = Family(
    ATTENTION
    | {
        "router": ("block_sparse_moe.gate",),
        "expert_gate_up": ("block_sparse_moe.experts.{e}.w1", "block_sparse_moe.experts.{e}.w3"),
        "expert_down": ("block_sparse_moe.experts.{e}.w2",),
    },
    defaults={"norm_topk_prob": True},
)
GEMMA_DEFAULTS = {
    "hidden_act": "gelu_pytorch_tanh",
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "tie_word_embeddings": True,
    "query_pre_attn_scalar": 256,
    "sliding_window": 4096,
}
GEMMA = partial(
    Family,
    norm="rms_plus_one",
    mlp="geglu",
    activations=("gelu_pytorch_tanh",),
    scaled_embedding=True,
    aliases={"hidden_activation": "hidden_act"},
)
GEMMA2 = GEMMA(
    ATTENTION | GEMMA_NORMS | MLP,
    defaults=GEMMA_DEFAULTS
    | {
        "max_position_embeddings": 8192,
        "sliding_window_pattern": 2,
        "attn_logit_softcapping": 50.0,
        "final_logit_softcapping": 30.0,
    },
)
GEMMA3 = GEMMA(
    ATTENTION | GEMMA_NORMS | QK_NORMS | MLP,
    defaults=GEMMA_DEFAULTS
    | {
        "vocab_size": 262208,
        "max_position_embeddings": 131072,
        "sliding_window_pattern": 6,
        "rope_theta": 1_000_000.0,
        "rope_local_base_freq": 10_000.0,
    },
)
GPT2 = Family(
    {
        "attention_norm": ("ln_1",),
        "qkv": ("attn.c_attn",),
        "output": ("attn.c_proj",),
        "mlp_norm": ("ln_2",),
        "gate_up": ("mlp.c_fc",),
        "down": ("mlp.c_proj",),
    },
    whole={
        "embedding": "transformer.wte",
        "positions": "transformer.wpe",
        "final_norm": "transformer.ln_f",
        "head": "lm_head",
    },
    layers="transformer.h",
    transposed=True,
    norm="layer",
    mlp="gelu",
    activations=("gelu_new", "gelu_pytorch_tanh"),
    biases=frozenset(
        {"attention_norm", "qkv", "output", "mlp_norm", "gate_up", "down", "final_norm"}
    ),
    defaults={"hidden_act": "gelu_new", "tie_word_embeddings": True, "rms_norm_eps": 1e-5},
    aliases={
        "n_embd": "hidden_size",
        "n_layer": "num_hidden_layers",
        "n_head": "num_attention_heads",
        "n_inner": "intermediate_size",
        "n_positions": "max_position_embeddings",
        "layer_norm_epsilon": "rms_norm_eps",
        "activation_function": "hidden_act",
    },
)

FAMILIES = {
    "LlamaForCausalLM": LLAMA,
    "MistralForCausalLM": LLAMA,
    "MixtralForCausalLM": MIXTRAL,
    "Qwen2ForCausalLM": QWEN2,
    "Qwen3ForCausalLM": QWEN3,
    "Qwen3MoeForCausalLM": QWEN3_MOE,
    "Gemma2ForCausalLM": GEMMA2,
    "Gemma3ForCausalLM": GEMMA3,
    "Gemma3ForConditionalGeneration": GEMMA3,  # its text part; images are not read
    "GPT2LMHeadModel": GPT2,
}
