"""A piece of a request: what one step runs of it."""

from __future__ import annotations

from typing import NamedTuple

from engine.requests.request import Request

__all__ = ["Chunk"]


class Chunk(NamedTuple):
    """Run token_ids[start : start + num_tokens] of one request. copy_of: the block that holds
    `start` begins as a copy of this one.
    """

    request: Request
    start: int
    num_tokens: int
    copy_of: int | None = None

    @property
    def end(self) -> int:
        return self.start + self.num_tokens
