"""What this machine could do at best with this model: its own matrix rate and memory bandwidth,
measured, and the tokens a second that follow from them.

Knows a model's shapes, never its weights. Each number is the best of several tries, on weights that
do not stay in the processor's caches; the matrix rate is that of torch's product or of our own
kernel, whichever is faster here.
Source: Williams, Waterman, Patterson, "Roofline" (2009).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.kernels import cpu
from engine.models.config import ModelConfig
from engine.models.weights import layer_parts

__all__ = ["Roofline", "measure"]

MIN_CYCLE_BYTES = 256 << 20  # of weights between two uses of the same ones
NUM_TRIES = 5
MIN_TRY_S = 0.02


@dataclass(frozen=True, slots=True)
class Roofline:
    """layer_flops_per_s, head_flops_per_s: {rows: rate} of the matrices of a layer, and of the
    output head, each on that many rows at once.
    """

    device: str
    dtype: str
    num_threads: int
    layer_flops_per_s: Mapping[int, float]
    head_flops_per_s: Mapping[int, float]
    bandwidth_bytes_per_s: float
    layers_flops_per_token: int
    head_flops_per_token: int
    attention_flops_per_pair: int
    kv_bytes_per_token: int

    @property
    def matmul_flops_per_s(self) -> dict[int, float]:
        """Of the whole model on so many rows, logits for each row included."""
        flops = self.layers_flops_per_token + self.head_flops_per_token
        return {rows: flops / self._matrix_s(rows, rows) * rows for rows in self.layer_flops_per_s}

    def decode_tokens_per_s(self, batch: int, context_tokens: float) -> float:
        """One token for each of `batch` sequences a step. Matrices first, then K and V are read at
        full bandwidth: attention cannot begin before its queries are there, so the times add up.
        """
        kv_s = batch * context_tokens * self.kv_bytes_per_token / self.bandwidth_bytes_per_s
        return batch / (self._matrix_s(batch, batch) + kv_s)

    def prefill_tokens_per_s(self, prompt_tokens: int, num_logits: int = 1) -> float:
        """Prompts of this length in steps of the largest measured number of rows; attention at the
        same rate, and num_logits rows of logits a prompt.
        """
        rows = max(self.layer_flops_per_s)
        pairs = prompt_tokens * (prompt_tokens + 1) / 2
        attention_s = pairs * self.attention_flops_per_pair / self.layer_flops_per_s[rows]
        num_steps = prompt_tokens / rows
        matrix_s = num_steps * self._matrix_s(rows, 0)
        head_s = num_logits * self.head_flops_per_token / self.head_flops_per_s[rows]
        return prompt_tokens / (matrix_s + attention_s + head_s)

    def _matrix_s(self, rows: int, logit_rows: int) -> float:
        layers_s = rows * self.layers_flops_per_token / _at(self.layer_flops_per_s, rows)
        if not logit_rows:
            return layers_s
        rate = _at(self.head_flops_per_s, logit_rows)
        return layers_s + logit_rows * self.head_flops_per_token / rate


def measure(
    config: ModelConfig,
    dtype: torch.dtype,
    batch_sizes: Sequence[int],
    device: torch.device | str = "cpu",
) -> Roofline:
    """Takes about a second a batch size on a small CPU. Allocates about 1 GiB."""
    device = torch.device(device)
    layer = [
        entry.shape
        for entries in layer_parts(config, 0).values()
        for entry in entries
        if len(entry.shape) == 2
    ]
    head = [(config.vocab_size, config.hidden_size)]
    sizes = sorted(set(batch_sizes))
    width = config.num_heads * config.head_dim
    return Roofline(
        device=str(device),
        dtype=str(dtype).removeprefix("torch."),
        num_threads=torch.get_num_threads(),
        layer_flops_per_s=_matrix_rates(layer, sizes, dtype, device),
        head_flops_per_s=_matrix_rates(head, sizes, dtype, device),
        bandwidth_bytes_per_s=_bandwidth(device),
        layers_flops_per_token=config.num_layers * 2 * sum(a * b for a, b in layer),
        head_flops_per_token=2 * config.vocab_size * config.hidden_size,
        attention_flops_per_pair=config.num_layers * 4 * width,
        kv_bytes_per_token=(
            2 * config.num_layers * config.num_kv_heads * config.head_dim * dtype.itemsize
        ),
    )


def _at(rates: Mapping[int, float], rows: int) -> float:
    """The rate of the largest measured size that is not above rows, or of the smallest."""
    return rates[max((size for size in rates if size <= rows), default=min(rates))]


@torch.inference_mode()
def _matrix_rates(
    shapes: Sequence[tuple[int, ...]],
    sizes: Sequence[int],
    dtype: torch.dtype,
    device: torch.device,
) -> dict[int, float]:
    bytes_each = sum(rows * columns for rows, columns in shapes) * dtype.itemsize
    sets = [
        [torch.rand(shape, device=device).sub_(0.5).to(dtype) for shape in shapes]
        for _ in range(-(-MIN_CYCLE_BYTES // bytes_each))
    ]
    packed_sets = [
        [cpu.pack(matrix) for matrix in matrices]
        for matrices in (sets if cpu.can_pack(device, dtype) else ())
    ]
    rates = {}
    for size in sizes:
        inputs = {n: torch.rand(size, n, device=device).to(dtype) for _, n in shapes}

        def plain(inputs: Mapping[int, Tensor] = inputs) -> None:
            for matrices in sets:
                for matrix in matrices:
                    torch.nn.functional.linear(inputs[matrix.shape[1]], matrix)

        def own(inputs: Mapping[int, Tensor] = inputs) -> None:
            for packed in packed_sets:
                for matrix in packed:
                    cpu.linear(inputs[matrix.num_in], matrix)

        flops = len(sets) * 2 * size * sum(rows * columns for rows, columns in shapes)
        seconds = [_best_s(run, device) for run in ((plain, own) if packed_sets else (plain,))]
        rates[size] = flops / min(seconds)
    return rates


@torch.inference_mode()
def _bandwidth(device: torch.device) -> float:
    """Bytes a second, read by a sum or moved by a copy, whichever is faster."""
    source = torch.ones(MIN_CYCLE_BYTES // 4, device=device)
    target = torch.empty_like(source)
    read_s = _best_s(source.sum, device)
    copy_s = _best_s(lambda: target.copy_(source), device)
    return max(MIN_CYCLE_BYTES / read_s, 2 * MIN_CYCLE_BYTES / copy_s)


def _best_s(run: Callable[[], object], device: torch.device) -> float:
    """Seconds of one call: the best of several tries, each long enough for the clock."""

    run = _recorded(run) if device.type == "cuda" else run

    def once(repeat: int) -> float:
        _wait(device)
        started = time.perf_counter()
        for _ in range(repeat):
            run()
        _wait(device)
        return (time.perf_counter() - started) / repeat

    once(1)
    repeat = max(1, round(MIN_TRY_S / once(1)))
    return min(once(repeat) for _ in range(NUM_TRIES))


def _recorded(run: Callable[[], object]) -> Callable[[], object]:
    """As a CUDA graph: launching small products one by one takes longer than they do."""
    run()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
