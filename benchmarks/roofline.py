"""What this machine could do at best with this model: the matrix rate for the model's own shapes at
the numbers of rows that occur, and the bandwidth of memory; from these, the shortest time that a
piece of work can take.

A bound, not a model of the engine: rates are the best of several tries, every step is the slower of
computing and reading (never the sum), attention counts as if it ran at the matrix rate, and a
prompt's tokens run at the rate of the largest batch. Source: Williams et al. 2009.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from torch.nn.functional import linear

from engine.kernels import cpu as native

__all__ = ["ROWS", "Roofline", "Shape", "measure"]

ROWS = (1, 4, 8, 16, 32, 64, 128, 256, 512)
TRIES = 5
STREAM_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a Llama-like model."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int

    @property
    def layer_weights(self) -> list[tuple[int, int]]:
        """(rows, columns) of a layer's matrices."""
        q, kv = self.heads * self.head_dim, self.kv_heads * self.head_dim
        up, down = (self.intermediate, self.hidden), (self.hidden, self.intermediate)
        return [(q + 2 * kv, self.hidden), (self.hidden, q), up, up, down]

    @property
    def layer_parameters(self) -> int:
        return self.layers * sum(n * k for n, k in self.layer_weights)

    @property
    def head_parameters(self) -> int:
        return self.vocab * self.hidden

    def attention_flops(self, num_keys: float) -> float:
        """Of one token that looks at so many keys, in all layers."""
        return 4.0 * self.layers * self.heads * self.head_dim * num_keys

    def kv_bytes(self, num_tokens: float, itemsize: int) -> float:
        return 2.0 * self.layers * self.kv_heads * self.head_dim * num_tokens * itemsize


@dataclass(frozen=True, slots=True)
class Roofline:
    """flops_per_s: by number of rows. bytes_per_s: reading."""

    shape: Shape
    itemsize: int
    flops_per_s: dict[int, float]
    bytes_per_s: float

    def rate(self, rows: float) -> float:
        """Between two measured numbers of rows, on a straight line."""
        known = sorted(self.flops_per_s)
        rows = min(max(rows, known[0]), known[-1])
        high = next(n for n in known if n >= rows)
        low = max((n for n in known if n <= rows), default=high)
        part = 0.0 if high == low else (rows - low) / (high - low)
        return (1 - part) * self.flops_per_s[low] + part * self.flops_per_s[high]

    def prefill_s(self, lengths: Sequence[int], num_logits: int) -> float:
        """Run whole prompts, in the largest batches; logits for some of their tokens."""
        flops = 2.0 * self.shape.layer_parameters * sum(lengths)
        flops += sum(n * self.shape.attention_flops((n + 1) / 2) for n in lengths)
        flops += 2.0 * self.shape.head_parameters * num_logits
        return flops / self.rate(max(self.flops_per_s))

    def decode_s(self, lengths: Sequence[int], counts: Sequence[int]) -> float:
        """Write counts[i] tokens after a prompt of lengths[i], everyone at once. The first token
        comes with the prompt.
        """
        shape, total = self.shape, 0.0
        for step in range(1, max(counts)):
            keys = [n + step for n, count in zip(lengths, counts, strict=True) if count > step]
            parameters = shape.layer_parameters + shape.head_parameters
            flops = 2.0 * parameters * len(keys) + shape.attention_flops(sum(keys))
            read = parameters * self.itemsize + shape.kv_bytes(sum(keys), self.itemsize)
            total += max(flops / self.rate(len(keys)), read / self.bytes_per_s)
        return total

    def generate_s(self, work: Sequence[tuple[list[int], int]]) -> float:
        lengths, counts = [len(p) for p, _ in work], [n for _, n in work]
        return self.prefill_s(lengths, len(work)) + self.decode_s(lengths, counts)

    def score_s(self, work: Sequence[tuple[list[int], list[int]]], shared: bool) -> float:
        """shared: a context is run once for all of its continuations that stand together."""
        total = 0.0
        for context, group in itertools.groupby(work, key=lambda pair: pair[0]):
            ends = [len(tokens) - 1 for _, tokens in group]  # the last token is not run
            logits = sum(ends) + (1 if shared else len(ends))
            if not shared:
                total += self.prefill_s([len(context) + n for n in ends], logits)
                continue
            total += self.prefill_s([len(context)], logits)
            tokens = 2.0 * self.shape.layer_parameters * sum(ends)
            keys = sum(n * (len(context) + (n + 1) / 2) for n in ends)
            total += (tokens + self.shape.attention_flops(keys)) / self.rate(512)
        return total


def measure(shape: Shape, dtype: torch.dtype, rows: Sequence[int] = ROWS) -> Roofline:
    """Cold weights: a layer is made several times over, so that no cache holds its matrices. The
    faster of torch's product and of the engine's own kernel counts.
    """
    copies = 6
    layers = [[torch.randn(n, k).to(dtype) for n, k in shape.layer_weights] for _ in range(copies)]
    head = torch.randn(shape.vocab, shape.hidden).to(dtype)
    if native.can_pack(torch.device("cpu"), dtype):
        packed = [[native.pack(matrix) for matrix in layer] for layer in layers]
        packed_head = native.pack(head)
    per_layer = sum(n * k for n, k in shape.layer_weights)
    rates = {}
    for num_rows in rows:
        inputs = {k: torch.randn(num_rows, k).to(dtype) for _, k in shape.layer_weights}
        x = inputs[shape.hidden]
        layer_s = _best(lambda i, x=inputs: [linear(x[w.shape[1]], w) for w in layers[i % copies]])
        head_s = _best(lambda _, x=x: linear(x[:128], head))
        if native.can_pack(torch.device("cpu"), dtype):
            run = lambda i, x=inputs: [native.linear(x[w.num_in], w) for w in packed[i % copies]]  # noqa: E731
            layer_s = min(layer_s, _best(run))
            head_s = min(head_s, _best(lambda _, x=x: native.linear(x[:128], packed_head)))
        seconds = shape.layers * layer_s + head_s * max(1, num_rows / 128)
        parameters = shape.layers * per_layer + shape.head_parameters
        rates[num_rows] = 2.0 * num_rows * parameters / seconds
    stream = torch.ones(STREAM_BYTES // 4, dtype=torch.float32)
    bandwidth = STREAM_BYTES / _best(lambda _: stream.sum())
    return Roofline(shape, dtype.itemsize, rates, bandwidth)


@torch.inference_mode()
def _best(run, tries: int = TRIES) -> float:
    run(0)
    seconds = []
    for i in range(1, tries + 1):
        started = time.perf_counter()
        run(i)
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def main() -> None:
    """One line of JSON in (threads, dtype, shape), one out: so that it runs in a process alone."""
    settings = json.loads(sys.stdin.readline())
    torch.set_num_threads(settings["threads"])
    found = measure(Shape(**settings["shape"]), getattr(torch, settings["dtype"]))
    print(json.dumps(asdict(found)))


if __name__ == "__main__":
    main()
