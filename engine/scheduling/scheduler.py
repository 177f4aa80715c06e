"""Which requests run in the next step, and how many tokens of each.

Iteration-level scheduling under a token budget: requests that are running go first (one token when
decoding, the next piece of the prompt otherwise), then waiting ones are admitted while budget,
places and blocks allow. Short of a block, the newest running request is sent back to the front of
the queue, to be recomputed. A request whose prompt is just being computed for another one waits
for the end of that step and forks it. Never sees a tensor and never sees text. Sources: Orca (Yu et
al. 2022), Sarathi-Serve's chunked prefill (Agrawal et al. 2024), nano-vllm.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from engine.cache.block_manager import BlockManager
from engine.errors import CapacityError
from engine.requests.request import Chunk, Request

__all__ = ["Scheduler"]

#: so many tokens are worth the copy of a block, or a step of waiting for them; a neighbour that
#: decodes gains one token a step and never makes anyone wait
MIN_FORK_TOKENS = 4
MAX_HELD = 64


class Scheduler:
    def __init__(self, blocks: BlockManager, max_batch_tokens: int, max_running: int) -> None:
        self.blocks = blocks
        self.max_batch_tokens = max_batch_tokens
        self.max_running = max_running
        self.waiting: deque[Request] = deque()
        self.running: list[Request] = []
        self.num_preemptions = 0
        self._members: list[Request] = []

    @property
    def has_work(self) -> bool:
        return bool(self.waiting or self.running)

    def add(self, request: Request) -> None:
        self.waiting.append(request)

    def schedule(self) -> tuple[list[Chunk], list[Request]]:
        """The next step's chunks, and the requests that failed because they cannot fit into the
        cache even alone.

        A block is findable for the prefix cache from this moment on, before it is computed: all K
        and V of a step are written layer by layer before that layer's attention reads any of them,
        so requests of one step already share their prefix.
        """
        self._members = list(self.running)
        self.blocks.begin_step()
        chunks: list[Chunk] = []
        failed: list[Request] = []
        num_preempted_before = self.num_preemptions
        budget = self._continue_running(chunks, failed)
        if self.num_preemptions == num_preempted_before:
            self._admit_waiting(chunks, failed, budget)
        return chunks, failed

    def reserve(self, chunks: Sequence[Chunk], num_steps: int) -> bool:
        """Give each request the blocks of num_steps tokens from its chunk's start on, if nobody
        has to be sent back for them.
        """
        missing = [
            max(0, self.blocks.blocks_for(c.start + num_steps) - len(c.request.block_table))
            for c in chunks
        ]
        if sum(missing) > self.blocks.num_free:
            return False
        for chunk, count in zip(chunks, missing, strict=True):
            chunk.request.block_table += self.blocks.take(count)
        return True

    def finish(self, request: Request) -> None:
        """Take a running request out and give its blocks back."""
        self.running.remove(request)
        self._release(request)

    def drop(self, request: Request) -> None:
        """Take a request out between two steps, whether it waits, runs or has ended, and give its
        blocks back at once.
        """
        if request in self.running:
            self.finish(request)
        elif request in self.waiting:
            self.waiting.remove(request)

    def suspects(self) -> list[Request]:
        """Whom a step that broke may have broken on: those that ran or were looked at for it."""
        return self._members or [*self.running, *self.waiting]

    def _continue_running(self, chunks: list[Chunk], failed: list[Request]) -> int:
        budget = self.max_batch_tokens
        position = 0
        while position < len(self.running) and budget > 0:
            request = self.running[position]
            num_tokens = min(request.num_uncomputed, budget)
            if not self._grow(request, request.num_computed + num_tokens, failed):
                # the request itself was preempted or has failed: the next one now has its position
                continue
            chunks.append(self._chunk(request, num_tokens))
            budget -= num_tokens
            position += 1
        return budget

    def _grow(self, request: Request, num_tokens: int, failed: list[Request]) -> bool:
        """Give the request blocks for num_tokens tokens, preempting newer requests if need be."""
        while (
            missing := self.blocks.blocks_for(num_tokens) - len(request.block_table)
        ) > self.blocks.num_free:
            newest = self.running.pop()
            self._release(newest)
            if newest is not request:
                self._preempt(newest)
                continue
            if self.running:
                self._preempt(request)
            else:
                request.fail(self._does_not_fit(num_tokens))
                failed.append(request)
            return False
        if missing > 0:
            request.block_table += self.blocks.take(missing)
        return True

    def _preempt(self, request: Request) -> None:
        self.num_preemptions += 1
        self.waiting.appendleft(request)

    def _admit_waiting(self, chunks: list[Chunk], failed: list[Request], budget: int) -> None:
        held: list[Request] = []
        while self.waiting and budget > 0 and len(held) < MAX_HELD:
            if len(self.running) >= self.max_running:
                break
            request = self.waiting[0]
            self._members.append(request)
            token_ids, digests = request.token_ids, request.block_digests
            shared = self.blocks.match(token_ids, digests, request.next_logits)
            num_cached = len(shared) * self.blocks.block_size
            fork = self.blocks.fork(token_ids, digests, num_cached, request.next_logits)
            if fork is not None and fork.num_coming - fork.num_tokens >= MIN_FORK_TOKENS:
                held.append(self.waiting.popleft())
                continue
            missing = self.blocks.blocks_for(request.num_tokens) - len(shared)
            if missing > self.blocks.num_free_after(shared):
                if self.running:
                    break
                self.waiting.popleft()
                request.fail(self._does_not_fit(request.num_tokens))
                failed.append(request)
                continue
            self.waiting.popleft()
            self.running.append(request)
            self.blocks.share(shared)
            request.block_table = [*shared, *self.blocks.take(missing)]
            copy_of = None
            if fork is not None and fork.num_tokens >= MIN_FORK_TOKENS:
                copy_of = fork.block
                num_cached += fork.num_tokens
            request.num_computed = num_cached
            if request.num_cached < 0:
                request.num_cached = num_cached
            chunks.append(self._chunk(request, min(request.num_uncomputed, budget), copy_of))
            budget -= chunks[-1].num_tokens
        self.waiting.extendleft(reversed(held))

    def _chunk(self, request: Request, num_tokens: int, copy_of: int | None = None) -> Chunk:
        chunk = Chunk(request, request.num_computed, num_tokens, copy_of)
        self.blocks.commit(
            request.block_table, request.token_ids, request.block_digests, chunk.start, chunk.end
        )
        return chunk

    def _release(self, request: Request) -> None:
        self.blocks.release(request.block_table)
        request.block_table = []
        request.num_computed = 0

    def _does_not_fit(self, num_tokens: int) -> CapacityError:
        capacity = self.blocks.num_blocks * self.blocks.block_size
        return CapacityError(
            f"The request needs {num_tokens} tokens of KV cache, but the whole cache holds "
            f"{capacity}. "
            "Shorten it, or give LLM(...) a larger kv_cache_bytes."
        )
