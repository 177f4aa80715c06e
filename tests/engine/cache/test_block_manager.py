"""Nothing leaks, nothing is owned twice, and only equal prefixes are shared."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from engine.cache.block_manager import BlockManager

BLOCK = 4


class BlockManagerMachine(RuleBasedStateMachine):
    """Sequences over a tiny alphabet come and go; a model of what each block holds checks
    sharing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.blocks = BlockManager(12, BLOCK)
        self.sequences: list[tuple[list[int], list[int]]] = []  # block table, token ids
        self.content: dict[int, tuple[int, ...]] = {}  # the whole prefix up to the block's end

    @rule(token_ids=st.lists(st.integers(0, 1), min_size=1, max_size=20))
    def add(self, token_ids: list[int]) -> None:
        digests: list[bytes] = []
        shared = self.blocks.match(token_ids, digests, len(token_ids) - 1)
        assert len(shared) * BLOCK < len(token_ids)
        for i, block in enumerate(shared):
            assert self.content[block] == tuple(token_ids[: (i + 1) * BLOCK])
        missing = self.blocks.blocks_for(len(token_ids)) - len(shared)
        if missing > self.blocks.num_free_after(shared):
            return
        self.blocks.share(shared)
        taken = self.blocks.take(missing)
        in_use = {block for table, _ in self.sequences for block in table}
        assert not in_use & set(taken)
        table = [*shared, *taken]
        self.blocks.commit(table, token_ids, digests, len(shared) * BLOCK, len(token_ids))
        for i, block in enumerate(table):
            self.content[block] = tuple(token_ids[: (i + 1) * BLOCK])
        self.sequences.append((table, token_ids))

    @precondition(lambda self: self.sequences)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.sequences) - 1))
        table, _ = self.sequences.pop(index)
        self.blocks.release(table)

    @rule()
    def forget(self) -> None:
        self.blocks.forget(range(self.blocks.num_blocks))

    @invariant()
    def accounts_balance(self) -> None:
        self.blocks.check([table for table, _ in self.sequences])


TestBlockManager = BlockManagerMachine.TestCase
TestBlockManager.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@given(st.lists(st.integers(0, 3), min_size=BLOCK, max_size=24), st.integers(0, 23))
@settings(deadline=None, max_examples=60)
def test_prefix_is_found_up_to_the_first_different_block(token_ids: list[int], change: int):
    blocks = BlockManager(16, BLOCK)
    table = blocks.take(blocks.blocks_for(len(token_ids)))
    blocks.commit(table, token_ids, [], 0, len(token_ids))
    other = list(token_ids)
    if change < len(other):
        other[change] += 10
    same = min(change, len(token_ids)) // BLOCK
    assert blocks.match(other, [], len(other)) == table[: min(same, len(token_ids) // BLOCK)]


def test_freed_block_is_found_until_it_is_handed_out_again():
    blocks = BlockManager(2, BLOCK)
    table = blocks.take(1)
    blocks.commit(table, [1, 2, 3, 4], [], 0, 4)
    blocks.release(table)
    assert blocks.match([1, 2, 3, 4, 5], [], 4) == table
    blocks.take(2)
    assert blocks.match([1, 2, 3, 4, 5], [], 4) == []


def test_check_names_the_leaked_block():
    blocks = BlockManager(3, BLOCK)
    blocks.take(1)
    with pytest.raises(AssertionError, match=r"2 free \+ 1 owned of 3 .* blocks \[0\]"):
        blocks.check()
