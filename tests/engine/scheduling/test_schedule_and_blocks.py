"""Scheduler and block manager together, driven at random, over a cache that remembers.

The stand-in for the model writes the whole prefix into each slot and reads it back before it
answers: a block that was shared, forked, freed or forgotten wrongly holds another prefix and fails.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from engine.cache.block_manager import BlockManager
from engine.requests.request import Chunk, Request
from engine.scheduling.scheduler import MIN_FORK_TOKENS, Scheduler

BLOCK = 6
NUM_BLOCKS = 9
Prefix = tuple[int, ...]


def next_token(prefix: Prefix) -> int:
    return (sum(prefix) + len(prefix)) % 2


class CacheOfPrefixes:
    """The runner's part: copies first, then all writes of a step, then all reads."""

    def __init__(self) -> None:
        self.slots: list[list[Prefix | None]] = [[None] * BLOCK for _ in range(NUM_BLOCKS)]

    def run(self, chunks: list[Chunk]) -> None:
        before = [list(block) for block in self.slots]
        for chunk in chunks:
            if chunk.copy_of is not None:
                num_tokens = chunk.start % BLOCK
                target = chunk.request.block_table[chunk.start // BLOCK]
                rest = [None] * (BLOCK - num_tokens)
                self.slots[target] = before[chunk.copy_of][:num_tokens] + rest
        for chunk in chunks:
            ids = chunk.request.token_ids
            for place in range(chunk.start, chunk.end):
                block = chunk.request.block_table[place // BLOCK]
                self.slots[block][place % BLOCK] = tuple(ids[: place + 1])
        for chunk in chunks:
            for place in range(chunk.end):
                block = chunk.request.block_table[place // BLOCK]
                wanted = tuple(chunk.request.token_ids[: place + 1])
                assert self.slots[block][place % BLOCK] == wanted, (block, place)


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.scheduler = Scheduler(BlockManager(NUM_BLOCKS, BLOCK), 11, 5)
        self.cache = CacheOfPrefixes()
        self.requests: list[Request] = []

    def add(self, request: Request) -> None:
        self.requests.append(request)
        self.scheduler.add(request)

    @rule(prompt=st.lists(st.integers(0, 1), min_size=1, max_size=30), count=st.integers(1, 8))
    def generate(self, prompt: list[int], count: int) -> None:
        self.add(Request(list(prompt), len(prompt), len(prompt) + count))

    @precondition(lambda self: self.requests)
    @rule(data=st.data(), count=st.integers(1, 6))
    def generate_again(self, data: st.DataObject, count: int) -> None:
        """Samples of one prompt, or a prompt that goes on as another's answer does."""
        ids = data.draw(st.sampled_from(self.requests)).token_ids
        prompt = ids[: data.draw(st.integers(1, len(ids)))]
        for _ in range(data.draw(st.integers(1, 3))):
            self.generate(prompt, count)

    @rule(
        context=st.lists(st.integers(0, 1), min_size=1, max_size=20),
        continuation=st.lists(st.integers(0, 1), min_size=1, max_size=9),
    )
    def score(self, context: list[int], continuation: list[int]) -> None:
        ids = [*context, *continuation[:-1]]
        targets = tuple(continuation)
        self.add(Request(ids, len(ids), len(ids), targets=targets,
                         first_target=len(context) - 1, choices=targets[-1:]))  # fmt: skip

    @rule()
    def step(self) -> None:
        chunks = self.schedule()
        self.cache.run(chunks)
        for chunk in chunks:
            self.advance(chunk)

    @rule()
    def step_that_breaks(self) -> None:
        chunks = self.schedule()
        if chunks:  # as EngineCore does when a kernel fails: nothing in the cache is believed
            old = self.scheduler
            blocks = BlockManager(NUM_BLOCKS, BLOCK)
            self.scheduler = Scheduler(blocks, old.max_batch_tokens, old.max_running)
            for request in (*old.running, *old.waiting):
                request.forget_cache()
                self.scheduler.add(request)

    def schedule(self) -> list[Chunk]:
        had_work = self.scheduler.has_work
        chunks, failed = self.scheduler.schedule()
        assert bool(chunks or failed) == had_work, "a step must do something"
        assert sum(chunk.num_tokens for chunk in chunks) <= self.scheduler.max_batch_tokens
        assert len({id(chunk.request) for chunk in chunks}) == len(chunks)
        assert len(self.scheduler.running) <= self.scheduler.max_running
        written: set[tuple[int, int]] = set()
        for chunk in chunks:
            assert chunk.num_tokens > 0
            assert chunk.start == chunk.request.num_computed
            assert chunk.copy_of is None or chunk.start % BLOCK >= MIN_FORK_TOKENS
            table = chunk.request.block_table
            slots = {(table[p // BLOCK], p % BLOCK) for p in range(chunk.start, chunk.end)}
            assert not slots & written, "no slot has two owners who write it"
            written |= slots
        for request in failed:
            assert "kv_cache_bytes" in (request.error or "")
        return chunks

    def advance(self, chunk: Chunk) -> None:
        request = chunk.request
        request.num_computed = chunk.end
        wanted = request.logit_positions(chunk.start, chunk.end)
        if request.targets is not None:
            request.logprobs += [float(position) for position in wanted]
            if len(request.logprobs) == len(request.targets):
                request.finish_reason = "stop"
        elif wanted:
            request.token_ids.append(next_token(tuple(request.token_ids)))
            if request.num_tokens == request.max_length:
                request.finish_reason = "length"
        if request.finish_reason is not None:
            self.scheduler.finish(request)

    @invariant()
    def accounts_balance(self) -> None:
        self.scheduler.blocks.check([r.block_table for r in self.scheduler.running])
        forkable = [b for found in self.scheduler.blocks._forkable.values() for b in found]
        assert len(forkable) == len(set(forkable)) <= NUM_BLOCKS

    def teardown(self) -> None:
        for _ in range(10_000):
            if not self.scheduler.has_work:
                break
            self.step()
        self.scheduler.blocks.check()
        for request in self.requests:
            if request.error is not None:
                assert request.num_tokens > 0.5 * NUM_BLOCKS * BLOCK
                continue
            assert request.finish_reason is not None, "everyone finishes"
            if request.targets is not None:
                first = request.first_target
                assert request.logprobs == [float(first + i) for i in range(len(request.targets))]
                continue
            expected = request.token_ids[: request.num_prompt]
            while len(expected) < request.max_length:
                expected.append(next_token(tuple(expected)))
            assert request.token_ids == expected, "the tokens of one that runs alone"


TestScheduleAndBlocks = Machine.TestCase
TestScheduleAndBlocks.settings = settings(max_examples=120, stateful_step_count=25, deadline=None)
