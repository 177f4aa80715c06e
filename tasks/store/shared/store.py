"""A store that machines share, opened on this machine.

Queries go to the working copy. Whoever opens it to write holds the lease of the store from then on,
and the copy is brought to what is shared. A transaction is first of all one of DuckDB; before it
ends, what it changed is put on the object storage and committed to the database, so that a process
killed at any instruction leaves all of it or nothing: a copy that is behind catches up when it is
opened next. What is written outside a transaction is one of its own.
"""

from __future__ import annotations

import secrets
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import duckdb

from expectations.contracts import SHARED_TABLES
from tasks.errors import StoreBusyError, StoreDamagedError, StoreError
from tasks.store.control.pseudonym_key import key_id_of, pseudonym_key
from tasks.store.db.connection import (
    Store,
    connect,
    connect_to_read,
    interruptible,
    keep_copy,
    refuse_half_restored,
    using,
)
from tasks.store.db.copying import CONFIG
from tasks.store.db.schema import MIGRATIONS, check_version, migrate, refuse_newer, schema_version
from tasks.store.db.snapshot import SCRATCH, UnsteadyError, snapshot
from tasks.store.folder import MARKER, write_once
from tasks.store.held.raw_key import RawKey
from tasks.store.shared import changes, pulling
from tasks.store.shared.changes import Stretch
from tasks.store.shared.leases import Lease, held
from tasks.store.shared.truth import Commit, Part, Truth, next_state
from tasks.store.shared.working_copy import (
    LocalPart,
    State,
    parts_of,
    remember,
    remember_parts,
    state_of,
)

LEASE = "store"
_HOME_ID = "home.id"
BUSY = "the store is held by another process or machine"
#: threads of one process take turns, and one that opens it twice has it
_TURNS: dict[Path, threading.RLock] = {}


