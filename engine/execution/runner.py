"""From chunks of requests to tensors, through the model, and back to plain numbers. The only place
that does this.

Owns the KV cache and the step's batch; knows nothing of queues or text. Logits are made only for
the rows that need them, some rows at a time, so a whole [tokens, vocabulary] matrix never exists.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from engine.attention.plan import Attention, Span
from engine.attention.torch_attention import TorchAttention
from engine.cache.kv_cache import BLOCK_SIZE
from engine.execution.decode_graphs import DecodeGraphs, cuda_recorder
from engine.execution.readout import RowResult, not_finite, read_logits
from engine.kernels import cpu, gpu
from engine.models.batch import Batch
from engine.models.llama import LlamaModel
from engine.requests.request import Chunk

__all__ = ["Runner", "bytes_per_block"]

#: rows of logits at a time, of the vocabulary's width in float32
LOGIT_ROWS = {"cpu": 128, "cuda": 256}


def bytes_per_block(model: LlamaModel) -> int:
    config = model.config
    per_token = 2 * config.num_layers * config.num_kv_heads * config.head_dim * model.dtype.itemsize
    return per_token * BLOCK_SIZE


class Runner:
    def __init__(self, model: LlamaModel, num_blocks: int) -> None:
        self.model = model
        c, device, dtype = model.config, model.device, model.dtype
        sizes = (c.num_layers, num_blocks, c.num_heads, c.num_kv_heads, c.head_dim)
        self.attention: Attention
        if cpu.can_run(device, dtype):
            self.attention = cpu.NativeAttention(*sizes, dtype)
        elif gpu.can_run(device, dtype):
            self.attention = gpu.TritonAttention(*sizes, dtype, device)
        else:
            self.attention = TorchAttention(*sizes, dtype, device)
        #: experts are chosen row by row on the host, which cannot be recorded
        self.graphs: DecodeGraphs | None = None
        if isinstance(self.attention, gpu.TritonAttention) and not model.config.num_experts:
            self.graphs = DecodeGraphs(model, self.attention, cuda_recorder())

    @property
    def kernels(self) -> str:
        """Whose kernels run, in words."""
        if isinstance(self.attention, cpu.NativeAttention):
            return "our own, in C++" + (", and oneDNN's" if self.model.uses_onednn else "")
        if isinstance(self.attention, gpu.TritonAttention):
            graphs = "with CUDA graphs" if self.graphs else "without CUDA graphs"
            return f"our own, in Triton, {graphs}"
        reason = (cpu if self.model.device.type == "cpu" else gpu).why_not()
        return f"torch's: {reason or f'there are none for {self.model.dtype}'}"

    @torch.inference_mode()
    def run(self, chunks: Sequence[Chunk]) -> list[list[RowResult]]:
        """Run the chunks as one batch; for each, in order, a result for each of its logit
        positions. Writes their K and V into the cache.
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
        results = iter(rows)
        return [[next(results) for _ in wanted] for wanted in positions]

    def can_run_ahead(self, chunks: Sequence[Chunk]) -> bool:
        """Whether the device can draw the next tokens of all these without being asked."""
        return self.graphs is not None and all(
            chunk.num_tokens == 1 and chunk.request.is_left_alone for chunk in chunks
        )

    @torch.inference_mode()
    def run_ahead(self, chunks: Sequence[Chunk], num_steps: int) -> list[list[RowResult]]:
        """Run num_steps steps, each with the tokens of the one before: a row for each."""
        assert self.graphs is not None
        self._copy_blocks(chunks)
        tokens, log_sums = self.graphs.run_ahead(chunks, num_steps)
        results: list[list[RowResult]] = [[] for _ in chunks]
        for step in range(num_steps):
            for chunk, rows, token, log_sum in zip(
                chunks, results, tokens[step], log_sums[step], strict=True
            ):
                error = None if math.isfinite(log_sum) else not_finite(chunk.start + step)
                rows.append(RowResult((token,), (), token, error=error))
        return results

    def _logits(
        self, chunks: Sequence[Chunk], logit_positions: Sequence[range]
    ) -> Iterator[Tensor]:
        """Rows of logits in order, some at a time."""
        if self.graphs is not None and self.graphs.takes(chunks, logit_positions):
            yield self.graphs.logits(chunks)
            return
        hidden = self.model.forward(self._batch(chunks, logit_positions), self.attention)
        if len(hidden):
            for part in torch.split(hidden, LOGIT_ROWS[self.model.device.type]):
                yield self.model.logits(part)

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
        device = self.model.device
        return Batch(
            token_ids=torch.tensor(token_ids, device=device),
            positions=_joined(positions).to(device),
            attention=self.attention.plan(spans),
            logit_rows=_joined(logit_rows).to(device),
        )

    def _copy_blocks(self, chunks: Sequence[Chunk]) -> None:
        """Before anything is written: the blocks that begin as a copy of another's."""
        copies = [
            (chunk.copy_of, chunk.request.block_table[chunk.start // BLOCK_SIZE], chunk.start)
            for chunk in chunks
            if chunk.copy_of is not None
        ]
        if copies:
            sources, targets, starts = zip(*copies, strict=True)
            self.attention.cache.copy_blocks(
                sources, targets, [start % BLOCK_SIZE for start in starts]
            )


def _joined(ranges: Sequence[range]) -> Tensor:
    return torch.from_numpy(np.concatenate([np.arange(r.start, r.stop) for r in ranges]))
