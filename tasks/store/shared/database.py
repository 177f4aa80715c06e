"""The database that machines share: reaching it, its own tables, and one transaction at a time.

It is asked through SQLAlchemy Core, so PostgreSQL and, for trying out, SQLite do. Must not know:
what is in the store. A transaction is tried again while the database is away, for as long as a
lease lasts; so what is done in one must be right when it is done twice.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from tasks.errors import StoreError, StoreUnreachableError, UsageError

Result = TypeVar("Result")

PREFIX = "flywheel_"
_EXTRA = "pip install 'llm-flywheel[postgres]'"
_CONNECT_S = 10
_FIRST_PAUSE_S, _LAST_PAUSE_S = 0.1, 3.0
#: is said where a wait would be taken for a hang
_SAID_AFTER_S = 3.0
#: no second try makes these right: SQLSTATE of the password, the role, the database
_FINAL_STATES = ("28", "3D")
_FINAL_WORDS = ("authentication failed", "does not exist", "no password supplied", "unable to open")
#: one creates the tables, however many come first at the same time
_CREATING = 0x666C79776865656C

METADATA = sa.MetaData()
#: one row: what the store is at
STORE = sa.Table(
    f"{PREFIX}store", METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("store_id", sa.Text, nullable=False),
    sa.Column("schema", sa.Integer, nullable=False),  # of the tables of its rows
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("commit_id", sa.Text, nullable=False),
    sa.Column("pseudonym_key_id", sa.Text, nullable=False),
)  # fmt: skip
LEASES = sa.Table(
    f"{PREFIX}leases", METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("holder", sa.Text, nullable=False),  # for people
    sa.Column("holder_id", sa.Text, nullable=False),  # empty: nobody holds it
    sa.Column("home_id", sa.Text, nullable=False),  # state folder of the holder
    sa.Column("token", sa.BigInteger, nullable=False),  # one more with every holder
    sa.Column("expires_at", sa.Double, nullable=False),  # seconds, by this database's clock
)  # fmt: skip
TABLES = sa.Table(
    f"{PREFIX}tables", METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("contract", sa.Text, nullable=False),  # JSON
    sa.Column("changed_at", sa.BigInteger, nullable=False),  # version
)  # fmt: skip
PARTS = sa.Table(
    f"{PREFIX}parts", METADATA,
    sa.Column("table_name", sa.Text, primary_key=True),
    sa.Column("ordinal", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("part_key", sa.Text, nullable=False, unique=True),
    sa.Column("num_rows", sa.BigInteger, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
)  # fmt: skip
#: tells whether a working copy is of this store's past
COMMITS = sa.Table(
    f"{PREFIX}commits", METADATA,
    sa.Column("version", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("commit_id", sa.Text, nullable=False),
)  # fmt: skip
#: objects that may be there, and that no table consists of
LITTER = sa.Table(
    f"{PREFIX}litter", METADATA, sa.Column("part_key", sa.Text, primary_key=True),
    sa.Column("token", sa.BigInteger, nullable=False),
)  # fmt: skip
_LAYOUTS = sa.Table(
    f"{PREFIX}layouts", METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
)  # fmt: skip

NUMBER = sa.select(sa.func.max(_LAYOUTS.c.number)).scalar_subquery().label("layout")


def _first_layout(connection: sa.Connection) -> None:
    METADATA.create_all(connection)


#: of the tables above, in order; never edited once released, only appended to
LAYOUTS: tuple[Callable[[sa.Connection], None], ...] = (_first_layout,)


class Database:
    """One database, from one process. May be used by several threads."""

    def __init__(self, engine: sa.Engine, patience_s: float) -> None:
        self.engine = engine
        self.patience_s = patience_s
        #: as seen last; 0: there is nothing of ours, as far as is known
        self._number = 0
        #: leases that this process holds: what it commits is refused where one of them is gone
        self.held: list[Any] = []

    @property
    def shown(self) -> str:
        """The address without its password."""
        return self.engine.url.render_as_string(hide_password=True)

    @property
    def now(self) -> sa.ColumnElement[float]:
        """Seconds by the database's clock."""
        if self.engine.dialect.name == "sqlite":
            return sa.literal_column("(julianday('now') - 2440587.5) * 86400.0", sa.Double)
        return sa.cast(sa.func.extract("epoch", sa.func.clock_timestamp()), sa.Double)

    def run(
        self, work: Callable[[sa.Connection], Result], *, patience_s: float | None = None,
        is_snapshot: bool = False,
    ) -> Result:  # fmt: skip
        """`work` in one transaction; again where the database went away. `is_snapshot`: all that it
        reads is of one moment.

        Raises StoreUnreachableError, and StoreError where the database does not let us in.
        """
        patience_s = self.patience_s if patience_s is None else patience_s
        deadline, pause_s = time.monotonic() + patience_s, _FIRST_PAUSE_S
        with _said_after(_SAID_AFTER_S, patience_s):
            while True:
                try:
                    return self._once(work, is_snapshot)
                except DBAPIError as error:
                    if not _is_passing(error):
                        raise self._refused(error) from None
                    if time.monotonic() + pause_s > deadline:
                        raise self._away(error, patience_s) from None
                time.sleep(pause_s)
                pause_s = min(pause_s * 2, _LAST_PAUSE_S)

    def _once(self, work: Callable[[sa.Connection], Result], is_snapshot: bool) -> Result:
        level = {"isolation_level": "REPEATABLE READ"}
        is_server = self.engine.dialect.name != "sqlite"
        with (
            _cut_off_after(max(2.0, self.patience_s / 2)),
            self.engine.connect() as connection,
        ):
            if is_snapshot and is_server:
                connection = connection.execution_options(**level)
            with connection.begin():
                return work(connection)

    def _refused(self, error: DBAPIError) -> StoreError:
        return StoreError(
            f"the database of the store refuses: {self._told(error)}",
            received=self.shown,
            next="correct database in [store], PGPASSWORD, or what this user may do there",
        )

    def _away(self, error: DBAPIError, patience_s: float) -> StoreUnreachableError:
        return StoreUnreachableError(
            f"the database of the store does not answer: {self._told(error)}",
            received=f"{self.shown}, tried for {patience_s:.0f} s",
            next="flywheel doctor, which tells what answers; then the same command again",
        )

    def _told(self, error: DBAPIError) -> str:
        said = next(iter(str(error.orig).strip().splitlines()), type(error.orig).__name__)
        password = self.engine.url.password
        return said.replace(str(password), "***") if password else said

    def prepare(self) -> None:
        """Make our tables, or bring them to the newest layout. Raises StoreError on newer ones."""

        def make(connection: sa.Connection) -> None:
            if self.engine.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_CREATING)))
            number = self._layout(connection)
            for layout in range(number + 1, len(LAYOUTS) + 1):
                LAYOUTS[layout - 1](connection)
                connection.execute(_LAYOUTS.insert().values(number=layout))

        if self.layout() < len(LAYOUTS):
            self.run(make)

    def layout(self) -> int:
        """0: there is nothing of ours. Raises StoreError on one newer than this code."""
        return self.run(self._layout)

    def _layout(self, connection: sa.Connection) -> int:
        if not sa.inspect(connection).has_table(_LAYOUTS.name):
            return 0
        return self.accept(int(connection.scalar(sa.select(NUMBER)) or 0))

    @property
    def is_made(self) -> bool:
        return self._number > 0

    @property
    def is_newest(self) -> bool:
        return self._number == len(LAYOUTS)

    def accept(self, number: int) -> int:
        """A layout that was read. Raises StoreError on one newer than this code."""
        if number > len(LAYOUTS):
            raise StoreError(
                "the database of the store was made by a newer flywheel",
                received=f"layout {number}",
                allowed=f"up to {len(LAYOUTS)}",
                next="install the newer flywheel",
            )
        self._number = number
        return number


