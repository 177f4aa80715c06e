"""Which lines of a file to look at again: some by their numbers, and stretches of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LinesWanted:
    """`ranges`: first and last line, both included."""

    numbers: frozenset[int]
    ranges: tuple[tuple[int, int], ...] = ()

    @property
    def all_ranges(self) -> list[tuple[int, int]]:
        return [*((number, number) for number in sorted(self.numbers)), *self.ranges]

    def __contains__(self, number: object) -> bool:
        if number in self.numbers:
            return True
        return isinstance(number, int) and any(a <= number <= b for a, b in self.ranges)
