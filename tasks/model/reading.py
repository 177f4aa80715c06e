"""How much of the history of calls was read, and what a call that was read stands for.

A history longer than `[curate] max_calls` is read in part. Its calls are in groups: by what people
gave to them, and by task. Of each group every session, or call without one, is read with the same
known chance, so a call stands for 1 / that chance of calls (Horvitz & Thompson, "A generalization
of sampling without replacement from a finite universe", 1952).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Part:
    """Calls of the history that are asked for: those that began before `until` (of a night that is
    turned late, as if nothing had come in since) or nobody knows when, after `since`, of the task.
    None: whenever, of any."""

    until: datetime | None = None
    since: datetime | None = None
    task: str | None = None


EVERYTHING = Part()

#: somebody wrote the right answer to a call of the session; judged one; neither
WRITTEN, JUDGED, UNJUDGED = KINDS = ("written", "judged", "unjudged")


@dataclass(frozen=True, slots=True)
class Group:
    """Calls that are read with one chance. `task`: the rarest in the session, so that it is not
    lost among the others."""

    kind: str
    task: str
    num_calls: int
    num_read: int
    chance: float


@dataclass(frozen=True, slots=True)
class Reading:
    """Of `num_calls` calls of the history `num_read` were looked at; `groups` of a history that
    was read in part."""

    num_calls: int
    num_read: int
    groups: tuple[Group, ...] = ()

    @property
    def num_not_sampled(self) -> int:
        return self.num_calls - self.num_read

    @property
    def is_in_part(self) -> bool:
        return bool(self.groups)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "groups": [asdict(group) for group in self.groups]}
