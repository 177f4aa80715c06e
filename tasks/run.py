"""The run: what was asked of one turn of the flywheel, as a value that every stage is given."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from tasks.logs.files.log_file import without_password
from tasks.model.answer import Role
from tasks.settings import Settings
from tasks.store import Store


class Progress(Protocol):
    """Told by a stage how far it is. Never decides anything."""

    def __call__(self, stage: str, done: int, total: int | None, note: str = "") -> None: ...


def silent(stage: str, done: int, total: int | None, note: str = "") -> None:
    """Progress for those who do not look."""


def utc_now() -> datetime:
    """Now in UTC without a zone, as the store keeps times."""
    return datetime.now(UTC).replace(tzinfo=None)


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What was asked: the part of a run that identifies it for a resume.

    `since` and `until` as they were given: an age counts back from when the run began.
    """

    logs: tuple[str, ...] = ()
    log_format: str = "auto"
    champion: str = ""
    challenger: str = ""
    seed: int = 0
    stages: tuple[str, ...] = ()
    since: str = ""
    until: str = ""
    #: what to replay: log files, expectations, request ids, beginnings of ids; none: everything
    only: tuple[str, ...] = ()
    #: the evaluated run whose scores are decided on; empty: this run evaluates its own
    scores_of: str = ""
    #: the settings file, so that the command for the same run can be written down
    config: str = ""

    @property
    def releases(self) -> Mapping[Role, str]:
        """Role → name of the release that plays it."""
        return {"champion": self.champion, "challenger": self.challenger}

    def to_json(self) -> str:
        """For the store: addresses are without passwords."""
        values = {name: getattr(self, name) for name in self.__slots__}
        values["logs"] = [without_password(log) for log in self.logs]
        return json.dumps(values, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> RunRequest:
        values: dict[str, Any] = json.loads(text)
        for name, value in values.items():
            values[name] = tuple(value) if isinstance(value, list) else value
        return cls(**values)

    def digest(self, settings: Settings) -> str:
        return hashlib.sha256(f"{self.to_json()}{settings.digest}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Run:
    """One run at work: its id, what was asked, the settings, and where to tell progress."""

    run_id: str
    request: RunRequest
    settings: Settings
    progress: Progress = field(default=silent, compare=False)
    clock: Callable[[], datetime] = field(default=utc_now, compare=False)

    def open_store(self, *, read_only: bool = False) -> AbstractContextManager[Store]:
        """The store, open for the length of the `with` block."""
        return Store.open(self.settings.store_path, read_only=read_only)
