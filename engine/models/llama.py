"""The Llama family: Llama, SmolLM, Mistral, Qwen2 (biased q, k, v) and Qwen3 (normed q and k).

Owns the weights and the order of the layers. Gets a Batch, gives hidden rows; knows nothing of
requests, sampling or files. A layer is two row-wise functions with attention between them, so that
rows.py can run them in tiles of any trusted size: `before` (norm, q, k, v) and `after` (output
projection, residual, norm, MLP, residual).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from engine import native
from engine.attention_plan import Span
from engine.errors import ModelLoadError, shorten
from engine.models.config import ModelConfig
from engine.models.layers import Matrix, linear, rms_norm, rope_tables, rotate, swiglu

__all__ = ["Attention", "Batch", "Layer", "LlamaModel", "expected_shapes"]


class Attention(Protocol):
    """Holds the KV cache and reads it: torch's (attention.py) or the native one."""

    def plan(self, spans: Sequence[Span]) -> Any:
        """What one step has to do, the same in every layer."""

    def attend(
        self, layer: int, q: Tensor, k: Tensor, v: Tensor, plan: Any, out: Tensor, *,
        scale: float, window: int | None = None, softcap: float | None = None,
    ) -> None:  # fmt: skip
        """Write k and v into the cache, then q's attention into out."""

    def scrub(self, blocks: Sequence[int]) -> None:
        """Overwrite blocks whose content is not finite: their next owner must not inherit it."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One step, packed without padding between sequences.

    token_ids   [num_rows]  rows after num_tokens only fill up the last tile
    positions   [num_rows]
    num_tokens  rows that are real
    tiles       sizes that add up to num_rows
    attention   the step's plan
    logit_rows  [n] rows whose logits are wanted
    """

    token_ids: Tensor
    positions: Tensor
    num_tokens: int
    tiles: tuple[int, ...]
    attention: Any
    logit_rows: Tensor


@dataclass(frozen=True, slots=True)
class Layer:
    """Weights of one layer; q, k, v and gate, up are each one matrix."""

    attention_norm: Tensor
    qkv: Matrix
    qkv_bias: Tensor | None
    q_norm: Tensor | None
    k_norm: Tensor | None
    output: Matrix
    output_bias: Tensor | None
    mlp_norm: Tensor
    gate_up: Matrix
    gate_up_bias: Tensor | None
    down: Matrix
    down_bias: Tensor | None


