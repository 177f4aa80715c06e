"""Steps in which every sequence has one token, recorded once a number of rows and then replayed:
launching some hundred kernels one by one takes longer than running them. CUDA graphs.

Owns the one buffer that the recorded kernels read their inputs from, a row a sequence: token,
position, block table. Rows that fill up a recorded size work in the cache's scratch block. Knows
nothing of what the logits are for. Source: PyTorch's notes on CUDA graphs; vLLM.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from engine.attention.plan import FlatPlan
from engine.cache.kv_cache import BLOCK_SIZE
from engine.kernels.gpu import TritonAttention
from engine.models.batch import Batch
from engine.models.layers import reduce_logits
from engine.models.llama import LlamaModel
from engine.requests.request import Chunk

__all__ = ["DecodeGraphs", "Recorder", "cuda_recorder"]

#: numbers of rows that are recorded, when first wanted; kernels take up to 64 rows at a time
GRAPH_ROWS = (16, 64, 128, 192, 256)
TOKEN, POSITION, TABLE = 0, 1, 2  # columns of the buffer

#: makes of a function of static buffers one that repeats what it did on the device
Recorder = Callable[[Callable[[], Tensor]], Callable[[], Tensor]]


def cuda_recorder() -> Recorder:
    """Makes CUDA graphs that share their memory: what one gives is good until any is replayed."""
    pool = torch.cuda.graph_pool_handle()

    def record(run: Callable[[], Tensor]) -> Callable[[], Tensor]:
        run()  # compiles kernels, which a recording must not
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool):
            result = run()

        def replay() -> Tensor:
            graph.replay()
            return result

        return replay

    return record


class DecodeGraphs:
    def __init__(self, model: LlamaModel, attention: TritonAttention, recorder: Recorder) -> None:
        self._model = model
        self._attention = attention
        self._recorder = recorder
        self._replays: dict[int, Callable[[], Tensor]] = {}
        width = TABLE + -(-model.config.max_position // BLOCK_SIZE)
        size = (GRAPH_ROWS[-1], width)
        is_cuda = model.device.type == "cuda"
        self._host = torch.zeros(size, dtype=torch.int32, pin_memory=is_cuda)
        self._inputs = torch.zeros(size, dtype=torch.int32, device=model.device)

    @staticmethod
    def takes(chunks: Sequence[Chunk], logit_positions: Sequence[range]) -> bool:
        """Whether this step is one token and one row of logits a sequence."""
        return len(chunks) <= GRAPH_ROWS[-1] and all(
            chunk.num_tokens == 1 and len(wanted) == 1
            for chunk, wanted in zip(chunks, logit_positions, strict=True)
        )

    def logits(self, chunks: Sequence[Chunk]) -> Tensor:
        """[len(chunks), vocab_size], good until the next call. Writes K and V into the cache."""
        return self._prepared(chunks, 1)()[: len(chunks)]

    def run_ahead(
        self, chunks: Sequence[Chunk], num_steps: int
    ) -> tuple[list[list[int]], list[list[float]]]:
        """Go on greedily for num_steps tokens, each step from the token of the one before, with
        nothing read back in between. The tokens and the logsumexp of their logits, [num_steps][
        len(chunks)]. The block tables must reach num_steps tokens far.
        """
        replay = self._prepared(chunks, num_steps)
        inputs = self._inputs[: len(chunks)]
        tokens = torch.empty(num_steps, len(chunks), dtype=torch.int64, device=inputs.device)
        log_sums = torch.empty(num_steps, len(chunks), device=inputs.device)
        for step in range(num_steps):
            best, sums = reduce_logits(replay()[: len(chunks)])
            tokens[step], log_sums[step] = best, sums
            inputs[:, TOKEN] = best
            inputs[:, POSITION] += 1
        return tokens.tolist(), log_sums.tolist()

    def _prepared(self, chunks: Sequence[Chunk], num_steps: int) -> Callable[[], Tensor]:
        """The recorded step for so many rows, recorded if need be, with the inputs in place."""
        count = len(chunks)
        rows = next(size for size in GRAPH_ROWS if size >= count)
        # The last step's copy from the buffer has ended: its results have been read.
        buffer = self._host.numpy()
        lengths = [-(-(chunk.start + num_steps) // BLOCK_SIZE) for chunk in chunks]
        used = TABLE + max(lengths)
        buffer[count:rows, :TABLE] = 0
        buffer[count:rows, TABLE] = self._attention.scratch_block
        buffer[:count, TOKEN] = [chunk.request.token_ids[chunk.start] for chunk in chunks]
        buffer[:count, POSITION] = [chunk.start for chunk in chunks]
        is_used = np.arange(used - TABLE) < np.array(lengths)[:, None]
        tables = (c.request.block_table[:n] for c, n in zip(chunks, lengths, strict=True))
        buffer[:count, TABLE:used][is_used] = list(chain.from_iterable(tables))
        self._inputs[:rows, :used].copy_(self._host[:rows, :used], non_blocking=True)
        if rows not in self._replays:
            self._replays[rows] = self._recorder(lambda: self._run(rows))
        return self._replays[rows]

    def _run(self, rows: int) -> Tensor:
        inputs = self._inputs[:rows]
        positions = inputs[:, POSITION].long()
        row = torch.arange(rows, dtype=torch.int32, device=inputs.device)
        block = inputs.gather(1, TABLE + positions[:, None] // BLOCK_SIZE)[:, 0]
        offsets = row * self._inputs.shape[1] + TABLE
        tiles = (row, inputs[:, POSITION], torch.ones_like(row), offsets)
        batch = Batch(
            token_ids=inputs[:, TOKEN].long(),
            positions=positions,
            attention=FlatPlan(
                slots=block * BLOCK_SIZE + inputs[:, POSITION] % BLOCK_SIZE,
                tiles=torch.stack(tiles, dim=1),
                tables=self._inputs.view(-1),
            ),
            logit_rows=row.long(),
        )
        return self._model.logits(self._model.forward(batch, self._attention))
