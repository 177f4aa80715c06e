"""How the calls of a run are masked: a value, so that other processes mask the same way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import pyarrow as pa

from tasks.privacy.masking import Redactor
from tasks.privacy.persons import PERSON
from tasks.privacy.policy import Policy, redact_table


class Masked(NamedTuple):
    """`counts`: what was masked in it, by kind."""

    table: pa.Table
    counts: Counter[str]


@dataclass(frozen=True)
class Masks:
    """What a Redactor and its Policy are made of; a job for workers elsewhere, too."""

    kinds: tuple[str, ...]
    key: bytes = field(repr=False)
    person_model: str
    fields: Mapping[str, str]

    @cached_property
    def redactor(self) -> Redactor:
        """Raises UsageError for an unknown kind or where what finds persons is missing."""
        return Redactor(self.kinds, self.key, self.person_model)

    @cached_property
    def policy(self) -> Policy:
        return Policy(self.fields, self.redactor)

    def mask(self, table: pa.Table) -> Masked:
        before = self.redactor.counts.copy()
        masked = redact_table(table, self.policy)
        return Masked(masked, self.redactor.counts - before)

    @property
    def packages(self) -> tuple[str, ...]:
        names = ("pyarrow", "orjson", "regex")
        return (*names, "spacy", self.person_model) if PERSON in self.kinds else names

    def begin(self) -> None:
        """Raises UsageError where what finds persons is missing."""
        _ = self.redactor

    def answers(self, item: pa.Table) -> Iterator[Masked]:
        yield self.mask(item)

    def __getstate__(self) -> dict[str, object]:
        """Without what is made of it, which no pickle takes."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}