def expected_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Every weight the model needs, under its Hugging Face name."""
    hidden, inner, head_dim = config.hidden_size, config.intermediate_size, config.head_dim
    q, kv = config.num_heads * head_dim, config.num_kv_heads * head_dim
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (config.vocab_size, hidden),
        "model.norm.weight": (hidden,),
    }
    if not config.tie_embeddings:
        shapes["lm_head.weight"] = (config.vocab_size, hidden)
    matrices = [
        ("self_attn.q_proj", q, hidden, config.qkv_bias),
        ("self_attn.k_proj", kv, hidden, config.qkv_bias),
        ("self_attn.v_proj", kv, hidden, config.qkv_bias),
        ("self_attn.o_proj", hidden, q, config.output_bias),
        ("mlp.gate_proj", inner, hidden, config.mlp_bias),
        ("mlp.up_proj", inner, hidden, config.mlp_bias),
        ("mlp.down_proj", hidden, inner, config.mlp_bias),
    ]
    for i in range(config.num_layers):
        prefix = f"model.layers.{i}."
        for name, rows, columns, has_bias in matrices:
            shapes[f"{prefix}{name}.weight"] = (rows, columns)
            if has_bias:
                shapes[f"{prefix}{name}.bias"] = (rows,)
        shapes[f"{prefix}input_layernorm.weight"] = (hidden,)
        shapes[f"{prefix}post_attention_layernorm.weight"] = (hidden,)
        if config.qk_norm:
            shapes[f"{prefix}self_attn.q_norm.weight"] = (head_dim,)
            shapes[f"{prefix}self_attn.k_norm.weight"] = (head_dim,)
    return shapes


def check_weights(config: ModelConfig, weights: dict[str, Tensor], source: str) -> None:
    """Raises ModelLoadError naming missing, unexpected and misshapen weights."""
    expected = expected_shapes(config)
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


class LlamaModel:
    """Weights on one device in one dtype. Takes `weights` apart, so that they are not held
    twice.
    """

    def __init__(
        self,
        config: ModelConfig,
        weights: dict[str, Tensor],
        source: str,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        if config.tie_embeddings:
            weights.pop("lm_head.weight", None)
        check_weights(config, weights, source)

        def take(*names: str) -> Tensor:
            parts = [weights.pop(name).to(device, dtype) for name in names]
            return torch.cat(parts) if len(parts) > 1 else parts[0].contiguous()

        #: a row's bits are the same in any batch, so rows need no tiles of trusted sizes
        self.is_row_exact = native.can_pack(device, dtype)

        def matrix(*names: str) -> Matrix:
            return native.pack(take(*names)) if self.is_row_exact else take(*names)

        self.config = config
        self.dtype = dtype
        self.device = device
        self.embedding = take("model.embed_tokens.weight")
        self.final_norm = take("model.norm.weight")
        if config.tie_embeddings:
            self.head = native.pack(self.embedding) if self.is_row_exact else self.embedding
        else:
            self.head = matrix("lm_head.weight")
        self.layers = [
            _layer(config, f"model.layers.{i}.", take, matrix) for i in range(config.num_layers)
        ]
        self._cos, self._sin = rope_tables(
            config.head_dim, config.max_position, config.rope_theta, config.rope_scaling, device
        )

    def forward(self, batch: Batch, attention: Attention) -> Tensor:
        """Hidden rows [len(logit_rows), hidden] after the last layer, before the final norm. Writes
        K and V into attention's cache.
        """
        config = self.config
        x = self.embedding[batch.token_ids]
        width = config.num_heads * config.head_dim
        mixed = torch.zeros(x.shape[0], width, dtype=self.dtype, device=self.device)
        num_rotated = config.num_heads + config.num_kv_heads
        for i, layer in enumerate(self.layers):
            qkv = _in_tiles(batch.tiles, lambda part, layer=layer: self.before(layer, part), x)
            qkv = qkv.view(x.shape[0], -1, config.head_dim)
            rotate(qkv, self._cos, self._sin, batch.positions, num_rotated)
            q, k, v = self._split(qkv)
            real = slice(batch.num_tokens)
            attention.attend(
                i, q, k[real], v[real], batch.attention, mixed, scale=config.head_dim**-0.5
            )
            x = _in_tiles(batch.tiles, lambda a, r, layer=layer: self.after(layer, a, r), mixed, x)
        return x[batch.logit_rows]

    def before(self, layer: Layer, x: Tensor) -> Tensor:
        """[rows, hidden] → q, k, v side by side, [rows, (num_heads + 2 * num_kv_heads) *
        head_dim].
        """
        eps = self.config.rms_norm_eps
        qkv = linear(rms_norm(x, layer.attention_norm, eps), layer.qkv, layer.qkv_bias)
        if layer.q_norm is None or layer.k_norm is None:
            return qkv
        q, k, v = self._split(qkv)
        parts = (rms_norm(q, layer.q_norm, eps), rms_norm(k, layer.k_norm, eps), v)
        return torch.cat([part.flatten(1) for part in parts], dim=1)

    def after(self, layer: Layer, mixed: Tensor, residual: Tensor) -> Tensor:
        """Attention result [rows, num_heads * head_dim] and residual [rows, hidden] → [rows,
        hidden].
        """
        x = linear(mixed, layer.output, layer.output_bias, residual)
        h = rms_norm(x, layer.mlp_norm, self.config.rms_norm_eps)
        return swiglu(h, layer.gate_up, layer.down, layer.gate_up_bias, layer.down_bias, x)

    def logits(self, hidden: Tensor) -> Tensor:
        """[rows, hidden] → [rows, vocab_size] in float32."""
        return linear(
            rms_norm(hidden, self.final_norm, self.config.rms_norm_eps), self.head
        ).float()

    def _split(self, qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        heads, kv_heads = self.config.num_heads, self.config.num_kv_heads
        by_head = qkv.view(-1, heads + 2 * kv_heads, self.config.head_dim)
        q, k, v = torch.split(by_head, [heads, kv_heads, kv_heads], dim=1)
        return q, k, v


def _layer(
    config: ModelConfig, prefix: str, take: Callable[..., Tensor], matrix: Callable[..., Matrix]
) -> Layer:
    def named(part: str, *names: str) -> Tensor:
        return take(*(f"{prefix}{name}.{part}" for name in names))

    def weights(*names: str) -> Matrix:
        return matrix(*(f"{prefix}{name}.weight" for name in names))

    qkv = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
    gate_up = ("mlp.gate_proj", "mlp.up_proj")
    return Layer(
        attention_norm=named("weight", "input_layernorm"),
        qkv=weights(*qkv),
        qkv_bias=named("bias", *qkv) if config.qkv_bias else None,
        q_norm=named("weight", "self_attn.q_norm") if config.qk_norm else None,
        k_norm=named("weight", "self_attn.k_norm") if config.qk_norm else None,
        output=weights("self_attn.o_proj"),
        output_bias=named("bias", "self_attn.o_proj") if config.output_bias else None,
        mlp_norm=named("weight", "post_attention_layernorm"),
        gate_up=weights(*gate_up),
        gate_up_bias=named("bias", *gate_up) if config.mlp_bias else None,
        down=weights("mlp.down_proj"),
        down_bias=named("bias", "mlp.down_proj") if config.mlp_bias else None,
    )


def _in_tiles(tiles: tuple[int, ...], run: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    if len(tiles) == 1:
        return run(*inputs)
    parts = zip(*(torch.split(tensor, list(tiles)) for tensor in inputs), strict=True)
    return torch.cat([run(*part) for part in parts])
