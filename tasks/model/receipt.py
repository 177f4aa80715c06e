"""Receipts: what a stage hands on. Counts and keys, never rows.

The one law of the pipeline is checked here, at run time, for every stage:
rows_in = rows_out + quarantined + duplicates + dead_letters + outside_window.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Receipt:
    """What one stage did. `key` names what the next stage should read (a run id or a digest).

    `outside_window`: calls that --since and --until passed over; they are not lost, a run with a
    wider window takes them in. `notes` holds JSON values for people and for `--json`.
    Raises ValueError when the counts do not add up: that is a bug of ours, never of the data.
    """

    stage: str
    key: str
    rows_in: int
    rows_out: int
    quarantined: int = 0
    duplicates: int = 0
    dead_letters: int = 0
    seconds: float = 0.0
    notes: Mapping[str, Any] = field(default_factory=dict)
    outside_window: int = 0

    def __post_init__(self) -> None:
        accounted = (
            self.rows_out
            + self.quarantined
            + self.duplicates
            + self.dead_letters
            + self.outside_window
        )
        if self.rows_in != accounted:
            raise ValueError(
                f"stage {self.stage} lost count: {self.rows_in} rows in, but {self.rows_out} out + "
                f"{self.quarantined} quarantined + {self.duplicates} duplicates + "
                f"{self.dead_letters} dead letters + {self.outside_window} outside the window "
                f"= {accounted}"
            )

    def took(self, seconds: float) -> Receipt:
        return replace(self, seconds=round(seconds, 3))

    def to_dict(self) -> dict[str, Any]:
        return {
            "stage": self.stage,
            "key": self.key,
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "quarantined": self.quarantined,
            "duplicates": self.duplicates,
            "dead_letters": self.dead_letters,
            "outside_window": self.outside_window,
            "seconds": self.seconds,
            "notes": dict(self.notes),
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Receipt:
        return cls(**value)
