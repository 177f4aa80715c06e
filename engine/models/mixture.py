"""Mixture of experts: every row goes to its own few experts, and its result does not depend on who
else goes there.

An expert's rows run in tiles of trusted sizes (rows.py), filled up with zeros; a row's results are
added in the order of its own routing. Knows nothing of layers. Sources: Mixtral (2024), Qwen3
(2025).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.models.layers import Matrix, feed_forward, linear
from engine.models.quantised import Quantised, dense

__all__ = ["Experts", "TilePlan", "mixture"]

TilePlan = Callable[[int], tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Experts:
    """One layer's experts, one after another: gate_up [num_experts * 2 * intermediate, hidden],
    down [num_experts * hidden, intermediate].
    """

    num_experts: int
    gate_up: Tensor | Quantised
    down: Tensor | Quantised
    kind: str

    def run(self, expert: int, x: Tensor) -> Tensor:
        """One expert's MLP on rows [n, hidden]."""
        parts = []
        for weight in (self.gate_up, self.down):
            size = weight.shape[0] // self.num_experts
            parts.append(dense(weight, x.dtype, slice(expert * size, (expert + 1) * size)))
        return feed_forward(x, parts[0], parts[1], None, None, self.kind)


def mixture(
    x: Tensor,
    router: Matrix,
    experts: Experts,
    experts_per_token: int,
    normalise: bool,
    plan: TilePlan,
) -> Tensor:
    """Weighted sum of each row's experts, [rows, hidden]; router [num_experts, hidden].

    plan: number of rows → tile sizes that hold them (RowTiles.plan).
    """
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
            sizes = plan(len(mine))
            rows = F.pad(x[mine // experts_per_token], (0, 0, 0, sum(sizes) - len(mine)))
            parts = [experts.run(expert, tile) for tile in torch.split(rows, list(sizes))]
            results[mine] = torch.cat(parts)[: len(mine)]
    weighted = results.view(*shares.shape, -1) * shares[:, :, None]
    total = weighted[:, 0]
    for place in range(1, experts_per_token):
        total = total + weighted[:, place]
    return total.to(x.dtype)
