"""What was kept long enough leaves the state folder, and its files: raw bytes, and calls where
`[retention] calls_days` says how long.

Held raw are dead letters, quarantined rows, piped-in logs that were not read, and copies of the
store made before a migration or a restore, which hold all of it as it was. Whoever calls holds the
run lock.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tasks.logs.files.log_file import spool_folder
from tasks.settings import Settings
from tasks.store.db.compaction import compact, is_worth_it
from tasks.store.db.snapshot import remove_leftovers
from tasks.store.folder import KEPT
from tasks.store.held import retention
from tasks.store.held.raw_key import RawKey
from tasks.store.intake import expiry
from tasks.store.opening import open_store, store_exists

#: a century: nothing in a store is as old
_FOR_EVER_DAYS = 36_525.0
#: of a copy of the store, which was made to go back to within some days
KEPT_DAYS = 7.0
#: a reader or a query that is at work has touched its own files in that time
_AT_WORK_S = 60.0


@dataclass(frozen=True, slots=True)
class Purged:
    """What left, or would leave: rows by kind, files, and bytes of the store before and after.

    `calls`: of which no sample was made, with what was said of them.
    `other_keys`: rows that stay, sealed under a key that is not at hand.
    """

    dead_letters: int
    quarantined: int
    calls: int
    piped_logs: int
    copies: tuple[str, ...]
    bytes_before: int
    bytes_after: int
    other_keys: int

    @property
    def anything(self) -> bool:
        rows = self.dead_letters or self.quarantined or self.calls
        return bool(rows or self.piped_logs or self.copies)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def purge(
    settings: Settings,
    key: RawKey | None,
    now: datetime,
    *,
    raw_days: float | None,
    kept_days: float = KEPT_DAYS,
    always_compact: bool = False,
    dry_run: bool = False,
    reading: Collection[str] = (),
) -> Purged:
    """Take raw bytes that are older than `raw_days` (None: they are kept for ever) and calls that
    are older than the settings keep them, and compact the store where that is asked for, where raw
    bytes left it, or where much of it is free and may hold what was deleted.

    `now`: UTC without a zone. `reading`: files that stay, whatever their age, for they are about to
    be read. Raises StoreError where the store is held or damaged.
    """
    home, path = settings.home_path, settings.store_path
    before = now - timedelta(days=_FOR_EVER_DAYS if raw_days is None else raw_days)
    letters = rows = calls = others = size = 0
    compacts = always_compact
    if store_exists(settings):
        with open_store(settings, raw_key=key, read_only=dry_run) as store:
            with store.transaction():
                take = retention.count_raw if dry_run else retention.drop_raw
                letters, rows = take(store, before)
                if settings.retention.calls_days:
                    expire = expiry.count_expired if dry_run else expiry.drop_expired
                    calls = expire(store, now - timedelta(days=settings.retention.calls_days))
                others = retention.other_keys(store)
            compacts = compacts or bool(letters or rows) or is_worth_it(store.connection)
        size = path.stat().st_size
    piped = [path for path in _older(spool_folder(home), before) if str(path) not in reading]
    copies = _older(home / KEPT, now - timedelta(days=kept_days))
    if not dry_run:
        for file in (*piped, *copies):
            remove(file)
        if always_compact:
            clear_rests(home, path)
        if compacts and path.exists():
            compact(path)
    return Purged(
        letters,
        rows,
        calls,
        len(piped),
        tuple(file.name for file in copies),
        size,
        path.stat().st_size if path.exists() else 0,
        others,
    )


def _older(folder: Path, before: datetime) -> list[Path]:
    """What lies in the folder and was last written before then."""
    if not folder.is_dir():
        return []
    limit = before.replace(tzinfo=UTC).timestamp()
    return sorted(path for path in folder.iterdir() if path.stat().st_mtime < limit)


def remove(path: Path) -> None:
    """A file, or a folder with all that is in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def clear_rests(home: Path, path: Path) -> None:
    """What readers and queries of the store at `path` left on disk when they were killed."""
    remove_leftovers(home, _AT_WORK_S)
    _remove_spilled(path)


def _remove_spilled(path: Path) -> None:
    """What queries that were killed had put on disk."""
    folder = path.with_name(f"{path.name}.tmp")
    if folder.is_dir():
        for file in folder.iterdir():
            with suppress(FileNotFoundError):
                if time.time() - file.stat().st_mtime > _AT_WORK_S:
                    file.unlink()
