"""Which tensors of a checkpoint a model is made of: their names, their shapes, and the check that
they are all there.

A part is one field of the decoder (see families.py); it is made of entries, checkpoint tensors
stacked along their rows. Knows configurations; nothing of what a layer computes.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from engine.errors import ModelLoadError, shorten
from engine.models.config import ModelConfig

__all__ = ["Entry", "check_weights", "layer_parts", "own_weights", "whole_parts"]

Parts = dict[str, list["Entry"]]


@dataclass(frozen=True, slots=True)
class Entry:
    """One tensor of a checkpoint."""

    name: str
    shape: tuple[int, ...]


def whole_parts(config: ModelConfig) -> Parts:
    """The parts that there are once."""
    names, hidden = config.family.whole, config.hidden_size
    parts = {
        "embedding": [Entry(f"{names['embedding']}.weight", (config.vocab_size, hidden))],
        "final_norm": [Entry(f"{names['final_norm']}.weight", (hidden,))],
    }
    if "final_norm" in config.biases:
        parts["final_norm_bias"] = [Entry(f"{names['final_norm']}.bias", (hidden,))]
    if "positions" in names:
        shape = (config.max_position, hidden)
        parts["positions"] = [Entry(f"{names['positions']}.weight", shape)]
    if not config.tie_embeddings:
        parts["head"] = [Entry(f"{names['head']}.weight", (config.vocab_size, hidden))]
    return parts


def layer_parts(config: ModelConfig, index: int) -> Parts:
    """The parts of one layer, with `PART_bias` where there is one."""
    rows, columns = _sizes(config)
    prefix = f"{config.family.layers}.{index}."
    parts: Parts = {}
    for part, modules in config.family.layer.items():
        sizes = rows[part] if len(rows[part]) == len(modules) else (sum(rows[part]),)
        copies = range(config.num_experts) if "{e}" in modules[0] else range(1)
        stacked = [
            (prefix + module.format(e=e), size)
            for e in copies
            for module, size in zip(modules, sizes, strict=True)
        ]
        parts[part] = [
            Entry(f"{name}.weight", _shape(size, columns.get(part), config.family.transposed))
            for name, size in stacked
        ]
        if part in config.biases:
            parts[f"{part}_bias"] = [Entry(f"{name}.bias", (size,)) for name, size in stacked]
    return parts


def _sizes(config: ModelConfig) -> tuple[dict[str, tuple[int, ...]], dict[str, int]]:
    """Rows of a part's modules; columns of those parts that are matrices."""
    hidden, inner, head_dim = config.hidden_size, config.intermediate_size, config.head_dim
    q, kv = config.num_heads * head_dim, config.num_kv_heads * head_dim
    gate_up = (inner,) if config.family.mlp == "gelu" else (inner, inner)
    rows: dict[str, tuple[int, ...]] = dict.fromkeys(config.family.layer, (hidden,))
    rows |= {
        "q_norm": (head_dim,),
        "k_norm": (head_dim,),
        "qkv": (q, kv, kv),
        "gate_up": gate_up,
        "router": (config.num_experts,),
        "expert_gate_up": gate_up,
    }
    columns = {
        "qkv": hidden,
        "output": q,
        "gate_up": hidden,
        "down": inner,
        "router": hidden,
        "expert_gate_up": hidden,
        "expert_down": inner,
    }
    return rows, columns


def _shape(rows: int, columns: int | None, transposed: bool) -> tuple[int, ...]:
    if columns is None:
        return (rows,)
    return (columns, rows) if transposed else (rows, columns)


def own_weights(config: ModelConfig, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights under the names that this family has when it stands alone: without those of another
    part of a larger model (images), with the prefix that old checkpoints lack.
    """
    prefix = config.family.layers.split(".")[0] + "."
    found = {}
    for name, tensor in weights.items():
        if name.startswith(("vision_tower.", "multi_modal_projector.", "model.vision_tower.")):
            continue
        if name.startswith("model.multi_modal_projector."):
            continue
        name = name.replace("model.language_model.", "model.", 1).removeprefix("language_model.")
        if prefix == "transformer." and not name.startswith((prefix, "lm_head.")):
            name = prefix + name
        if not (config.tie_embeddings and name == "lm_head.weight"):
            found[name] = tensor
    return found


def check_weights(config: ModelConfig, weights: dict[str, Tensor], source: str) -> None:
    """Raises ModelLoadError naming missing, unexpected and misshapen weights."""
    tables = [whole_parts(config), *(layer_parts(config, i) for i in range(config.num_layers))]
    expected = {
        entry.name: entry.shape
        for table in tables
        for entries in table.values()
        for entry in entries
    }
    missing = sorted(set(expected) - set(weights))
    unexpected = sorted(set(weights) - set(expected))
    misshapen = [
        f"{name} is {tuple(weights[name].shape)} instead of {shape}"
        for name, shape in expected.items()
        if name in weights and tuple(weights[name].shape) != shape
    ]
    problems = [
        ("missing weights", missing),
        ("unexpected weights", unexpected),
        ("wrong shapes", misshapen),
    ]
    found = [f"{what}: {shorten(names)}" for what, names in problems if names]
    if found:
        raise ModelLoadError(
            f"{source}: the weights do not match the configuration. {'; '.join(found)}."
        )
