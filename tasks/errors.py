"""Every error a user can meet.

    FlywheelError            what, received, allowed, next command; exit code 4
    ├── UsageError           wrong argument, setting, file or release        exit code 2
    │   └── ConfigurationError     several of them, each by its key          exit code 2
    ├── HeldError            what was asked for is not done, for a reason    exit code 1
    ├── DataError            the data failed validation as a whole           exit code 3
    └── StoreError           a store does not answer or is held              exit code 4
        ├── StoreMemoryError       what it was to take needs more memory         exit code 4
        ├── StoreBusyError         another process holds it (transient)      exit code 4
        ├── StoreFencedError       another machine took the store over       exit code 4
        ├── StoreDamagedError      it holds other bytes than were written    exit code 4
        └── StoreUnreachableError  a server does not answer (transient)      exit code 4

`transient` marks what a retry may cure; retries read that mark and nothing else.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tasks.model.visible import one_line


class FlywheelError(Exception):
    """One clear line: what happened, what was received, what is allowed, what to do next."""

    exit_code = 4
    transient = False
    #: what `--json` adds to the error, where there is more to say than a line
    counts: Mapping[str, object] = MappingProxyType({})

    def __init__(self, what: str, *, received: str = "", allowed: str = "", next: str = "") -> None:
        self.what = what
        self.received = received
        self.allowed = allowed
        self.next = next
        super().__init__(self.line())

    def line(self) -> str:
        parts = [self.what]
        if self.received:
            parts.append(f"received: {self.received}")
        if self.allowed:
            parts.append(f"allowed: {self.allowed}")
        if self.next:
            parts.append(f"next: {self.next}")
        return " · ".join(one_line(part) for part in parts)


class UsageError(FlywheelError):
    exit_code = 2


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one key of the settings, or what it points at."""

    key: str
    error: UsageError

    @property
    def message(self) -> str:
        return self.error.line()

    def to_dict(self) -> dict[str, str]:
        return {"key": self.key, "message": self.message}


class ConfigurationError(UsageError):
    """All that is wrong with the configuration; the line tells the first and how many there are."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        self.counts = {"problems": [problem.to_dict() for problem in problems]}
        first = problems[0]
        named = "" if first.key in first.error.what else f"{first.key}: "
        more = f"flywheel check, which tells all {len(problems)} problems"
        super().__init__(
            f"{named}{first.error.what}",
            received=first.error.received,
            allowed=first.error.allowed,
            next=more if problems[1:] else first.error.next,
        )


class HeldError(FlywheelError):
    exit_code = 1


class DataError(FlywheelError):
    exit_code = 3


class StoreError(FlywheelError):
    exit_code = 4


class StoreMemoryError(StoreError):
    pass


class StoreBusyError(StoreError):
    transient = True


class StoreDamagedError(StoreError):
    pass


class StoreFencedError(StoreError):
    """Of the store that machines share: nothing of the transaction is kept."""

    transient = True


class StoreUnreachableError(StoreError):
    transient = True


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """What to say after a word that is not known; nothing where none is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f": did you mean {near[0]!r}?" if near else ""
