"""From chunks of requests to tensors, through the model, and back to plain numbers. The only place
that does this.

Owns the KV cache, the tile plans and the step's batch; knows nothing of queues or text. Logits are
made only for the rows that need them, at most one tile of rows at a time, so a whole [tokens,
vocabulary] matrix never exists.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine import native
from engine.attention import TorchAttention
from engine.attention_plan import Span
from engine.models.layers import read_logits
from engine.models.llama import Attention, Batch, LlamaModel
from engine.request import TopLogprobs
from engine.rows import RowTiles
from engine.sampler import sample
from engine.scheduler import Chunk

__all__ = ["BLOCK_SIZE", "ChunkResult", "Runner", "bytes_per_block"]

BLOCK_SIZE = 32
LAYER_SIZES = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
EXPERT_SIZES = (8, 16, 32, 64, 128)
HEAD_SIZES = (8, 16, 32, 64, 128)


@dataclass(frozen=True, slots=True)
class ChunkResult:
    """For every logit position of a chunk: the chosen (or expected) token, its log-probability,
    whether it was the first choice; and the most probable tokens, if the request wants them.

    error names what went wrong in the numbers of this chunk; then the lists are empty.
    """

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    is_greedy: tuple[bool, ...]
    error: str | None = None
    top_logprobs: tuple[TopLogprobs, ...] = ()


def bytes_per_block(model: LlamaModel) -> int:
    config = model.config
    per_token = 2 * config.num_layers * config.num_kv_heads * config.head_dim * model.dtype.itemsize
    return per_token * BLOCK_SIZE


def _attention(model: LlamaModel, num_blocks: int, exact: bool) -> Attention:
    config = model.config
    sizes = (config.num_layers, num_blocks, config.num_heads, config.num_kv_heads, config.head_dim)
    if native.can_run(model.device, model.dtype):
        return native.NativeAttention(*sizes, model.dtype)
    return TorchAttention(*sizes, model.dtype, model.device, exact)


class Runner:
    def __init__(self, model: LlamaModel, num_blocks: int, exact: bool) -> None:
        config = model.config
        self.model = model
        self.attention = _attention(model, num_blocks, exact)
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

    @torch.inference_mode()
    def run(self, chunks: Sequence[Chunk]) -> list[ChunkResult]:
        """Run the chunks as one batch; a result for each, in order. Writes their K and V into the
        cache.
        """
        positions = [chunk.request.logit_positions(chunk.start, chunk.end) for chunk in chunks]
        hidden = self.model.forward(self._batch(chunks, positions), self.attention)
        owners = [
            (chunk, position)
            for chunk, wanted in zip(chunks, positions, strict=True)
            for position in wanted
        ]
        rows: list[tuple[int, float, bool]] = []
        tops: list[TopLogprobs] = []
        for part, tile in self._head_tiles(hidden):
            logits = self.model.logits(part)[:tile]
            mine = owners[len(rows) : len(rows) + tile]
            rows += self._read_logits(logits, mine)
            tops += _most_probable(logits, [chunk.request.num_top for chunk, _ in mine])
        return self._by_chunk(chunks, positions, rows, tops)

    def scrub(self, blocks: Sequence[int]) -> None:
        self.attention.scrub(blocks)

    def _batch(self, chunks: Sequence[Chunk], logit_positions: Sequence[range]) -> Batch:
        spans: list[Span] = []
        token_ids: list[int] = []
        positions: list[int] = []
        logit_rows: list[int] = []
        for chunk, wanted in zip(chunks, logit_positions, strict=True):
            row = len(token_ids)
            spans.append(Span(row, chunk.start, chunk.num_tokens, chunk.request.block_table))
            token_ids += chunk.request.token_ids[chunk.start : chunk.end]
            positions += range(chunk.start, chunk.end)
            logit_rows += [row + position - chunk.start for position in wanted]
        num_tokens = len(token_ids)
        tiles = self.layer_tiles.plan(num_tokens)
        padding = [0] * (sum(tiles) - num_tokens)
        device = self.model.device
        return Batch(
            token_ids=torch.tensor(token_ids + padding, device=device),
            positions=torch.tensor(positions + padding, device=device),
            num_tokens=num_tokens,
            tiles=tiles,
            attention=self.attention.plan(spans),
            logit_rows=torch.tensor(logit_rows, dtype=torch.int64, device=device),
        )

    def _head_tiles(self, hidden: Tensor) -> list[tuple[Tensor, int]]:
        """Hidden rows cut into tiles of a trusted size, the last one filled up with zeros; and how
        many are real.
        """
        limit = HEAD_SIZES[-1]
        parts: list[tuple[Tensor, int]] = []
        for piece in torch.split(hidden, limit) if hidden.shape[0] else ():
            first = 0
            for size in self.head_tiles.plan(piece.shape[0]):
                part = piece[first : first + size]
                missing = size - part.shape[0]
                parts.append((torch.nn.functional.pad(part, (0, 0, 0, missing)), part.shape[0]))
                first += size
        return parts

    def _read_logits(
        self, logits: Tensor, owners: Sequence[tuple[Chunk, int]]
    ) -> list[tuple[int, float, bool]]:
        """(token, log-probability, is first choice) of each row. NaN as log-probability marks
        logits that are not finite.
        """
        greedy, log_sums = read_logits(logits)
        is_finite = log_sums.isfinite().tolist()
        choices = greedy.tolist()
        tokens = []
        for i, (chunk, position) in enumerate(owners):
            request = chunk.request
            if request.targets is not None:
                tokens.append(request.targets[position - request.first_target])
            elif request.params.temperature > 0 and is_finite[i]:
                row = logits[i].cpu().numpy()
                step = request.num_tokens - request.num_prompt
                tokens.append(sample(row, request.params, step))
            else:
                tokens.append(choices[i])
        logprobs = [0.0] * len(tokens)
        if any(chunk.request.is_score or chunk.request.params.logprobs for chunk, _ in owners):
            index = torch.tensor(tokens, device=logits.device)[:, None]
            logprobs = (logits.gather(1, index)[:, 0] - log_sums).tolist()
        return [
            (token, logprob if finite else float("nan"), token == choice)
            for token, logprob, finite, choice in zip(
                tokens, logprobs, is_finite, choices, strict=True
            )
        ]

    @staticmethod
    def _by_chunk(
        chunks: Sequence[Chunk],
        positions: Sequence[range],
        rows: Sequence[tuple[int, float, bool]],
        tops: Sequence[TopLogprobs],
    ) -> list[ChunkResult]:
        results = []
        first = 0
        for chunk, wanted in zip(chunks, positions, strict=True):
            mine = rows[first : first + len(wanted)]
            my_tops = tuple(tops[first : first + len(wanted)]) if chunk.request.num_top else ()
            first += len(wanted)
            bad = next((p for p, row in zip(wanted, mine, strict=True) if row[1] != row[1]), None)
            if bad is not None:
                reason = (
                    f"The model's logits at position {bad} are NaN or infinite; "
                    "nothing of this request can be trusted."
                )
                results.append(ChunkResult((), (), (), reason))
            else:
                token_ids, logprobs, is_greedy = zip(*mine, strict=True) if mine else ((), (), ())
                results.append(ChunkResult(token_ids, logprobs, is_greedy, top_logprobs=my_tops))
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


def _most_probable(logits: Tensor, num_top: Sequence[int]) -> list[TopLogprobs]:
    """The num_top[i] most probable tokens of row i, none where it is 0."""
    most = min(max(num_top, default=0), logits.shape[-1])
    if most == 0:
        return [()] * len(num_top)
    values, ids = torch.log_softmax(logits, dim=-1).topk(most, dim=-1)
    pairs = zip(ids.tolist(), values.tolist(), num_top, strict=True)
    return [tuple(zip(i[:count], v[:count], strict=True)) for i, v, count in pairs]


@functools.lru_cache(maxsize=4)
def _random(num_rows: int, width: int) -> Tensor:
    return torch.randn(num_rows, width, generator=torch.Generator().manual_seed(0))
