"""The decoder: Llama, and what the other families change in it (families.py, config.py).

Owns the weights and the order of the layers. Gets a Batch, gives hidden rows; knows nothing of
requests, sampling or files. A layer is two row-wise functions with attention between them: `before`
(norm, q, k, v) and `after` (output projection, residual, norm, MLP or experts, residual).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.attention.plan import Attention
from engine.kernels import cpu, gpu, onednn
from engine.models.batch import Batch
from engine.models.config import ModelConfig
from engine.models.layers import (
    Matrix,
    feed_forward,
    linear,
    own_kernels,
    rms_norm,
    rope_tables,
    rotate,
    soft_cap,
)
from engine.models.mixture import Experts, mixture
from engine.models.quantised import Quantised, codes_and_scales, dense, quantise, split
from engine.models.weights import Entry, check_weights, layer_parts, own_weights, whole_parts

__all__ = ["Layer", "LlamaModel"]

EXPERTS = ("expert_gate_up", "expert_down")
MATRICES = ("qkv", "output", "gate_up", "down", *EXPERTS)


@dataclass(frozen=True, slots=True)
class Layer:
    """Weights of one layer, ready to use; q, k, v and gate, up are each one matrix. What a family
    does not have is None.
    """

    attention_norm: Tensor
    qkv: Matrix
    output: Matrix
    mlp_norm: Tensor
    attention_norm_bias: Tensor | None = None
    qkv_bias: Tensor | None = None
    q_norm: Tensor | None = None
    k_norm: Tensor | None = None
    output_bias: Tensor | None = None
    post_attention_norm: Tensor | None = None
    mlp_norm_bias: Tensor | None = None
    gate_up: Matrix | None = None
    gate_up_bias: Tensor | None = None
    down: Matrix | None = None
    down_bias: Tensor | None = None
    router: Matrix | None = None
    experts: Experts | None = None
    post_mlp_norm: Tensor | None = None


class LlamaModel:
    """Weights on one device in one dtype; with a quantization the layers' matrices as integers.
    Takes `weights` apart, so that they are not held twice. exact=False: a row's bits may depend on
    the others in the batch, where that is faster; without a kernel of ours they do in any case.
    """

    def __init__(
        self,
        config: ModelConfig,
        weights: dict[str, Tensor],
        source: str,
        dtype: torch.dtype,
        device: torch.device,
        quantization: str | None = None,
        exact: bool = True,
    ) -> None:
        self.config = config
        self.dtype = dtype
        self.device = device
        self._exact = exact
        self._is_packed = cpu.can_run(device, dtype)
        self._is_exact_on_gpu = exact and gpu.can_run(device, dtype)
        #: whether a row's bits are the same in any batch, as was asked
        self.keeps_bits = exact and own_kernels(device, dtype) is not None
        own = own_weights(config, weights)
        weights.clear()
        check_weights(config, own, source)
        whole = {part: self._take(part, e, own) for part, e in whole_parts(config).items()}
        self.embedding = whole["embedding"]
        self.positions = whole.get("positions")
        self.head: Matrix = self._ready("head", whole.get("head", self.embedding))
        self.final_norm = whole["final_norm"]
        self.final_norm_bias = whole.get("final_norm_bias")
        self._stored: list[dict[str, Any]] = []
        for i in range(config.num_layers):
            parts: dict[str, Any] = {}
            for part, entries in layer_parts(config, i).items():
                if quantization is not None and part in MATRICES:
                    # From the weights as they are stored, so that every dtype has the same codes.
                    matrix = self._take(part, entries, own, as_stored=True)
                    codes = quantise(matrix, quantization, f"{source}: {entries[0].name}")
                    parts[part] = self._ready(part, codes)
                else:
                    parts[part] = self._ready(part, self._take(part, entries, own))
            self._stored.append(parts)
        # The scale is rounded to the dtype first, as Gemma was trained.
        self._embedding_scale = torch.tensor(config.embedding_scale, dtype=dtype).item()
        #: cos and sin of the full layers; of the layers with a window too, if they have their own
        self._ropes: list[tuple[Tensor, Tensor]] = []
        if self.positions is None:
            bases = [(config.rope_theta, config.rope_scaling)]
            if config.local_rope_theta is not None:
                bases.append((config.local_rope_theta, None))
            size = (config.head_dim, config.max_position)
            self._ropes = [rope_tables(*size, *base, device) for base in bases]

    def _take(
        self,
        part: str,
        entries: list[Entry],
        weights: dict[str, Tensor],
        as_stored: bool = False,
    ) -> Tensor:
        family = self.config.family
        tensors = [weights.pop(entry.name).to(self.device) for entry in entries]
        if part.endswith("norm") and family.norm == "rms_plus_one":
            return tensors[0].float() + 1
        if family.transposed and part in MATRICES:
            tensors = [tensor.t() for tensor in tensors]
        if not as_stored:
            tensors = [tensor.to(self.dtype) for tensor in tensors]
        return torch.cat(tensors) if len(tensors) > 1 else tensors[0].contiguous()

    def _ready(self, part: str, weight: Tensor | Quantised) -> Any:
        """As the kernels of this device want it; experts as a list of them."""
        if part in EXPERTS:
            return [self._packed(expert) for expert in split(weight, self.config.num_experts)]
        return self._packed(weight) if part in ("head", "router", *MATRICES) else weight

    def _packed(self, weight: Tensor | Quantised) -> Matrix | Quantised:
        if isinstance(weight, Quantised):
            return cpu.pack_codes(*codes_and_scales(weight)) if self._is_packed else weight
        if self._is_exact_on_gpu:
            return gpu.ExactMatrix(weight)
        if not self._is_packed:
            return weight
        one = onednn.pack(weight, self._exact) if onednn.can_run(weight.dtype) else None
        return one or cpu.pack(weight.float())

    def _opened(self, weight: Matrix | Quantised) -> Matrix:
        """Where no kernel takes integers, they are opened once a step and live as long as the layer
        runs.
        """
        if not isinstance(weight, Quantised):
            return weight
        opened = dense(weight, self.dtype)
        return gpu.ExactMatrix(opened) if self._is_exact_on_gpu else opened

    @property
    def uses_onednn(self) -> bool:
        return isinstance(self._stored[0]["qkv"], onednn.OneDnnMatrix)

    def layer(self, index: int) -> Layer:
        """Of experts few are used, so each opens its own."""
        parts = dict(self._stored[index])
        experts = None
        if self.config.num_experts:
            both = list(zip(parts.pop("expert_gate_up"), parts.pop("expert_down"), strict=True))
            experts = Experts(
                len(both),
                lambda expert: (self._opened(both[expert][0]), self._opened(both[expert][1])),
                self.config.family.mlp,
            )
        opened: dict[str, Any] = {part: self._opened(weight) for part, weight in parts.items()}
        return Layer(**opened, experts=experts)

    def forward(self, batch: Batch, attention: Attention) -> Tensor:
        """Hidden rows [num_logit_rows, hidden] after the last layer, before the final norm. Writes
        K and V into attention's cache. Rows that nobody asks about end with the last attention.
        """
        config = self.config
        x = self.embedding[batch.token_ids]
        if self._embedding_scale != 1:
            x = x * self._embedding_scale
        if self.positions is not None:
            x = x + self.positions[batch.positions]
        width = config.num_heads * config.head_dim
        mixed = torch.zeros(x.shape[0], width, dtype=self.dtype, device=self.device)
        num_rotated = config.num_heads + config.num_kv_heads
        for i, window in enumerate(config.windows):
            layer = self.layer(i)
            qkv = self.before(layer, x).view(x.shape[0], -1, config.head_dim)
            if self._ropes:  # one, or that of the full layers and that of the layers with a window
                cos, sin = self._ropes[0 if window is None else -1]
                rotate(qkv, cos, sin, batch.positions, num_rotated)
            q, k, v = self._split(qkv)
            attention.attend(
                i,
                q,
                k,
                v,
                batch.attention,
                mixed,
                scale=config.attention_scale,
                window=window,
                softcap=config.attention_softcap,
            )
            if i == config.num_layers - 1:
                mixed, x = mixed[batch.logit_rows], x[batch.logit_rows]
                if not len(x):
                    break
            x = self.after(layer, mixed, x)
        return x

    def before(self, layer: Layer, x: Tensor) -> Tensor:
        """[rows, hidden] → q, k, v side by side, [rows, (num_heads + 2 * num_kv_heads) *
        head_dim].
        """
        h = self._norm(x, layer.attention_norm, layer.attention_norm_bias)
        qkv = linear(h, layer.qkv, layer.qkv_bias)
        if layer.q_norm is None or layer.k_norm is None:
            return qkv
        q, k, v = self._split(qkv)
        parts = (self._norm(q, layer.q_norm), self._norm(k, layer.k_norm), v)
        return torch.cat([part.flatten(1) for part in parts], dim=1)

    def after(self, layer: Layer, mixed: Tensor, residual: Tensor) -> Tensor:
        """Attention result [rows, num_heads * head_dim] and residual [rows, hidden] → [rows,
        hidden].
        """
        if layer.post_attention_norm is None:
            x = linear(mixed, layer.output, layer.output_bias, residual)
        else:
            h = linear(mixed, layer.output, layer.output_bias)
            x = residual + self._norm(h, layer.post_attention_norm)
        h = self._mlp(layer, self._norm(x, layer.mlp_norm, layer.mlp_norm_bias))
        if layer.post_mlp_norm is not None:
            h = self._norm(h, layer.post_mlp_norm)
        return x + h

    def logits(self, hidden: Tensor) -> Tensor:
        """[rows, hidden] → [rows, vocab_size] in float32."""
        hidden = self._norm(hidden, self.final_norm, self.final_norm_bias)
        logits = linear(hidden, self.head).float()
        cap = self.config.logit_softcap
        return logits if cap is None else soft_cap(logits, cap)

    def _norm(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        eps = self.config.rms_norm_eps
        if bias is None:
            return rms_norm(x, weight, eps)
        return F.layer_norm(x, weight.shape, weight, bias, eps)

    def _mlp(self, layer: Layer, x: Tensor) -> Tensor:
        config = self.config
        if layer.experts is not None and layer.router is not None:
            num, normalise = config.experts_per_token, config.normalise_experts
            return mixture(x, layer.router, layer.experts, num, normalise)
        assert layer.gate_up is not None
        assert layer.down is not None
        biases = (layer.gate_up_bias, layer.down_bias)
        return feed_forward(x, layer.gate_up, layer.down, *biases, config.family.mlp)

    def _split(self, qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        heads, kv_heads = self.config.num_heads, self.config.num_kv_heads
        by_head = qkv.view(-1, heads + 2 * kv_heads, self.config.head_dim)
        q, k, v = torch.split(by_head, [heads, kv_heads, kv_heads], dim=1)
        return q, k, v
