"""A run at work in this process: what was asked, the settings here, and where to tell progress."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from tasks.model.run import RunRequest
from tasks.model.window import Window, window
from tasks.settings import Settings
from tasks.store import Store
from tasks.store.control import ledger
from tasks.store.held.raw_key import RawKey, find_raw_key
from tasks.store.opening import open_store


class Progress(Protocol):
    """Told by a stage how far it is. Never decides anything."""

    def __call__(self, stage: str, done: int, total: int | None, note: str = "") -> None: ...


def silent(stage: str, done: int, total: int | None, note: str = "") -> None:
    """Progress for those who do not look."""


def utc_now() -> datetime:
    """Now in UTC without a zone, as the store keeps times."""
    return datetime.now(UTC).replace(tzinfo=None)


def raw_key(settings: Settings) -> RawKey | None:
    """What seals the raw bytes that are held, where the settings or the environment have a key."""
    key_file = settings.retention.raw_key_file
    return find_raw_key(settings.path(key_file) if key_file else None, settings.home_path)


@dataclass(frozen=True, slots=True)
class Run:
    """One run at work: its id, what was asked, the settings, and where to tell progress."""

    run_id: str
    request: RunRequest
    settings: Settings
    progress: Progress = field(default=silent, compare=False)
    clock: Callable[[], datetime] = field(default=utc_now, compare=False)

    @property
    def seeds(self) -> range:
        """Those of the repeats. Runs whose seeds lie closer than that share completions: choose
        them at least `repeats` apart where runs must be independent."""
        first = self.request.seed
        return range(first, first + (self.request.repeats or self.settings.evaluate.repeats))

    def window(self, store: Store) -> Window:
        """What its calls must have started in. Ages count back from when it began, so a resumed run
        has the same."""
        began = ledger.began_at(store, self.run_id) or self.clock()
        return window(self.request.since, self.request.until, began)

    def open_store(self, *, read_only: bool = False) -> AbstractContextManager[Store]:
        """The store, open for the length of the `with` block."""
        return open_store(self.settings, read_only=read_only, raw_key=raw_key(self.settings))
