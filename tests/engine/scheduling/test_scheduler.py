"""The scheduler alone, driven by a model that answers at once: budgets hold and everyone
finishes.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.cache.block_manager import BlockManager
from engine.requests.request import Chunk, Request
from engine.scheduling.scheduler import Scheduler

BLOCK = 4


def make_request(prompt: list[int], num_output: int) -> Request:
    return Request(list(prompt), len(prompt), len(prompt) + num_output)


def drive(scheduler: Scheduler, requests: list[Request]) -> list[list[Chunk]]:
    """Run all to the end with a model whose next token is the number of tokens so far, modulo 3."""
    for request in requests:
        scheduler.add(request)
    steps: list[list[Chunk]] = []
    while scheduler.has_work:
        chunks, failed = scheduler.schedule()
        assert chunks or failed, "a step must do something"
        assert sum(chunk.num_tokens for chunk in chunks) <= scheduler.max_batch_tokens
        assert len({id(chunk.request) for chunk in chunks}) == len(chunks)
        assert len(scheduler.running) <= scheduler.max_running
        scheduler.blocks.check([request.block_table for request in scheduler.running])
        for chunk in chunks:
            request = chunk.request
            assert chunk.num_tokens > 0
            assert chunk.start == request.num_computed
            assert len(request.block_table) * BLOCK >= chunk.end
            request.num_computed = chunk.end
            if len(request.logit_positions(chunk.start, chunk.end)):
                request.token_ids.append(request.num_tokens % 3)
            if request.num_tokens >= request.max_length:
                request.finish_reason = "length"
                scheduler.finish(request)
        steps.append(chunks)
    scheduler.blocks.check()
    return steps


prompts = st.lists(
    st.tuples(st.lists(st.integers(0, 1), min_size=1, max_size=14), st.integers(1, 8)),
    min_size=1,
    max_size=8,
)


@given(prompts, st.integers(1, 9), st.integers(1, 4), st.integers(3, 14))
@settings(max_examples=150, deadline=None)
def test_everyone_finishes_or_is_told_why(
    work: list[tuple[list[int], int]], budget: int, places: int, num_blocks: int
):
    scheduler = Scheduler(BlockManager(num_blocks, BLOCK), budget, places)
    requests = [make_request(prompt, n) for prompt, n in work]
    drive(scheduler, requests)
    for request, (prompt, num_output) in zip(requests, work, strict=True):
        if len(prompt) + num_output <= num_blocks * BLOCK:
            assert request.finish_reason == "length"
            assert request.output_ids == [
                n % 3 for n in range(len(prompt), len(prompt) + num_output)
            ]
        elif request.error is not None:
            assert "kv_cache_bytes" in request.error


def test_requests_of_one_step_share_their_prefix():
    scheduler = Scheduler(BlockManager(16, BLOCK), 64, 8)
    prefix = list(range(8))
    requests = [make_request([*prefix, 90 + i], 1) for i in range(3)]
    steps = drive(scheduler, requests)
    assert [chunk.num_tokens for chunk in steps[0]] == [9, 1, 1]
    assert [request.num_cached for request in requests] == [0, 8, 8]


def test_long_prompt_is_cut_and_does_not_stop_others_from_decoding():
    scheduler = Scheduler(BlockManager(32, BLOCK), 8, 8)
    requests = [make_request([1, 2], 6), make_request([3] * 30, 1)]
    steps = drive(scheduler, requests)
    assert [chunk.num_tokens for chunk in steps[0]] == [2, 6]
    assert [chunk.num_tokens for chunk in steps[1]] == [1, 7]


def test_newest_is_preempted_when_blocks_run_out():
    scheduler = Scheduler(BlockManager(4, BLOCK), 64, 8)
    requests = [make_request([1] * 7, 5), make_request([2] * 7, 5)]
    drive(scheduler, requests)
    assert scheduler.num_preemptions >= 1
    assert all(request.finish_reason == "length" for request in requests)
