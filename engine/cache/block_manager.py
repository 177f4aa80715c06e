"""Who owns which block of the KV cache, and which blocks hold a prefix that can be used again.

Knows block numbers and token ids; never a tensor, never a request's purpose. A full block has a
digest that chains the digest of the block before it, so equal digest means equal prefix (SHA-256,
because prompts are hostile input and a collision would show one user's text to another). A freed
block keeps its digest until it is handed out again: that is the prefix cache, and the least
recently freed block goes first. Full blocks are shared. Where a prompt leaves a known sequence in
the middle of a block, the block is forked: a copy is taken and written on from there, so that the
tokens before the fork are not computed again. Sources: PagedAttention (Kwon et al. 2023) and
nano-vllm; forking at any token as in SGLang's radix cache (Zheng et al. 2024).
"""

from __future__ import annotations

import hashlib
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

__all__ = ["BlockManager", "Fork"]

MAX_FORK_CANDIDATES = 128


@dataclass(frozen=True, slots=True)
class Fork:
    """Block whose first num_tokens tokens are what a prompt goes on with; num_coming tokens is the
    most that any block will hold once the present step is run.
    """

    block: int
    num_tokens: int
    num_coming: int


@dataclass(slots=True)
class _Content:
    """What a block holds: token_ids[start : start + num_tokens] of the sequence that writes it, the
    last of them from step `step` on, the first num_old before it. token_ids only ever grows.
    """

    key: tuple[bytes, int]
    token_ids: Sequence[int]
    start: int
    num_tokens: int
    num_old: int
    step: int

    def num_common(self, token_ids: Sequence[int], start: int, end: int) -> int:
        for i in range(min(self.num_tokens, end - start)):
            if self.token_ids[self.start + i] != token_ids[start + i]:
                return i
        return min(self.num_tokens, end - start)


