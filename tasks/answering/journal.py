"""What was paid for, written down at once: a file beside the store, which is closed meanwhile.

One line an event: a request that goes out, an answer that came, a request that cost nothing. A
completion is in the file before anybody else is told of it, so whatever ends this process, none is
paid for twice (where the machine ends, the last half second may be lost); and a request is in it
before it goes out, so that none escapes the budget. `fold` puts a file into the store and removes
it: after every chunk, and at the start of the next run.

Its texts are those of the completions table, its file is the owner's alone.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from tasks.answering import spool
from tasks.backends.base import Usage
from tasks.errors import StoreError
from tasks.settings import Settings
from tasks.store import Store
from tasks.store.evals import answers as table
from tasks.store.evals.spending import Spent, save_spending
from tasks.store.opening import open_store

JOURNAL_FILE = "completions.journal"
_OWNER_ONLY = 0o600
#: every answer would hold up those that wait to be read
_SYNCED_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Amount:
    """Tokens of a request, and what they cost."""

    input_tokens: int
    output_tokens: int
    cost: float = 0.0

    @classmethod
    def of(cls, usage: Usage, cost: float) -> Amount:
        return cls(usage.input_tokens, usage.output_tokens, cost)


NOTHING = Amount(0, 0)


class Journal:
    """Written by one process, which holds the run lock; made with its first line."""

    def __init__(self, home: Path, run_id: str, currency: str) -> None:
        self._path = home / JOURNAL_FILE
        self._head = {"journal": uuid.uuid4().hex, "run_id": run_id, "currency": currency}
        self._file: int | None = None
        self._synced_at = 0.0
        self.is_written = False

    def sent(self, attempt: int, release_digest: str, worst: Amount) -> None:
        """Before it goes out. `worst` counts where nothing else is written of it."""
        self._write({"sent": attempt, "release": release_digest, "amount": asdict(worst)})

    def ended(self, attempt: int, amount: Amount) -> None:
        """Without an answer to keep."""
        self._write({"ended": attempt, "amount": asdict(amount)})

    def arrived(self, attempt: int, amount: Amount, row: dict[str, Any]) -> None:
        """A row of the completions table."""
        self._write({"ended": attempt, "amount": asdict(amount), "row": row})
        if time.monotonic() - self._synced_at > _SYNCED_EVERY_S:
            self._sync()

    def close(self) -> None:
        if self._file is not None:
            self._sync()
            os.close(self._file)
            self._file = None

    def _sync(self) -> None:
        assert self._file is not None, "it was written to"
        os.fsync(self._file)
        self._synced_at = time.monotonic()

    def _write(self, line: dict[str, Any]) -> None:
        try:
            if self._file is None:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
                self._file = os.open(self._path, flags, _OWNER_ONLY)
                self.is_written = True
                self._append(self._head)
            self._append(line)
        except OSError as error:
            raise StoreError(
                f"what an API answered cannot be written down: {error.strerror}",
                received=str(self._path),
                next="make room there; the same command goes on where it stopped",
            ) from error

    def _append(self, line: dict[str, Any]) -> None:
        assert self._file is not None, "it is open"
        data = json.dumps(line, default=_text).encode() + b"\n"
        while data:
            data = data[os.write(self._file, data) :]


@dataclass(slots=True)
class _Found:
    """What a file holds, as far as it was written whole."""

    head: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    release_of: dict[int, str] = field(default_factory=dict)
    amounts: dict[int, Amount] = field(default_factory=dict)


def fold(store: Store, home: Path, now: datetime) -> int:
    """Put what a journal and the spool hold into the store, and remove them; the number of their
    completions. Killed in between, they are read again and change nothing."""
    num_spooled = 0
    if spool.is_left(home):
        with store.transaction():
            num_spooled = table.save_completions(store, list(spool.rows_left(home)))
        spool.put_all_away(home)
    return num_spooled + _fold_journal(store, home, now)


def _fold_journal(store: Store, home: Path, now: datetime) -> int:
    path = home / JOURNAL_FILE
    if not path.exists():
        return 0
    data = path.read_bytes()
    found = _read(data)
    if found.head:
        with store.transaction():
            table.save_completions(store, found.rows)
            save_spending(store, list(_spending(found, now)))
    elif b"\n" in data:  # else it was killed in its first line, before anything was sent
        raise StoreError(
            "what was written down of answers that were paid for cannot be read",
            received=str(path),
            next="keep that file elsewhere; without it what is in it is asked and paid once more",
        )
    path.unlink()
    return len(found.rows)


def recover(settings: Settings, now: datetime) -> None:
    """What a killed run had paid for comes into the store; without it nothing is opened."""
    home = settings.home_path
    if (home / JOURNAL_FILE).exists() or spool.is_left(home):
        with open_store(settings) as store:
            fold(store, home, now)


def _read(data: bytes) -> _Found:
    found = _Found()
    for line in data.split(b"\n"):
        with suppress(ValueError, KeyError, TypeError):  # the last one may be cut
            value = json.loads(line)
            if "journal" in value:
                found.head = value
            elif "sent" in value:
                found.release_of[value["sent"]] = value["release"]
                found.amounts[value["sent"]] = Amount(**value["amount"])
            else:
                found.amounts[value["ended"]] = Amount(**value["amount"])
                if "row" in value:
                    created_at = datetime.fromisoformat(value["row"]["created_at"])
                    found.rows.append({**value["row"], "created_at": created_at})
    return found


def _spending(found: _Found, now: datetime) -> Iterator[dict[str, Any]]:
    sums: dict[str, Spent] = {}
    for attempt, release in found.release_of.items():
        amount = found.amounts[attempt]
        sums[release] = sums.get(release, Spent()).plus(
            1, amount.input_tokens, amount.output_tokens, amount.cost
        )
    for release, spent in sums.items():
        yield {
            "journal_id": found.head["journal"],
            "release_digest": release,
            "run_id": found.head["run_id"],
            **asdict(spent),
            "currency": found.head["currency"],
            "created_at": now,
        }


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(type(value).__name__)
