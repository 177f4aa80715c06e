"""MLflow's SQLite file: made once, under a lock, and refused when another MLflow wrote it.

Two processes on a new file crash one of them ('duplicate column name'), and a newer MLflow
migrates a file silently so that the older one then refuses it: hence the lock, the file that is
renamed into place only when whole, and the check of the revision.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import warnings
from pathlib import Path

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


def prepare_database(path: Path) -> None:
    """Make the file with the schema of the installed MLflow, or check that it has that schema.

    Raises StoreError when the file is no database or of another MLflow, StoreBusyError when
    another process holds the lock for a minute.
    """
    if path.exists() and path.stat().st_size > 0:
        _check_revision(path)
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock", timeout=_LOCK_TIMEOUT_S):
            if not path.exists() or path.stat().st_size == 0:
                _create(path)
    except Timeout:
        raise StoreBusyError(
            "another process has been making MLflow's database for a minute",
            received=str(path),
            next=f"wait for it, or delete {path.name}.lock if no flywheel is running",
        ) from None
    except OSError as error:
        raise StoreError(
            f"MLflow's database cannot be made: {error.strerror or error}", received=str(path)
        ) from None


def _create(path: Path) -> None:
    from mlflow.store.db.utils import _initialize_tables
    from sqlalchemy import create_engine

    configure_models()
    unfinished = path.with_name(f"{path.name}.new")
    for suffix in ("", "-wal", "-shm"):
        Path(f"{unfinished}{suffix}").unlink(missing_ok=True)
    engine = create_engine(f"sqlite:///{unfinished}")
    try:
        _initialize_tables(engine)
    finally:
        engine.dispose()
    with contextlib.closing(sqlite3.connect(unfinished)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    # the last connection has folded the write-ahead log into the file
    os.replace(unfinished, path)


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


def _check_revision(path: Path) -> None:
    import mlflow
    from mlflow.store.db.utils import _get_latest_schema_revision

    found, expected = _revision(path), str(_get_latest_schema_revision())
    if found == expected:
        return

    raise StoreError(
        "MLflow's database was written by another version of MLflow",
        received=f"{path}, schema {found or 'unknown'}",
        allowed=f"schema {expected} (MLflow {mlflow.__version__})",
        next="install the MLflow that wrote it; or copy the file as a backup, then "
        f"`mlflow db upgrade sqlite:///{path}`",
    )


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
