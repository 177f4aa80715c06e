"""MLflow's SQLite file: made once, under a lock; brought up to date where an older MLflow wrote it,
after a copy was put into the folder `kept`; refused where a newer one did.

Two processes on a new file crash one of them ('duplicate column name'), an upgrade that is killed
midway leaves a file that no MLflow reads, and a server goes on writing into a file that was taken
from under it: hence the lock, the file that is renamed into place only when whole, and the upgrade
of a copy while nobody else has the file open.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tasks.errors import StoreBusyError, StoreError

_LOCK_TIMEOUT_S = 60.0
_WRITE_TIMEOUT_S = 30.0


def configure_models() -> None:
    """Have SQLAlchemy set MLflow's table classes up now, without its warnings about them.

    They use a loader that SQLAlchemy 2.1 deprecates; nobody here can mend that, and a process that
    treats warnings as errors would fail over it later, in the middle of something.
    """
    import mlflow.store.model_registry.dbmodels.models
    import mlflow.store.tracking.dbmodels.models  # noqa: F401
    from sqlalchemy.exc import SADeprecationWarning
    from sqlalchemy.orm import configure_mappers

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SADeprecationWarning)
        configure_mappers()


def say(line: str) -> None:
    print(f"flywheel: {line}", file=sys.stderr, flush=True)


def prepare_database(path: Path, kept: Path, tell: Callable[[str], None] = say) -> None:
    """Make the file with the schema of the installed MLflow, or bring it to that schema; `kept`:
    the folder for a copy of what an older MLflow wrote, which is told in a line.

    Raises StoreError when the file is no database or of a newer MLflow, StoreBusyError when
    another process holds the lock for a minute, or has the file open that must be upgraded.
    """
    try:
        if _is_current(path):
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock", timeout=_LOCK_TIMEOUT_S):
            if not path.exists() or path.stat().st_size == 0:
                _create(path)
            elif not _is_current(path):  # another process may have been first
                _upgrade(path, kept, tell)
    except Timeout:
        raise StoreBusyError(
            "another process has been making or upgrading MLflow's database for a minute",
            received=str(path),
            next=f"wait for it, or delete {path.name}.lock if no flywheel is running",
        ) from None
    except OSError as error:
        raise StoreError(
            f"MLflow's database cannot be made: {error.strerror or error}", received=str(path)
        ) from None


def _create(path: Path) -> None:
    from mlflow.store.db.utils import _initialize_tables

    configure_models()
    _put_in_place(_unfinished(path), path, _initialize_tables)


def _upgrade(path: Path, kept: Path, tell: Callable[[str], None]) -> None:
    import mlflow
    from mlflow.store.db.utils import _upgrade_db

    revision = _revision(path)
    _alone(path)
    kept.mkdir(mode=0o700, parents=True, exist_ok=True)
    copy = kept / f"{path.stem}-schema-{revision}-{time.strftime('%Y%m%dT%H%M%S')}.db"
    unfinished = _unfinished(path)
    for target in (copy, unfinished):
        _copy(path, target)
    configure_models()
    _put_in_place(unfinished, path, _upgrade_db)
    tell(
        f"MLflow's database was of an older MLflow (schema {revision}) and is of MLflow "
        f"{mlflow.__version__} now · as it was: {copy}"
    )


def _unfinished(path: Path) -> Path:
    """Where a file is made that is renamed to `path` when it is whole; nothing is there."""
    unfinished = path.with_name(f"{path.name}.new")
    for suffix in ("", "-wal", "-shm"):
        Path(f"{unfinished}{suffix}").unlink(missing_ok=True)
    return unfinished


def _put_in_place(unfinished: Path, path: Path, make: Callable[[Any], None]) -> None:
    from sqlalchemy import create_engine

    engine = create_engine(f"sqlite:///{unfinished}")
    try:
        make(engine)
    finally:
        engine.dispose()
    with contextlib.closing(sqlite3.connect(unfinished)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    # the last connection has folded the write-ahead log into the file
    os.replace(unfinished, path)


def _alone(path: Path) -> None:
    """Fold the write-ahead log into the file, which SQLite does only where nobody else has it open.

    Raises StoreBusyError where somebody has.
    """
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=0)) as connection:
            ((mode,),) = connection.execute("PRAGMA journal_mode=DELETE").fetchall()
    except sqlite3.OperationalError:
        mode = "held"
    if mode != "delete":
        raise StoreBusyError(
            "MLflow's database is of an older MLflow and must be upgraded, but is in use",
            received=str(path),
            next="stop what has it open (flywheel ui, flywheel up, mlflow server), then run the "
            "same command again",
        )


def _copy(path: Path, target: Path) -> None:
    """By SQLite's own backup; readable by its owner alone."""
    target.touch(mode=0o600)
    with (
        contextlib.closing(sqlite3.connect(path)) as source,
        contextlib.closing(sqlite3.connect(target)) as copy,
    ):
        source.backup(copy)


def write_anew(path: Path) -> None:
    """The file without the bytes of what was deleted, and its log emptied.

    Raises StoreBusyError where somebody reads or writes it, StoreError where it is damaged.
    """
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=_WRITE_TIMEOUT_S)) as connection:
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute("VACUUM")
            ((is_held, *_),) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except sqlite3.OperationalError as error:
        raise _held(path, str(error)) from None
    except sqlite3.DatabaseError as error:
        raise damaged_database(path, str(error)) from None
    if is_held:
        raise _held(path, "its log is being read")


def _held(path: Path, said: str) -> StoreBusyError:
    return StoreBusyError(
        f"MLflow's database cannot be written anew, and may hold what was deleted: {said}",
        received=str(path),
        next="stop the process that holds it, then run the same command again",
    )


def _is_current(path: Path) -> bool:
    """Whether the file is there with the schema of the installed MLflow.

    Raises StoreError where that MLflow does not know its schema: a newer one wrote it.
    """
    if not path.exists() or path.stat().st_size == 0:
        return False
    import mlflow

    found, known = _revision(path), _known_revisions()
    if found == known[0]:
        return True
    if found in known:
        return False
    raise StoreError(
        "MLflow's database was written by a newer MLflow, or is none of MLflow's",
        received=f"{path}, schema {found or 'unknown'}",
        allowed=f"schema {known[0]} (MLflow {mlflow.__version__}), or an older one",
        next="install the MLflow that wrote it; or go back to the copy in `kept` of the state "
        "folder that was made before the upgrade; or move the file away: a new one is made, and "
        "the store has all that was decided",
    )


def _known_revisions() -> list[str]:
    """Of the installed MLflow's schema, the newest first."""
    from alembic.script import ScriptDirectory
    from mlflow.store.db.utils import _get_alembic_config

    scripts = ScriptDirectory.from_config(_get_alembic_config(db_url=""))
    return [script.revision for script in scripts.walk_revisions()]


def _revision(path: Path) -> str | None:
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=30)) as connection:
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
            if "alembic_version" not in tables:
                return None
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            return None if row is None else str(row[0])
    except sqlite3.OperationalError as error:
        raise StoreBusyError(
            f"MLflow's database does not answer: {error}",
            received=str(path),
            next="stop the process that holds it, then run the same command again",
        ) from None
    except sqlite3.DatabaseError as error:
        raise damaged_database(path, str(error)) from None


def damaged_database(path: Path, said: str) -> StoreError:
    return StoreError(
        f"MLflow's database is damaged, runs may be missing: {said}",
        received=str(path),
        next="flywheel restore BACKUP --force, which keeps this one; or move it away: a new one is "
        "made",
    )
