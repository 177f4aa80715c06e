"""One DuckDB file: opening it, transactions, and the few ways rows go in and out.

One writer at a time: DuckDB locks the file for a process that writes. A second writer waits
`lock_timeout_s`, then gets a StoreBusyError that names the holder; a reader gets a snapshot of the
last commit. Every write of a stage is one transaction, so a process killed at any instruction
leaves either all of it or nothing.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import duckdb

from expectations.contracts import TableContract
from tasks.errors import StoreBusyError, StoreError, StoreMemoryError
from tasks.store.db.schema import is_outdated, migrate
from tasks.store.db.snapshot import UnsteadyError, remove_leftovers, snapshot

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Existing = Literal["refuse", "keep", "replace"]

_POLL_S = 0.1
#: in errors of DuckDB that are of other kinds
_OUT_OF_MEMORY = ("failed to pin block", "bad allocation", "Allocation failure", "MemoryError")
#: nothing in a log may make DuckDB reach out: no extension is fetched, none loads by itself
_CONFIG = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}


class Store:
    """An open store. Not shared between threads; cursors of `connection` may be."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, path: Path) -> None:
        self.connection = connection
        self.path = path
        self._in_transaction = False

    @classmethod
    @contextmanager
    def open(
        cls, path: Path, *, read_only: bool = False, lock_timeout_s: float = 5.0
    ) -> Iterator[Store]:
        """Open (and, unless read-only, create) the store at `path`; one that an earlier build wrote
        is migrated, also where it is only read.

        Raises StoreBusyError when another process holds it (read-only: and there is no room for a
        copy), StoreError when it cannot be opened or, read-only, does not exist.
        """
        connection = _connect_to_read(path) if read_only else _connect(path, lock_timeout_s)
        if read_only and is_outdated(connection):
            connection.close()
            with cls.open(path, lock_timeout_s=lock_timeout_s):
                pass
            connection = _connect_to_read(path)
        try:
            if not read_only:
                migrate(connection)
            yield cls(connection, path)
        finally:
            connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing. Nested use joins the outer transaction.

        Raises StoreMemoryError where it takes more memory than there is.
        """
        if self._in_transaction:
            yield
            return
        self.connection.execute("BEGIN")
        self._in_transaction = True
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException as error:
            with suppress(duckdb.Error):  # a failed COMMIT has already ended the transaction
                self.connection.execute("ROLLBACK")
            if isinstance(error, duckdb.Error) and _is_out_of_memory(error):
                raise StoreMemoryError(
                    "the store cannot take this in for want of memory",
                    received=str(self.path),
                    next="raise the memory limit of the process (ulimit -v), or of the machine",
                ) from error
            raise
        finally:
            self._in_transaction = False

    def hold_memory(self, max_bytes: int | None) -> None:
        """DuckDB spills to disk beyond this, until the store is closed (None: 80% of all)."""
        if max_bytes is None:
            self.execute("RESET memory_limit")
            return
        self.execute(f"SET memory_limit = '{max_bytes >> 20}MiB'")
        with suppress(duckdb.CatalogException):  # older ones do not hold as much back
            self.execute("SET write_buffer_row_group_count = 1")

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        self.connection.execute(sql, list(parameters))

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql, list(parameters)).fetchall()

    def one(self, sql: str, parameters: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """The first row. Fetches all: an unfinished result would block the connection."""
        rows = self.rows(sql, parameters)
        return rows[0] if rows else None

    def scalar(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        row = self.one(sql, parameters)
        return None if row is None else row[0]

    def frame(self, sql: str, parameters: Sequence[Any] = ()) -> pd.DataFrame:
        return self.connection.execute(sql, list(parameters)).df()

    def arrow(self, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        # of a relation, not of a cursor: that one copies all rows once more, and warns
        return self.connection.sql(sql, params=list(parameters)).to_arrow_table()

    def insert(
        self,
        contract: TableContract,
        rows: Iterable[dict[str, Any]],
        *,
        table: str | None = None,
        existing: Existing = "refuse",
    ) -> int:
        """Insert rows (dicts by column name; a missing column is NULL); returns rows handed in.

        Goes through Arrow, so 100,000 rows take about a second. `existing`: what becomes of a row
        whose key is there already. JSON columns take JSON text. Raises KeyError on an unknown
        column.
        """
        batch = list(rows)
        if not batch:
            return 0
        from tasks.store.db.arrow import table_from_rows

        incoming = table_from_rows(contract, batch)
        self.insert_table(contract, incoming, table=table, existing=existing)
        return len(batch)

    def insert_table(
        self,
        contract: TableContract,
        incoming: pa.Table | pa.RecordBatchReader,
        *,
        table: str | None = None,
        existing: Existing = "refuse",
    ) -> None:
        """Insert Arrow rows that have all of the contract's columns."""
        columns = ", ".join(f'"{name}"' for name in contract.column_names)
        insert = {"refuse": "INSERT", "keep": "INSERT OR IGNORE", "replace": "INSERT OR REPLACE"}
        with self.lent("incoming_rows", incoming):
            self.connection.execute(
                f'{insert[existing]} INTO "{table or contract.name}" ({columns}) '
                f"SELECT {columns} FROM incoming_rows"
            )

    @contextmanager
    def lent(self, name: str, rows: pa.Table | pa.RecordBatchReader) -> Iterator[None]:
        """Arrow rows as a table of this name, for the length of the block."""
        self.connection.register(name, rows)
        try:
            yield
        except BaseException:
            with suppress(duckdb.Error):  # which an aborted transaction refuses: the first counts
                self.connection.unregister(name)
            raise
        self.connection.unregister(name)


