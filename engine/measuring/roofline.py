"""What this machine could do at best with this model: the matrix rate for the model's own shapes at
the numbers of rows that occur, and the bandwidth of memory; from these, the shortest time that a
piece of work can take.

A bound, not a model of the engine: every step is the slower of computing and reading (never the
sum), attention counts as if it ran at the matrix rate, and a prompt's tokens run at the rate of the
largest batch. Weights do not stay in the processor's caches; the matrix rate is that of torch's
product or of our own kernel, whichever is faster. A machine that is shared reads 47.5 GB/s now and
80.0 two minutes later, so one reading is never enough: `best` takes the highest of several, made
before and after the work. Source: Williams, Waterman, Patterson, "Roofline" (2009).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.kernels import cpu
from engine.models.config import ModelConfig
from engine.models.weights import layer_parts

__all__ = ["Roofline", "Shape", "best", "measure"]

MIN_CYCLE_BYTES = 256 << 20  # of weights between two uses of the same ones
NUM_TRIES = 5
MIN_TRY_S = 0.02

Sizes = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """What a model is to a processor. matrices: [out, in] of those of one layer."""

    matrices: Sizes
    layers: int
    vocab: int
    hidden: int
    query_width: int
    kv_width: int

    @classmethod
    def of(cls, config: ModelConfig) -> Shape:
        entries = [entry for part in layer_parts(config, 0).values() for entry in part]
        return cls(
            tuple((e.shape[0], e.shape[1]) for e in entries if len(e.shape) == 2),
            config.num_layers,
            config.vocab_size,
            config.hidden_size,
            config.num_heads * config.head_dim,
            config.num_kv_heads * config.head_dim,
        )

    @property
    def layer_parameters(self) -> int:
        return self.layers * sum(n * k for n, k in self.matrices)

    @property
    def head_parameters(self) -> int:
        return self.vocab * self.hidden

    def attention_flops(self, num_keys: float) -> float:
        """Of one token that looks at so many keys, in all layers."""
        return 4.0 * self.layers * self.query_width * num_keys

    def kv_bytes(self, num_tokens: float, itemsize: int) -> float:
        return 2.0 * self.layers * self.kv_width * num_tokens * itemsize


@dataclass(frozen=True, slots=True)
class Roofline:
    """layer_flops_per_s, head_flops_per_s: {rows: rate} of the matrices of a layer, and of the
    output head, each on that many rows at once.
    """

    shape: Shape
    itemsize: int
    layer_flops_per_s: Mapping[int, float]
    head_flops_per_s: Mapping[int, float]
    bytes_per_s: float

    @property
    def matmul_flops_per_s(self) -> dict[int, float]:
        """Of the whole model on so many rows, logits for each row included."""
        flops = 2.0 * (self.shape.layer_parameters + self.shape.head_parameters)
        return {n: n * flops / self._matrices_s(n) for n in sorted(self.layer_flops_per_s)}

    def prefill_s(self, lengths: Sequence[int], num_logits: int) -> float:
        """Run whole prompts, in the largest batches; logits for some of their tokens."""
        pairs = sum(n * self.shape.attention_flops((n + 1) / 2) for n in lengths)
        return self.tokens_s(sum(lengths), pairs, num_logits)

    def tokens_s(self, num_tokens: int, attention_flops: float, num_logits: int) -> float:
        """Run so many tokens in the largest batches."""
        most = max(self.layer_flops_per_s)
        flops = 2.0 * self.shape.layer_parameters * num_tokens + attention_flops
        head = 2.0 * self.shape.head_parameters * num_logits
        return flops / self.layer_flops_per_s[most] + head / self.head_flops_per_s[most]

    def decode_s(self, lengths: Sequence[int], counts: Sequence[int]) -> float:
        """Write counts[i] tokens after a prompt of lengths[i], everyone at once. The first token
        comes with the prompt.
        """
        shape, total = self.shape, 0.0
        parameters = shape.layer_parameters + shape.head_parameters
        for step in range(1, max(counts)):
            keys = [n + step for n, count in zip(lengths, counts, strict=True) if count > step]
            attention = shape.attention_flops(sum(keys)) / _at(self.layer_flops_per_s, len(keys))
            read = parameters * self.itemsize + shape.kv_bytes(sum(keys), self.itemsize)
            computing_s = self._matrices_s(len(keys)) + attention
            total += max(computing_s, read / self.bytes_per_s)
        return total

    def _matrices_s(self, rows: int) -> float:
        """Of the whole model on so many rows, logits for each row included."""
        layers = 2.0 * self.shape.layer_parameters * rows / _at(self.layer_flops_per_s, rows)
        return layers + 2.0 * self.shape.head_parameters * rows / _at(self.head_flops_per_s, rows)


def best(readings: Sequence[Roofline]) -> Roofline:
    """The highest of every number: what the machine has shown that it can do."""

    def highest(rates: Sequence[Mapping[int, float]]) -> dict[int, float]:
        return {rows: max(reading[rows] for reading in rates) for rows in rates[0]}

    return replace(
        readings[0],
        layer_flops_per_s=highest([reading.layer_flops_per_s for reading in readings]),
        head_flops_per_s=highest([reading.head_flops_per_s for reading in readings]),
        bytes_per_s=max(reading.bytes_per_s for reading in readings),
    )


def measure(
    shape: Shape, dtype: torch.dtype, rows: Sequence[int], device: torch.device | str = "cpu"
) -> Roofline:
    """One reading. Takes about a second a number of rows on a small CPU. Allocates about 1 GiB."""
    device = torch.device(device)
    return Roofline(
        shape,
        dtype.itemsize,
        _matrix_rates(shape.matrices, sorted(set(rows)), dtype, device),
        _matrix_rates(((shape.vocab, shape.hidden),), sorted(set(rows)), dtype, device),
        _bandwidth(device),
    )


def _at(rates: Mapping[int, float], rows: int) -> float:
    """Between two measured numbers of rows, on a straight line."""
    known = sorted(rates)
    rows = min(max(rows, known[0]), known[-1])
    high = next(n for n in known if n >= rows)
    low = max(n for n in known if n <= rows)
    part = 0.0 if high == low else (rows - low) / (high - low)
    return (1 - part) * rates[low] + part * rates[high]


@torch.inference_mode()
def _matrix_rates(
    matrices: Sizes, rows: Sequence[int], dtype: torch.dtype, device: torch.device
) -> dict[int, float]:
    num_bytes = sum(n * k for n, k in matrices) * dtype.itemsize
    weights = [
        torch.rand(size, device=device).sub_(0.5).to(dtype)
        for _ in range(-(-MIN_CYCLE_BYTES // num_bytes))
        for size in matrices
    ]
    packed = [cpu.pack(weight.float()) for weight in weights] if cpu.can_run(device, dtype) else []
    rates = {}
    for num_rows in rows:
        inputs = {k: torch.rand(num_rows, k, device=device).to(dtype) for _, k in matrices}

        def plain(inputs: Mapping[int, Tensor] = inputs) -> None:
            for weight in weights:
                F.linear(inputs[weight.shape[1]], weight)

        def own(inputs: Mapping[int, Tensor] = inputs) -> None:
            for matrix in packed:
                cpu.linear(inputs[matrix.num_in], matrix)

        flops = 2 * num_rows * sum(weight.numel() for weight in weights)
        seconds = [_best_s(run, device) for run in ((plain, own) if packed else (plain,))]
        rates[num_rows] = flops / min(seconds)
    return rates


@torch.inference_mode()
def _bandwidth(device: torch.device) -> float:
    """Bytes a second, read by a sum or moved by a copy, whichever is faster."""
    num_bytes = MIN_CYCLE_BYTES * (4 if device.type == "cuda" else 1)
    source = torch.ones(num_bytes // 4, device=device)
    target = torch.empty_like(source)
    read_s = _best_s(source.sum, device)
    copy_s = _best_s(lambda: target.copy_(source), device)
    return max(num_bytes / read_s, 2 * num_bytes / copy_s)


def _best_s(run: Callable[[], object], device: torch.device) -> float:
    """Seconds of one call: the best of several tries, each long enough for the clock."""

    if device.type == "cuda":  # recorded: launching small products takes longer than they do
        run()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            run()
        run = graph.replay

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


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
