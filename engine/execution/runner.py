"""From chunks of requests to tensors, through the model, and back to plain numbers. The only place
that does this.

Owns the KV cache, the tile plans and the step's batch; knows nothing of queues or text. Logits are
made only for the rows that need them, at most one tile of rows at a time, so a whole [tokens,
vocabulary] matrix never exists.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.attention.plan import Span
from engine.attention.protocol import Attention
from engine.attention.torch_attention import TorchAttention
from engine.cache.kv_cache import BLOCK_SIZE
from engine.execution.decode_graphs import DecodeGraphs, cuda_recorder
from engine.execution.readout import ChunkResult, RowResult, not_finite, read_logits
from engine.execution.rows import RowTiles
from engine.kernels import cpu, gpu
from engine.models.batch import Batch
from engine.models.llama import LlamaModel
from engine.requests.chunk import Chunk

__all__ = ["Runner", "bytes_per_block"]

LAYER_SIZES = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
EXPERT_SIZES = (8, 16, 32, 64, 128)
HEAD_SIZES = (8, 16, 32, 64, 128)
CUDA_HEAD_ROWS = 256  # of the vocabulary's width in float32, at a time


def bytes_per_block(model: LlamaModel) -> int:
    config = model.config
    per_token = 2 * config.num_layers * config.num_kv_heads * config.head_dim * model.dtype.itemsize
    return per_token * BLOCK_SIZE


def _attention(model: LlamaModel, num_blocks: int, exact: bool) -> Attention:
    config = model.config
    sizes = (config.num_layers, num_blocks, config.num_heads, config.num_kv_heads, config.head_dim)
    if cpu.can_run(model.device, model.dtype):
        return cpu.NativeAttention(*sizes, model.dtype)
    if gpu.can_run(model.device, model.dtype):
        return gpu.TritonAttention(*sizes, model.dtype, model.device)
    return TorchAttention(*sizes, model.dtype, model.device, exact)


class Runner:
    def __init__(self, model: LlamaModel, num_blocks: int, exact: bool) -> None:
        config = model.config
        self.model = model
        self.attention = _attention(model, num_blocks, exact)
        #: experts are chosen row by row on the host, which cannot be recorded
        self.graphs: DecodeGraphs | None = None
        if isinstance(self.attention, gpu.TritonAttention) and not config.num_experts:
            self.graphs = DecodeGraphs(model, self.attention, cuda_recorder())
        experts = model.layer(0).experts
        if experts is not None:
            model.expert_tiles = RowTiles(
                EXPERT_SIZES,
                lambda rows: experts.run(0, rows),
                lambda n: self._random_rows(n, config.hidden_size),
                exact,
            ).plan
        exact = exact and not model.is_row_exact
        width = config.num_heads * config.head_dim
        self.layer_tiles = RowTiles(
            LAYER_SIZES,
            self._one_layer,
            lambda n: self._random_rows(n, config.hidden_size + width),
            exact,
        )
        self.head_tiles = RowTiles(
            HEAD_SIZES, model.logits, lambda n: self._random_rows(n, config.hidden_size), exact
        )

    @property
    def kernels(self) -> str:
        """Whose kernels run, in words."""
        if isinstance(self.attention, cpu.NativeAttention):
            return "our own, in C++" if self.model.is_row_exact else "our own, in C++, and oneDNN's"
        if isinstance(self.attention, gpu.TritonAttention):
            graphs = "with CUDA graphs" if self.graphs else "without CUDA graphs"
            return f"our own, in Triton, {graphs}"
        reason = (cpu if self.model.device.type == "cpu" else gpu).why_not()
        return f"torch's: {reason or f'there are none for {self.model.dtype}'}"

    @torch.inference_mode()
    def run(self, chunks: Sequence[Chunk]) -> list[ChunkResult]:
        """Run the chunks as one batch; a result for each, in order. Writes their K and V into the
        cache.
        """
        self._copy_blocks(chunks)
        positions = [chunk.request.logit_positions(chunk.start, chunk.end) for chunk in chunks]
        owners = [
            (chunk.request, position)
            for chunk, wanted in zip(chunks, positions, strict=True)
            for position in wanted
        ]
        rows: list[RowResult] = []
        for logits in self._logits(chunks, positions):
            rows += read_logits(logits, owners[len(rows) : len(rows) + logits.shape[0]])
        return self._by_chunk(positions, rows)

    def can_run_ahead(self, chunks: Sequence[Chunk]) -> bool:
        """Whether the device can draw the next tokens of all these without being asked."""
        return self.graphs is not None and all(
            chunk.num_tokens == 1 and chunk.request.is_left_alone for chunk in chunks
        )

    @torch.inference_mode()
    def run_ahead(self, chunks: Sequence[Chunk], num_steps: int) -> list[ChunkResult]:
        """Run num_steps steps, each with the tokens of the one before: a row for each."""
        assert self.graphs is not None
        self._copy_blocks(chunks)
        tokens, log_sums = self.graphs.run_ahead(chunks, num_steps)
        results = []
        for i, chunk in enumerate(chunks):
            error = next(
                (not_finite(chunk.start + step) for step in range(num_steps)
                 if not math.isfinite(log_sums[step][i])), None,
            )  # fmt: skip
            rows = () if error else tuple(RowResult((ids[i],), (), ids[i]) for ids in tokens)
            results.append(ChunkResult(rows, error))
        return results

    def scrub(self, blocks: Sequence[int]) -> None:
        self.attention.scrub(blocks)

    def _logits(
        self, chunks: Sequence[Chunk], logit_positions: Sequence[range]
    ) -> Iterator[Tensor]:
        """Rows of logits in order, a tile at a time."""
        if self.graphs is not None and self.graphs.takes(chunks, logit_positions):
            yield self.graphs.logits(chunks)
            return
        hidden = self.model.forward(self._batch(chunks, logit_positions), self.attention)
        num_rows = sum(len(wanted) for wanted in logit_positions)
        for part, tile in self._head_tiles(hidden[:num_rows]):
            yield self.model.logits(part)[:tile]

    def _batch(self, chunks: Sequence[Chunk], logit_positions: Sequence[range]) -> Batch:
        spans: list[Span] = []
        token_ids: list[int] = []
        positions: list[range] = []
        logit_rows: list[range] = []
        for chunk, wanted in zip(chunks, logit_positions, strict=True):
            row = len(token_ids)
            spans.append(Span(row, chunk.start, chunk.num_tokens, chunk.request.block_table))
            token_ids += chunk.request.token_ids[chunk.start : chunk.end]
            positions.append(range(chunk.start, chunk.end))
            logit_rows.append(
                range(row + wanted.start - chunk.start, row + wanted.stop - chunk.start)
            )
        num_tokens, num_logit_rows = len(token_ids), sum(map(len, logit_rows))
        tiles = self.layer_tiles.plan(num_tokens)
        logit_tiles = self.layer_tiles.plan(num_logit_rows) if num_logit_rows else ()
        return Batch(
            token_ids=self._padded(token_ids, sum(tiles)),
            positions=self._padded(_joined(positions), sum(tiles)),
            num_tokens=num_tokens,
            tiles=tiles,
            attention=self.attention.plan(spans),
            logit_rows=self._padded(_joined(logit_rows), sum(logit_tiles)),
            logit_tiles=logit_tiles,
        )

    def _padded(self, numbers: list[int] | NDArray[np.int64], size: int) -> Tensor:
        """On the device, filled up with zeros."""
        padded = np.zeros(size, dtype=np.int64)
        padded[: len(numbers)] = numbers
        return torch.from_numpy(padded).to(self.model.device)

    def _head_tiles(self, hidden: Tensor) -> list[tuple[Tensor, int]]:
        """Hidden rows cut into tiles of a trusted size, the last one filled up with zeros; and how
        many are real.
        """
        limit = HEAD_SIZES[-1] if self.model.device.type == "cpu" else CUDA_HEAD_ROWS
        parts: list[tuple[Tensor, int]] = []
        for piece in torch.split(hidden, limit) if hidden.shape[0] else ():
            first = 0
            for size in self.head_tiles.plan(piece.shape[0]):
                part = piece[first : first + size]
                missing = size - part.shape[0]
                parts.append((torch.nn.functional.pad(part, (0, 0, 0, missing)), part.shape[0]))
                first += size
        return parts

    def _copy_blocks(self, chunks: Sequence[Chunk]) -> None:
        """Before anything is written: the blocks that begin as a copy of another's."""
        copies = [
            (chunk.copy_of, chunk.request.block_table[chunk.start // BLOCK_SIZE], chunk.start)
            for chunk in chunks
            if chunk.copy_of is not None
        ]
        if copies:
            sources, targets, starts = zip(*copies, strict=True)
            self.attention.copy_blocks(sources, targets, [start % BLOCK_SIZE for start in starts])

    @staticmethod
    def _by_chunk(positions: Sequence[range], rows: Sequence[RowResult]) -> list[ChunkResult]:
        results = []
        first = 0
        for wanted in positions:
            mine = tuple(rows[first : first + len(wanted)])
            first += len(wanted)
            errors = [row.error for row in mine if row.error is not None]
            results.append(ChunkResult((), errors[0]) if errors else ChunkResult(mine))
        return results

    def _one_layer(self, rows: Tensor) -> Tensor:
        """Both row-wise halves of the first layer on rows that hold a residual and an attention
        result side by side.
        """
        hidden_size = self.model.config.hidden_size
        residual, mixed = rows[:, :hidden_size], rows[:, hidden_size:]
        layer = self.model.layer(0)
        x = self.model.after(layer, mixed.contiguous(), residual.contiguous())
        return torch.cat((x, self.model.before(layer, x)), dim=1)

    def _random_rows(self, num_rows: int, width: int) -> Tensor:
        return _random(max(LAYER_SIZES), width)[:num_rows].to(self.model.device, self.model.dtype)


def _joined(ranges: Sequence[range]) -> NDArray[np.int64]:
    return np.concatenate([np.arange(r.start, r.stop, dtype=np.int64) for r in ranges])


@functools.lru_cache(maxsize=4)
def _random(num_rows: int, width: int) -> Tensor:
    return torch.randn(num_rows, width, generator=torch.Generator().manual_seed(0))
