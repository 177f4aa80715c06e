"""What a comparison of new calls with those before came to: made by watch, kept by the store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Moved:
    """A value of a column, or a band of numbers, with its share of the calls before and now."""

    value: str
    old_share: float
    new_share: float


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """One column's judgement; all numbers None where `not_judged` says why there is none. `moved`:
    the values whose share changed most, of a column of values or numbers; the store does not keep
    it, the receipt does."""

    column_name: str
    num_reference: int
    num_new: int
    psi: float | None = None
    test: str | None = None
    statistic: float | None = None
    p_value: float | None = None
    adjusted_p: float | None = None
    is_alarm: bool = False
    not_judged: str | None = None
    moved: tuple[Moved, ...] = ()


@dataclass(frozen=True, slots=True)
class Drift:
    """All columns judged; `since` None: there was no new call, and no column was judged."""

    columns: tuple[ColumnDrift, ...]
    since: datetime | None

    @property
    def alarms(self) -> tuple[ColumnDrift, ...]:
        return tuple(column for column in self.columns if column.is_alarm)
