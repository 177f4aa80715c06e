"""One DuckDB file: opening it, transactions, and the few ways rows go in and out.

One writer at a time: DuckDB locks the file for a process that writes. A second writer waits
`lock_timeout_s`, then gets a StoreBusyError that names the holder; a reader gets a snapshot of the
last commit. Every write of a stage is one transaction, so a process killed at any instruction
leaves either all of it or nothing.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import duckdb

from expectations.contracts import TableContract
from tasks.errors import StoreBusyError, StoreError, StoreMemoryError
from tasks.exhausted import out_of_memory
from tasks.interrupts import let_signals_stop
from tasks.store.db.copying import CONFIG, UNFINISHED, copy_tables, remove_unfinished
from tasks.store.db.damage import explained, refuse_strange_log, unusable
from tasks.store.db.schema import check_version, migrate, refuse_newer, schema_version
from tasks.store.db.snapshot import UnsteadyError, remove_leftovers, snapshot
from tasks.store.folder import KEPT

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from tasks.store.held.raw_key import RawKey

Existing = Literal["refuse", "keep", "replace"]

#: lies beside the store while a restore moves files
RESTORING = "restoring.json"
_POLL_S = 0.1
_ROWS_AT_A_TIME = 2048
#: of file systems without hard links
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)


class Store:
    """An open store. Not shared between threads; cursors of `connection` may be."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, path: Path, raw_key: RawKey | None = None
    ) -> None:
        self.connection = connection
        self.path = path
        #: seals what is held raw, and opens what it sealed
        self.raw_key = raw_key
        self._in_transaction = False

    @classmethod
    @contextmanager
    def open(
        cls,
        path: Path,
        *,
        read_only: bool = False,
        lock_timeout_s: float = 5.0,
        raw_key: RawKey | None = None,
        any_schema: bool = False,
    ) -> Iterator[Store]:
        """Open (and, unless read-only, create) the store at `path`. One that an earlier build wrote
        is migrated, after a copy of it was put into the folder `kept`; read-only, it is refused,
        but for a caller that looks itself whether a table is there (`any_schema`).

        Raises StoreBusyError when another process holds it (read-only: and there is no room for a
        copy), StoreError when it cannot be opened, is of another schema or, read-only, does not
        exist; and from anything inside, where DuckDB finds the file damaged.
        """
        refuse_half_restored(path)
        connection = connect_to_read(path) if read_only else connect(path, lock_timeout_s)
        with using(connection, path):
            if read_only and any_schema:
                refuse_newer(schema_version(connection))
            elif read_only:
                check_version(connection)
            else:
                migrate(connection, lambda: keep_copy(connection, path))
            with interruptible():
                yield cls(connection, path, raw_key)

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
            self.before_commit()
            self.connection.execute("COMMIT")
        except BaseException as error:
            with suppress(duckdb.Error):  # a failed COMMIT has already ended the transaction
                self.connection.execute("ROLLBACK")
            if isinstance(error, duckdb.Error) and out_of_memory(error):
                raise StoreMemoryError(
                    "the store cannot take this in for want of memory",
                    received=str(self.path),
                    next="raise the memory limit of the process (ulimit -v), or of the machine",
                ) from error
            raise
        finally:
            self._in_transaction = False

    def before_commit(self) -> None:
        """For a store that machines share; what it raises undoes the transaction."""

    def beside(self) -> Store:
        """Another connection to it, which sees what is committed: to read while a statement of this
        one is at work."""
        return Store(self.connection.cursor(), self.path, self.raw_key)

    def hold_memory(self, max_bytes: int | None) -> None:
        """DuckDB spills to disk beyond this, until the store is closed (None: 80% of all)."""
        if max_bytes is None:
            self.execute("RESET memory_limit")
            return
        self.execute(f"SET memory_limit = '{max_bytes >> 20}MiB'")
        with suppress(duckdb.CatalogException):  # older ones do not hold as much back
            self.execute("SET write_buffer_row_group_count = 1")

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        with interruptible():
            self.connection.execute(sql, list(parameters))

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with interruptible():
            return self.connection.execute(sql, list(parameters)).fetchall()

    def stream(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows as they come, a few at a time. Taken to the end: an unfinished result would
        block the connection."""
        with interruptible():
            result = self.connection.execute(sql, list(parameters))
            while rows := result.fetchmany(_ROWS_AT_A_TIME):
                yield from rows

    def one(self, sql: str, parameters: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """The first row. Fetches all: an unfinished result would block the connection."""
        rows = self.rows(sql, parameters)
        return rows[0] if rows else None

    def scalar(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        row = self.one(sql, parameters)
        return None if row is None else row[0]

    def frame(self, sql: str, parameters: Sequence[Any] = ()) -> pd.DataFrame:
        with interruptible():
            return self.connection.execute(sql, list(parameters)).df()

    def arrow(self, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        # of a relation, not of a cursor: that one copies all rows once more, and warns
        with interruptible():
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
            self.execute(
                f'{insert[existing]} INTO "{table or contract.name}" ({columns}) '
                f"SELECT {columns} FROM incoming_rows"
            )

    @contextmanager
    def lent(self, name: str, rows: pa.Table | pa.RecordBatchReader) -> Iterator[None]:
        """Arrow rows as a table of this name, for the length of the block."""
        self.connection.register(name, rows)
        with afterwards(lambda: self.connection.unregister(name)):
            yield


@contextmanager
def using(connection: duckdb.DuckDBPyConnection, path: Path) -> Iterator[None]:
    """Close it in the end. Raises StoreError where DuckDB finds the file damaged."""
    let_signals_stop(connection)
    try:
        with afterwards(connection.close):
            yield
    except duckdb.Error as error:
        if (told := explained(path, error)) is not None:
            raise told from error
        raise


@contextmanager
def interruptible() -> Iterator[None]:
    """A signal in the middle of a query interrupts whoever asked it: DuckDB drops what the handler
    of the signal raised, and raises an error of its own, which nobody must take for the query's."""
    try:
        yield
    except RuntimeError as error:
        if str(error) == "Query interrupted":
            raise KeyboardInterrupt from error
        raise


@contextmanager
def afterwards(undo: Callable[[], object]) -> Iterator[None]:
    """Undo something when the block ends. What went wrong inside is told, and not that nothing can
    be undone in a transaction that failed."""
    try:
        yield
    except BaseException:
        with suppress(duckdb.Error):
            undo()
        raise
    undo()


def keep_copy(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Before a migration. Rows, not bytes: they are checked, and the lock of a file falls when its
    process closes it anywhere."""
    folder = path.parent / KEPT
    folder.mkdir(mode=0o700, exist_ok=True)
    name = f"{path.stem}-schema-{schema_version(connection)}-{time.strftime('%Y%m%dT%H%M%S')}"
    copy_tables(connection, path.stem, folder / f"{name}.duckdb")


def refuse_half_restored(path: Path) -> None:
    """Raises StoreError where a restore of the folder of the store at `path` did not end."""
    marker = path.with_name(RESTORING)
    if marker.exists():
        raise StoreError(
            "a restore was interrupted: what is in this folder does not belong together",
            received=str(marker),
            next="flywheel restore BACKUP once more, with the same backup or another",
        )


def connect(path: Path, lock_timeout_s: float) -> duckdb.DuckDBPyConnection:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"the state folder cannot be made: {error.strerror}",
            received=str(path.parent),
            next="set FLYWHEEL_HOME to a folder you may write to",
        ) from None
    remove_leftovers(path.parent)
    remove_unfinished(path.parent, path.parent / KEPT)
    refuse_strange_log(path)
    deadline = time.monotonic() + lock_timeout_s
    while True:
        try:
            while not os.path.lexists(path):
                _create(path)
            return duckdb.connect(str(path), config=dict(CONFIG))
        except duckdb.Error as error:
            if not is_held(error):
                raise unusable(path, error) from None
            if time.monotonic() >= deadline:
                raise _busy(path, error) from None
            time.sleep(_POLL_S)


def _create(path: Path) -> None:
    """Whole or not at all: of a file whose head a full disk cut off nothing can be opened again.
    Another process may have been first, or have removed the draft as a leftover."""
    draft = path.with_name(f"{UNFINISHED}{secrets.token_hex(4)}-{path.name}")
    try:
        duckdb.connect(str(draft), config=dict(CONFIG)).close()
        with suppress(FileExistsError, FileNotFoundError):
            _move_where_none_is(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _move_where_none_is(draft: Path, path: Path) -> None:
    try:
        os.link(draft, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if not os.path.lexists(path):
            draft.rename(path)


def connect_to_read(path: Path) -> duckdb.DuckDBPyConnection:
    refuse_missing(path)
    refuse_strange_log(path)
    try:
        return duckdb.connect(str(path), read_only=True, config=dict(CONFIG))
    except duckdb.Error as error:
        if not is_held(error):
            raise unusable(path, error) from None
        held = error
    spill = f"{tempfile.gettempdir()}/flywheel-{secrets.token_hex(4)}"
    try:
        with snapshot(path) as copy:
            # it has its files open by the time they are deleted
            return duckdb.connect(
                str(copy), read_only=True, config={**CONFIG, "temp_directory": spill}
            )
    except (OSError, UnsteadyError):
        raise _busy(path, held) from None
    except duckdb.Error as error:
        raise unusable(path, error) from None


def refuse_missing(path: Path) -> None:
    if not path.exists():
        raise StoreError(
            "there is no store yet", received=str(path), next="flywheel run, or flywheel ingest"
        )


def is_held(error: duckdb.Error) -> bool:
    return isinstance(error, duckdb.IOException) and "lock" in str(error).lower()


def _busy(path: Path, error: duckdb.Error) -> StoreBusyError:
    holder = re.search(r"PID (\d+)", str(error))
    return StoreBusyError(
        "another process holds the store",
        received=f"{path}" + (f", held by process {holder.group(1)}" if holder else ""),
        next="wait for it to finish, or stop it, then run the same command again",
    )
