"""Mixture of experts: every row goes to its own few experts, and its result does not depend on who
else goes there.

A row's results are added in the order of its own routing. Knows nothing of layers. Sources: Mixtral
(2024), Qwen3 (2025).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.models.layers import Matrix, feed_forward, linear

__all__ = ["Experts", "mixture"]


@dataclass(frozen=True, slots=True)
class Experts:
    """One layer's experts. matrices: gate_up and down of an expert, when it is needed."""

    num_experts: int
    matrices: Callable[[int], tuple[Matrix, Matrix]]
    kind: str


def mixture(
    x: Tensor, router: Matrix, experts: Experts, experts_per_token: int, normalise: bool
) -> Tensor:
    """Weighted sum of each row's experts, [rows, hidden]; router [num_experts, hidden]."""
    shares = torch.softmax(linear(x, router).float(), dim=-1)
    shares, chosen = torch.topk(shares, experts_per_token, dim=-1)
    if normalise:
        shares = shares / shares.sum(-1, keepdim=True)
    # A place is a (row, expert) pair; here they are in the order of the experts.
    places = chosen.flatten().argsort(stable=True)
    counts = torch.bincount(chosen.flatten(), minlength=experts.num_experts).tolist()
    results = torch.empty(len(places), x.shape[1], dtype=x.dtype, device=x.device)
    for expert, mine in enumerate(torch.split(places, counts)):
        if len(mine):
            rows = x[mine // experts_per_token]
            results[mine] = feed_forward(rows, *experts.matrices(expert), None, None, experts.kind)
    weighted = results.view(*shares.shape, -1) * shares[:, :, None]
    total = weighted[:, 0]
    for place in range(1, experts_per_token):
        total = total + weighted[:, place]
    return total.to(x.dtype)