class BlockManager:
    """Reference-counted blocks of `block_size` tokens each.

    Every block is either free (reference count 0) or owned by at least one sequence. Of two full
    blocks with one digest only the first is found by `match`.
    """

    def __init__(self, num_blocks: int, block_size: int) -> None:
        self.num_blocks = num_blocks
        self.block_size = block_size
        self._references = [0] * num_blocks
        self._digests: list[bytes | None] = [None] * num_blocks
        self._block_of: dict[bytes, int] = {}
        self._free: OrderedDict[int, None] = OrderedDict.fromkeys(range(num_blocks))
        self._content: list[_Content | None] = [None] * num_blocks
        # (digest of what is before the block, its first token) → blocks, the newest last
        self._forkable: dict[tuple[bytes, int], dict[int, None]] = {}
        self._step = 0

    @property
    def num_free(self) -> int:
        return len(self._free)

    def blocks_for(self, num_tokens: int) -> int:
        return -(-num_tokens // self.block_size)

    def match(self, token_ids: Sequence[int], digests: list[bytes], max_tokens: int) -> list[int]:
        """Blocks that already hold the longest cached prefix of token_ids, at most max_tokens long.
        Extends `digests`.
        """
        found: list[int] = []
        for index in range(max_tokens // self.block_size):
            block = self._block_of.get(self._digest(token_ids, digests, index))
            if block is None:
                break
            found.append(block)
        return found

    def begin_step(self) -> None:
        """What was committed before is computed now."""
        self._step += 1

    def fork(
        self, token_ids: Sequence[int], digests: list[bytes], start: int, end: int
    ) -> Fork | None:
        """The block that goes on longest as token_ids[start:end] do after the same prefix, at most
        one token short of full; `start` is a multiple of block_size. None if there is none, now or
        after this step.
        """
        if start >= end:
            return None
        key = (self._digest_before(token_ids, digests, start // self.block_size), token_ids[start])
        source, num_ready, num_coming = -1, 0, 0
        for block in islice(reversed(self._forkable.get(key, {})), MAX_FORK_CANDIDATES):
            content = self._content[block]
            assert content is not None, block
            common = content.num_common(token_ids, start, min(end, start + self.block_size - 1))
            ready = common if content.step < self._step else min(common, content.num_old)
            num_coming = max(num_coming, common)
            if ready > num_ready:
                source, num_ready = block, ready
        return Fork(source, num_ready, num_coming) if num_coming else None

    def num_free_after(self, shared: Sequence[int]) -> int:
        """Free blocks that would remain once the shared blocks are taken."""
        return len(self._free) - sum(1 for block in shared if self._references[block] == 0)

    def share(self, blocks: Sequence[int]) -> None:
        """Take one more reference on blocks found by `match`."""
        for block in blocks:
            if self._references[block] == 0:
                del self._free[block]
            self._references[block] += 1

    def take(self, count: int) -> list[int]:
        """Hand out `count` free blocks; their old content is forgotten. The caller has checked
        num_free.
        """
        assert count <= len(self._free), (count, len(self._free))
        blocks = []
        for _ in range(count):
            block, _ = self._free.popitem(last=False)
            self._forget(block)
            self._references[block] = 1
            blocks.append(block)
        return blocks

    def commit(
        self,
        block_table: Sequence[int],
        token_ids: Sequence[int],
        digests: list[bytes],
        start: int,
        end: int,
    ) -> None:
        """Make the blocks that tokens [start, end) are written to findable for later prompts with
        the same prefix: the full ones to share, all to fork.
        """
        for index in range(start // self.block_size, self.blocks_for(end)):
            block, first = block_table[index], index * self.block_size
            num_tokens = min(end - first, self.block_size)
            content = self._content[block]
            if content is None:
                # Even where the block begins as a copy: the copy is made in this step.
                key = (self._digest_before(token_ids, digests, index), token_ids[first])
                self._content[block] = _Content(key, token_ids, first, num_tokens, 0, self._step)
                self._forkable.setdefault(key, {})[block] = None
            else:
                content.num_old = max(0, start - first)
                content.num_tokens, content.step = num_tokens, self._step
        for index in range(start // self.block_size, end // self.block_size):
            digest = self._digest(token_ids, digests, index)
            block = block_table[index]
            if self._digests[block] is None and digest not in self._block_of:
                self._digests[block] = digest
                self._block_of[digest] = block

    def release(self, block_table: Sequence[int]) -> None:
        """Give up one reference on every block; the last block of the sequence is the first to be
        handed out again.
        """
        for block in reversed(block_table):
            assert self._references[block] > 0, block
            self._references[block] -= 1
            if self._references[block] == 0:
                self._free[block] = None

    def forget(self, blocks: Sequence[int]) -> None:
        """Take blocks out of the prefix cache: their content cannot be trusted."""
        for block in blocks:
            self._forget(block)

    def unshared(self, block_table: Sequence[int]) -> list[int]:
        """The blocks of a sequence that no other sequence holds."""
        return [block for block in block_table if self._references[block] == 1]

    def check(self, block_tables: Sequence[Sequence[int]] = ()) -> None:
        """Prove that nothing leaked: every block's references are exactly the tables that hold it.
        Raises AssertionError.
        """
        expected = [0] * self.num_blocks
        for table in block_tables:
            for block in table:
                expected[block] += 1
        wrong = [b for b in range(self.num_blocks) if expected[b] != self._references[b]]
        num_owned = sum(1 for count in self._references if count)
        if wrong or num_owned + len(self._free) != self.num_blocks:
            raise AssertionError(
                f"KV cache accounting is wrong: {len(self._free)} free + {num_owned} owned "
                f"of {self.num_blocks} blocks; "
                f"wrong reference counts in blocks {wrong[:8]}"
            )

    def _forget(self, block: int) -> None:
        content = self._content[block]
        if content is not None:
            self._content[block] = None
            del self._forkable[content.key][block]
            if not self._forkable[content.key]:
                del self._forkable[content.key]
        digest = self._digests[block]
        if digest is not None:
            del self._block_of[digest]
            self._digests[block] = None

    def _digest_before(self, token_ids: Sequence[int], digests: list[bytes], index: int) -> bytes:
        return self._digest(token_ids, digests, index - 1) if index else b""

    def _digest(self, token_ids: Sequence[int], digests: list[bytes], index: int) -> bytes:
        """Digest of full block `index`, computed once per sequence and kept in `digests`."""
        while len(digests) <= index:
            start = len(digests) * self.block_size
            content = array("q", token_ids[start : start + self.block_size]).tobytes()
            digests.append(hashlib.sha256((digests[-1] if digests else b"") + content).digest())
        return digests[index]