def connected(address: str, patience_s: float) -> Database:
    """The database at an address; one for a process. Raises UsageError."""
    return _connected(address, patience_s, os.getpid())


@cache
def _connected(address: str, patience_s: float, _process: int) -> Database:
    try:
        url = sa.make_url(address)
        if url.get_backend_name() not in ("postgresql", "sqlite"):
            raise NoSuchModuleError
        if url.get_backend_name() == "sqlite":
            return Database(_sqlite(url), patience_s)
        return Database(_postgresql(url, patience_s), patience_s)
    except ModuleNotFoundError as error:
        raise UsageError(f"a store that is shared needs {error.name}", next=_EXTRA) from None
    except (ArgumentError, NoSuchModuleError, ValueError):
        # what was received stays out of the message: it may hold a password
        raise UsageError(
            "database in [store] is no address of a database that the store can be in",
            allowed="postgresql+psycopg://USER@HOST/NAME; to try it out, sqlite:////PATH",
            next="correct it, or leave [store] away: the store is then a file on this machine",
        ) from None


def _postgresql(url: sa.URL, patience_s: float) -> sa.Engine:
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    alive = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
    engine = sa.create_engine(
        url,
        pool_size=2,
        max_overflow=8,
        hide_parameters=True,
        connect_args={"connect_timeout": round(max(2, min(_CONNECT_S, patience_s / 2))), **alive},
    )

    @sa.event.listens_for(engine, "checkout")
    def guard(raw: Any, *_: Any) -> None:
        _AT_WORK.line = raw

    @sa.event.listens_for(engine, "connect", insert=True)
    def limit(raw: Any, _record: Any) -> None:
        _AT_WORK.line = raw
        # of a holder that fell silent in the middle of a transaction: its locks fall
        with raw.cursor() as cursor:
            cursor.execute(f"SET idle_in_transaction_session_timeout = {round(patience_s * 1000)}")
        raw.commit()

    return engine