class SharedStore(Store):
    """An open store that machines share, to be written to."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        path: Path,
        raw_key: RawKey | None,
        truth: Truth,
        token: int,
    ) -> None:
        super().__init__(connection, path, raw_key)
        self._truth = truth
        self._token = token
        #: table → whether more was done to it than to append
        self._written: dict[str, bool] = {}

    @contextmanager
    def transaction(self) -> Iterator[None]:
        if self._in_transaction:
            yield
            return
        self._written = {}
        state = state_of(self.connection)
        with super().transaction():
            yield
        if state_of(self.connection) != state:
            with suppress(StoreError):  # the next commit does it
                self._truth.sweep()

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        with self._noted(sql):
            super().execute(sql, parameters)

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._noted(sql):
            return super().rows(sql, parameters)

    @contextmanager
    def _noted(self, sql: str) -> Iterator[None]:
        """What a statement writes to is shared with its transaction."""
        written = changes.written_tables(sql)
        with self.transaction() if written else nullcontext():
            for table, is_more in written.items():
                self._written[table] = self._written.get(table, False) or is_more
            yield

    def before_commit(self) -> None:
        if self._written:
            publish(self.connection, self.path.parent, self._truth, self._written, self._token)


def publish(
    connection: duckdb.DuckDBPyConnection,
    home: Path,
    truth: Truth,
    written: dict[str, bool],
    token: int,
) -> None:
    """Share what an open transaction changed, if it did. What it remembers of that is committed
    with the transaction."""
    before = connection.cursor()  # sees what was committed last
    try:
        controls = []
        parts: dict[str, list[LocalPart | Stretch]] = {}
        for name, is_more in sorted(written.items()):
            contract = changes.contract_of(name)
            if contract.is_control:
                change = changes.control_change(connection, before, contract)
                controls += [] if change is None else [change]
                continue
            local = parts_of(connection, name)
            now = changes.row_changes(connection, before, name, local, may_have_changed=is_more)
            if now != local:
                parts[name] = now
        if controls or parts:
            state = state_of(connection)
            assert state is not None, "it was pulled when it was opened"
            _commit(connection, home, truth, state, Commit(controls), parts, token)
    finally:
        before.close()


def publish_all(
    connection: duckdb.DuckDBPyConnection,
    home: Path,
    truth: Truth,
    state: State,
    token: int,
    *,
    remembers: bool = True,
) -> None:
    """Share all of it, in place of what is shared. `remembers`: what is shared is a working copy
    from then on, else it is as it was."""
    parts: dict[str, list[LocalPart | Stretch]] = {}
    rewritten = {}
    for contract in SHARED_TABLES:
        if contract.is_control:
            columns = ", ".join(f'"{name}"' for name in contract.column_names)
            rows = connection.execute(f'SELECT {columns} FROM "{contract.name}" ORDER BY rowid')
            rewritten[contract] = rows.fetchall()
        else:
            parts[contract.name] = list(changes.all_stretches(connection, contract.name))
    commit = Commit(rewritten=rewritten, recorded=SHARED_TABLES)
    _commit(connection, home, truth, state, commit, parts, token, remembers=remembers)


def _commit(
    connection: duckdb.DuckDBPyConnection,
    home: Path,
    truth: Truth,
    state: State,
    commit: Commit,
    parts: dict[str, list[LocalPart | Stretch]],
    token: int,
    *,
    remembers: bool = True,
) -> None:
    shared: dict[str, list[Part | str]] = {}
    with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=home) as folder:
        for name, pieces in parts.items():
            contract, file = changes.contract_of(name), Path(folder, "part.parquet")
            shared[name] = []
            for piece in pieces:
                if isinstance(piece, LocalPart):
                    shared[name].append(piece.key)
                    continue
                within = f"rowid > {piece.after} AND rowid <= {piece.until}"
                pulling.export(connection, contract, within, file)
                shared[name].append(truth.put(name, file, piece.num_rows, token))
    after = next_state(state)
    truth_commit = Commit(commit.controls, commit.rewritten, commit.recorded, shared)
    if not remembers:
        truth.commit(state, after, truth_commit, token)
        return
    remember(connection, after)
    for name, pieces in parts.items():
        keys = [part if isinstance(part, str) else part.key for part in shared[name]]
        local = [LocalPart(key, p.num_rows) for key, p in zip(keys, pieces, strict=True)]
        remember_parts(connection, name, local)
    truth.commit(state, after, truth_commit, token)


@contextmanager
def opened_to_write(
    truth: Truth, path: Path, *, lock_timeout_s: float, raw_key: RawKey | None
) -> Iterator[Store]:
    """Raises StoreBusyError where another process or machine holds it."""
    refuse_half_restored(path)
    truth.create()
    with _turn(path, lock_timeout_s), _made_anew_where_damaged(path):
        connection = _connect_copy(path, truth, lock_timeout_s)
        with (
            using(connection, path),
            held(
                truth.database, LEASE, home_id=home_id(path), lease_s=truth.lease_s,
                wait_s=lock_timeout_s, busy=BUSY,
            ) as lease,
        ):  # fmt: skip
            mark(path)
            truth.agree_on_key(key_id_of(pseudonym_key(path.parent)))
            _catch_up(connection, path, truth, lease)
            with interruptible():
                yield SharedStore(connection, path, raw_key, truth, lease.token)


@contextmanager
def opened_to_read(
    truth: Truth, path: Path, *, raw_key: RawKey | None, any_schema: bool
) -> Iterator[Store]:
    """Raises StoreError where there is no store yet."""
    found = truth.state()
    if found is None:
        raise StoreError(
            "there is no store yet",
            received=truth.database.shown,
            next="flywheel run, or flywheel ingest",
        )
    with _made_anew_where_damaged(path):
        connection = _copy_to_read(path, truth, found[0])
        with using(connection, path):
            if any_schema:
                refuse_newer(schema_version(connection))
            else:
                check_version(connection)
            with interruptible():
                yield Store(connection, path, raw_key)


def _catch_up(
    connection: duckdb.DuckDBPyConnection, path: Path, truth: Truth, lease: Lease
) -> None:
    found = truth.state()
    assert found is not None, "it was made"
    state, schema = found
    if state_of(connection) != state:
        pulling.pull(connection, truth, path.parent)
    if schema == len(MIGRATIONS):
        return
    # what an earlier build wrote is brought to the newest tables, and shared anew
    migrate(connection, lambda: keep_copy(connection, path))
    with pulling.atomically(connection):
        publish_all(connection, path.parent, truth, state, lease.token)


def _copy_to_read(path: Path, truth: Truth, state: State) -> duckdb.DuckDBPyConnection:
    with _turn(path, 0.0, is_needed=False):
        if path.exists():
            with suppress(StoreError):
                connection = connect_to_read(path)
                if state_of(connection) == state:
                    return connection
                connection.close()
        try:
            connection = _connect_copy(path, truth, 0.0)
            mark(path)
            with using(connection, path):
                if state_of(connection) != state:
                    pulling.pull(connection, truth, path.parent)
            return connect_to_read(path)
        except (StoreBusyError, duckdb.ConnectionException):
            return _pulled_aside(path, truth)


def _pulled_aside(path: Path, truth: Truth) -> duckdb.DuckDBPyConnection:
    """Where another process has the working copy, a copy of it."""
    spill = f"{tempfile.gettempdir()}/flywheel-{secrets.token_hex(4)}"
    try:
        with snapshot(path) as copy:
            connection = duckdb.connect(str(copy), config=dict(CONFIG))
            with using(connection, path):
                pulling.pull(connection, truth, path.parent)
            return duckdb.connect(
                str(copy), read_only=True, config={**CONFIG, "temp_directory": spill}
            )
    except (OSError, UnsteadyError):
        raise StoreBusyError(
            "another process holds the working copy of the store, and there is no room for another",
            received=str(path),
            next="wait for it to finish, or stop it, then run the same command again",
        ) from None


def _connect_copy(path: Path, truth: Truth, lock_timeout_s: float) -> duckdb.DuckDBPyConnection:
    """The working copy; made anew where it is damaged, or of other tables than are shared."""
    try:
        connection = connect(path, lock_timeout_s)
        found = truth.state()
        number = schema_version(connection)
        if number and state_of(connection) is None:
            contracts = {contract.name: contract for contract in SHARED_TABLES}
            if pulling.has_rows(connection, contracts):
                connection.close()
                raise _another_store(path)
        elif not number or (found is not None and found[1] == number):
            return connection
        connection.close()
    except StoreDamagedError:
        pass
    _remove(path)
    return connect(path, lock_timeout_s)


@contextmanager
def _made_anew_where_damaged(path: Path) -> Iterator[None]:
    """A damaged block is found by whoever reads it, in the middle of anything."""
    try:
        yield
    except StoreDamagedError as error:
        _remove(path)
        raise StoreDamagedError(
            "the working copy of the store was damaged: nothing is lost, it is made anew",
            received=error.received,
            next="run the same command again",
        ) from error


def _remove(path: Path) -> None:
    for name in (path, path.with_name(f"{path.name}.wal")):
        name.unlink(missing_ok=True)


def _another_store(path: Path) -> StoreError:
    return StoreError(
        "the state folder has a store of its own, which is not the one in [store]",
        received=str(path),
        next=f"flywheel store copy {path.parent} shared, or move it away",
    )


def home_id(path: Path) -> str:
    """Tells state folders apart."""
    file = path.with_name(_HOME_ID)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not file.exists():
        write_once(file, secrets.token_hex(8).encode())
    return file.read_text()


def mark(path: Path) -> None:
    """What is in this state folder is a working copy."""
    path.with_name(MARKER).touch(mode=0o600)


@contextmanager
def _turn(path: Path, wait_s: float, *, is_needed: bool = True) -> Iterator[None]:
    turn = _TURNS.setdefault(path, threading.RLock())
    has_turn = turn.acquire(timeout=max(wait_s, 0.0))
    if not has_turn and is_needed:
        raise StoreBusyError(
            "another thread of this process holds the store",
            received=str(path),
            next="wait for it to finish, then run the same command again",
        )
    try:
        yield
    finally:
        if has_turn:
            turn.release()