def _connect(path: Path, lock_timeout_s: float) -> duckdb.DuckDBPyConnection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"the state folder cannot be made: {error.strerror}",
            received=str(path.parent),
            next="set FLYWHEEL_HOME to a folder you may write to",
        ) from None
    remove_leftovers(path.parent)
    deadline = time.monotonic() + lock_timeout_s
    while True:
        try:
            return duckdb.connect(str(path), config=dict(_CONFIG))
        except duckdb.Error as error:
            if not _is_held(error):
                raise _unreadable(path, error) from None
            if time.monotonic() >= deadline:
                raise _busy(path, error) from None
            time.sleep(_POLL_S)


def _connect_to_read(path: Path) -> duckdb.DuckDBPyConnection:
    if not path.exists():
        raise StoreError(
            "there is no store yet", received=str(path), next="flywheel run, or flywheel ingest"
        )
    try:
        return duckdb.connect(str(path), read_only=True, config=dict(_CONFIG))
    except duckdb.Error as error:
        if not _is_held(error):
            raise _unreadable(path, error) from None
        held = error
    spill = f"{tempfile.gettempdir()}/flywheel-{os.getpid()}"
    try:
        with snapshot(path) as copy:
            # it has its files open by the time they are deleted
            return duckdb.connect(
                str(copy), read_only=True, config={**_CONFIG, "temp_directory": spill}
            )
    except (OSError, UnsteadyError):
        raise _busy(path, held) from None
    except duckdb.Error as error:
        raise _unreadable(path, error) from None


def _is_out_of_memory(error: BaseException | None) -> bool:
    """Whether it is, or was raised over one that is."""
    if error is None:
        return False
    if isinstance(error, duckdb.OutOfMemoryException | MemoryError):
        return True
    says = isinstance(error, duckdb.Error) and any(sign in str(error) for sign in _OUT_OF_MEMORY)
    return says or _is_out_of_memory(error.__context__)


def _is_held(error: duckdb.Error) -> bool:
    return isinstance(error, duckdb.IOException) and "lock" in str(error).lower()


def _busy(path: Path, error: duckdb.Error) -> StoreBusyError:
    holder = re.search(r"PID (\d+)", str(error))
    return StoreBusyError(
        "another process holds the store",
        received=f"{path}" + (f", held by process {holder.group(1)}" if holder else ""),
        next="wait for it to finish, or stop it, then run the same command again",
    )


def _unreadable(path: Path, error: duckdb.Error) -> StoreError:
    return StoreError(
        f"the store cannot be opened: {str(error).splitlines()[0]}",
        received=str(path),
        next="restore it from a backup, or point FLYWHEEL_HOME at another folder",
    )