def _sqlite(url: sa.URL) -> sa.Engine:
    engine = sa.create_engine(
        url, hide_parameters=True, connect_args={"timeout": 30, "check_same_thread": False}
    )

    @sa.event.listens_for(engine, "connect")
    def connect(raw: Any, _record: Any) -> None:
        raw.isolation_level = None  # the driver would begin when it thinks fit

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _is_passing(error: DBAPIError) -> bool:
    """Whether another try may do: the connection broke, or there is none."""
    said = str(error.orig).lower()
    state = getattr(error.orig, "sqlstate", None) or ""
    if state.startswith(_FINAL_STATES) or any(word in said for word in _FINAL_WORDS):
        return False
    is_lost = error.connection_invalidated or isinstance(
        error, sa.exc.OperationalError | sa.exc.InterfaceError
    )
    # broken by the server: shut down, too busy, of two that wait for each other one
    return is_lost or state.startswith(("08", "53", "57P", "40"))


class _AtWork(threading.local):
    """The connection of the driver that this thread has now."""

    line: Any = None


_AT_WORK = _AtWork()


@contextmanager
def _said_after(seconds: float, patience_s: float) -> Iterator[None]:
    """Also where a statement gets neither answer nor error; not where nobody waits that long."""
    if patience_s <= seconds:
        yield
        return
    line = (
        f"the database of the store has not answered for {seconds:.0f} s; "
        f"it is tried for {patience_s:.0f} s"
    )
    timer = threading.Timer(seconds, lambda: print(line, file=sys.stderr, flush=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def _cut_off_after(seconds: float) -> Iterator[None]:
    """A network that swallows everything looks like a long wait: end it."""
    _AT_WORK.line = None
    of_thread = vars(_AT_WORK)
    timer = threading.Timer(seconds, lambda: _shut(of_thread.get("line")))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _shut(raw: Any) -> None:
    with suppress(Exception), socket.socket(fileno=os.dup(raw.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)
