"""The items of a suite as two versions of it are compared. Pure.

The digest covers what is asked and how it is judged of every item, in no order; a suite that has it
in a file and in an eval set is the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SuiteItem:
    """An item as two versions are compared by it. `asked`: what it asks, as one text."""

    asked: str
    sample_id: str
    question: str
    target: str
    slices: Mapping[str, str] = field(default_factory=dict)
    must_pass: bool = False
    cluster: str | None = None


@dataclass(frozen=True, slots=True)
class Version:
    """The items of a suite at one time. `named`: as it was asked for."""

    named: str
    suite: str
    items: tuple[SuiteItem, ...]

    @property
    def digest(self) -> str:
        return digest_of(item.sample_id for item in self.items)


def digest_of(sample_ids: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(sample_ids)).encode()).hexdigest()
