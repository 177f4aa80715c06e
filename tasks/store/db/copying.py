"""Whole copies of a database through DuckDB: what they hold is what its tables hold, and no more.

A file keeps the bytes of deleted and replaced rows in its free blocks, and neither CHECKPOINT nor
VACUUM overwrites or gives them back; a copy has none. Making one reads every block, so a damaged
one is found.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb

from expectations.checks import quoted, sql_literal
from tasks.interrupts import let_signals_stop
from tasks.store.db.damage import unusable
from tasks.store.db.schema import schema_version

#: nothing in a log may make DuckDB reach out: no extension is fetched, none loads by itself
CONFIG = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
#: begins the name of what is not whole yet
UNFINISHED = ".unfinished-"


def copy_tables(connection: duckdb.DuckDBPyConnection, database: str, target: Path) -> None:
    """All tables of an attached database into a new file, which is there whole or not at all.

    Raises duckdb.Error, OSError; what is at `target` already is replaced.
    """
    unfinished = target.with_name(f"{UNFINISHED}{target.name}")
    _remove(unfinished)
    try:
        connection.execute(f"ATTACH {sql_literal(str(unfinished))} AS copied")
        try:
            connection.execute(f"COPY FROM DATABASE {quoted(database)} TO copied")
        except BaseException:
            with suppress(duckdb.Error):
                connection.execute("DETACH copied")
            raise
        connection.execute("DETACH copied")
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        unfinished.replace(target)
    finally:
        _remove(unfinished)


def copy_database(source: Path, target: Path) -> Path:
    """The same of a file that nobody writes; returns `target`. Readers may have it open.

    Raises StoreError where it is damaged.
    """
    # what does not fit into memory: a database in memory would put it into the working folder
    spill = target.with_name(f"{UNFINISHED}spill")
    config: dict[str, Any] = {**CONFIG, "temp_directory": str(spill)}
    with _told(source), duckdb.connect(config=config) as connection:
        let_signals_stop(connection)
        connection.execute(f"ATTACH {sql_literal(str(source))} AS source (READ_ONLY)")
        copy_tables(connection, "source", target)
    return target


def version_of(path: Path) -> int:
    """The schema of a store that nobody has open. Raises StoreError where it cannot be opened."""
    with _told(path), duckdb.connect(str(path), read_only=True, config=dict(CONFIG)) as connection:
        return schema_version(connection)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        raise unusable(path, error) from error


def remove_unfinished(*folders: Path) -> None:
    """Copies that a killed process was making."""
    for folder in folders:
        for path in folder.glob(f"{UNFINISHED}*"):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _remove(path: Path) -> None:
    for suffix in ("", ".wal"):
        path.with_name(f"{path.name}{suffix}").unlink(missing_ok=True)
