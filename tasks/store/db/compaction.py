"""The file of the store anew, without the blocks that hold what was deleted."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import duckdb

from tasks.errors import StoreBusyError, StoreError
from tasks.store.db.copying import UNFINISHED, copy_database

#: a file of which less is free is left as it is: compacting reads and writes all of it
_WORTH_SHARE = 0.1


class NoRoomError(StoreError):
    transient = True


def is_worth_it(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether much of the file is in no use."""
    ((used, free),) = connection.execute(
        "SELECT used_blocks, free_blocks FROM pragma_database_size()"
    ).fetchall()
    return bool(free > _WORTH_SHARE * (used + free))


def compact(path: Path) -> None:
    """Write a new file and put it in place of the old one, at once; readers keep what they opened.

    Needs as much room as the tables take. Call it with the run lock and the store closed. Raises
    StoreError on damage and where there is no room, StoreBusyError where somebody wrote meanwhile;
    the store is then as it was.
    """
    log = path.with_name(f"{path.name}.wal")
    before = path.stat()
    if shutil.disk_usage(path.parent).free < before.st_size:
        raise NoRoomError(
            "there is no room to compact the store: what was purged left its tables, and may still "
            "stand in the file",
            received=f"{path}, {before.st_size:,} bytes",
            next="make room, then flywheel purge",
        )
    copied = copy_database(path, path.with_name(f"{UNFINISHED}compact-{path.name}"))
    after = path.stat()
    if log.exists() or (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size):
        copied.unlink()
        raise StoreBusyError(
            "the store was written to while it was compacted; what was purged left its tables, "
            "and may still stand in the file",
            received=str(path),
            next="flywheel purge once more",
        )
    copied.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
