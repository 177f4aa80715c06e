"""Row-wise work in tiles whose size does not change a bit: the engine's batch invariance.

Matrix kernels pick another order of summation for another number of rows, so the same request gives
other bits in another batch. A kernel called with a *fixed* number of rows treats each row by
itself. So the rows of a step are cut into tiles, and a tile size is only used after it has shown,
on this machine, with this model's weights and random rows, that it gives every row the bits that
the reference size gives, wherever the row stands. Sizes are tried when first wanted; a try costs
one run of a layer. Knows nothing of models: it gets a row-wise function. Source: Thinking Machines
(2025), measured again here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

__all__ = ["RowTiles"]

REFERENCE_ROWS = 128


class RowTiles:
    """Cuts a number of rows into trusted tile sizes.

    run: row-wise function [rows, width] → [rows, …]; make_rows: n → random input rows (the same
    rows for every n). With exact=False the whole batch is one tile of just its size.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        run: Callable[[Tensor], Tensor],
        make_rows: Callable[[int], Tensor],
        exact: bool,
    ) -> None:
        self.sizes = tuple(sorted(sizes))
        self.exact = exact
        self._run = run
        self._make_rows = make_rows
        self._reference: Tensor | None = None
        self._trusted: dict[int, bool] = {}

    def plan(self, num_rows: int) -> tuple[int, ...]:
        """Tile sizes, in order, that hold at least num_rows rows."""
        if not self.exact:
            return (num_rows,)
        tiles: list[int] = []
        while num_rows > 0:
            tiles.append(self._next(num_rows))
            num_rows -= tiles[-1]
        return tuple(tiles)

    @property
    def rejected(self) -> tuple[int, ...]:
        """Sizes that were tried and do not give the reference's bits here."""
        return tuple(size for size in self.sizes if self._trusted.get(size) is False)

    def _next(self, num_rows: int) -> int:
        """The smallest trusted size that holds all rows if it wastes at most a third; else the
        largest that is filled.
        """
        fitting = next(
            (size for size in self.sizes if size >= num_rows and self.is_trusted(size)), None
        )
        filled = next(
            (size for size in reversed(self.sizes) if size <= num_rows and self.is_trusted(size)),
            None,
        )
        if fitting is not None and (filled is None or fitting * 2 <= num_rows * 3):
            return fitting
        return filled if filled is not None else REFERENCE_ROWS

    def is_trusted(self, size: int) -> bool:
        if size not in self._trusted:
            self._trusted[size] = self._try(size)
        return self._trusted[size]

    def _try(self, size: int) -> bool:
        rows = self._make_rows(size)
        result = self._run(rows)
        turned = self._run(rows.roll(5, 0)).roll(-5, 0)
        if not torch.equal(result, turned):
            return False
        if self._reference is None:
            self._reference = self._run(self._make_rows(REFERENCE_ROWS))
        common = min(size, REFERENCE_ROWS)
        # Beyond the reference's rows the turned run has already shown that a row's place does not
        # matter.
        return torch.equal(result[:common], self._reference[:common])
