"""A SQLAlchemy dialect over a live DuckDB connection, as much of one as Great Expectations needs.

GX speaks SQLAlchemy and knows PostgreSQL, whose SQL DuckDB reads almost unchanged; so this is
PostgreSQL's dialect with the differences put right. It never opens a file: a statement runs on a
cursor of the connection it is lent, sees what that connection has committed, and leaves the
store's settings and lock alone. (duckdb-engine opens the file anew and rolls back results that GX
still reads.)

Owns: the translation. Must not know: rules, tables, settings. Source: SQLAlchemy's dialect
interface, https://docs.sqlalchemy.org/en/20/core/internals.html
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import duckdb
import sqlalchemy as sa
from sqlalchemy import types
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.base import PGCompiler, PGDialect
from sqlalchemy.engine import URL, Connection, default
from sqlalchemy.engine.interfaces import DBAPIConnection, ReflectedColumn

from tasks.interrupts import let_signals_stop

#: named like a driver of PostgreSQL, because GX chooses its SQL by the dialect's name
_URL_SCHEME = "postgresql+flywheelduckdb"

_lent: dict[str, duckdb.DuckDBPyConnection] = {}
_names = itertools.count()


@contextmanager
def lend(connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
    """A URL under which SQLAlchemy reaches this connection for the length of the block."""
    name = f"connection{next(_names)}"
    _lent[name] = connection
    try:
        yield f"{_URL_SCHEME}:///{name}"
    finally:
        del _lent[name]


class _LentConnection:
    """A DBAPI connection that owns nothing.

    Every statement has its own cursor, and commit, rollback and close do nothing: GX hands the
    connection back before it has read the result, and a real rollback would drop that result.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def cursor(self) -> duckdb.DuckDBPyConnection:
        cursor = self._connection.cursor()
        let_signals_stop(cursor)
        return cursor

    def commit(self) -> None: ...

    def rollback(self) -> None: ...

    def close(self) -> None: ...


class DuckDBType(types.UserDefinedType[Any]):
    """A column type PostgreSQL has no word for (lists, structs, JSON): named, never converted."""

    cache_ok = True

    def __init__(self, name: str = "VARCHAR") -> None:
        self.name = name

    def get_col_spec(self, **_: Any) -> str:
        return self.name


_TYPES: dict[str, type[types.TypeEngine[Any]]] = {
    "BIGINT": types.BIGINT,
    "INTEGER": types.INTEGER,
    "SMALLINT": types.SMALLINT,
    "TINYINT": types.SMALLINT,
    "UTINYINT": types.SMALLINT,
    "USMALLINT": types.INTEGER,
    "UINTEGER": types.BIGINT,
    "UBIGINT": types.NUMERIC,
    "HUGEINT": types.NUMERIC,
    "DECIMAL": types.NUMERIC,
    "FLOAT": types.REAL,
    "DOUBLE": types.DOUBLE,
    "VARCHAR": types.VARCHAR,
    "BOOLEAN": types.BOOLEAN,
    "DATE": types.DATE,
    "TIME": types.TIME,
    "TIMESTAMP": types.TIMESTAMP,
    "TIMESTAMP WITH TIME ZONE": types.TIMESTAMP,
    "BLOB": types.LargeBinary,
}


def sqlalchemy_type(name: str) -> types.TypeEngine[Any]:
    """DuckDB's name of a type → SQLAlchemy's; an unknown one keeps its name."""
    if name.startswith("DECIMAL("):
        name = "DECIMAL"
    known = _TYPES.get(name)
    return DuckDBType(name) if known is None else known()


class _Compiler(PGCompiler):
    def visit_custom_op_binary(self, element: Any, operator: Any, **kw: Any) -> str:
        """PostgreSQL's ~ searches; DuckDB's ~ wants the whole text to match."""
        if operator.opstring not in ("~", "!~"):
            return str(super().visit_custom_op_binary(element, operator, **kw))  # type: ignore[no-untyped-call]
        text, pattern = self.process(element.left, **kw), self.process(element.right, **kw)
        search = f"regexp_matches({text}, {pattern})"
        return search if operator.opstring == "~" else f"NOT {search}"


class FlywheelDuckDBDialect(PGDialect):
    """PostgreSQL's dialect, speaking to DuckDB. The `Any`s are SQLAlchemy's own signatures."""

    name = "postgresql"
    driver = "flywheelduckdb"
    default_paramstyle = "qmark"
    supports_statement_cache = True
    statement_compiler = _Compiler
    execution_ctx_cls = default.DefaultExecutionContext  # type: ignore[assignment]
    insert_returning = update_returning = delete_returning = False
    # PostgreSQL may read a backslash as an escape, DuckDB never does
    _backslash_escapes = False

    @classmethod
    def import_dbapi(cls) -> ModuleType:
        return duckdb

    def initialize(self, connection: Connection) -> None:
        """Asks the server nothing: the version only has to be one that GX supports."""
        self.server_version_info = (16, 0)
        self.default_schema_name = "main"

    def create_connect_args(self, url: URL) -> Any:
        return [url.database], {}

    def connect(self, *cargs: Any, **cparams: Any) -> DBAPIConnection:
        return _LentConnection(_lent[cargs[0]])  # type: ignore[return-value]

    def do_begin(self, dbapi_connection: Any) -> None: ...

    def do_ping(self, dbapi_connection: DBAPIConnection) -> bool:
        return True

    def get_columns(
        self, connection: Connection, table_name: str, schema: str | None = None, **_: Any
    ) -> list[ReflectedColumn]:
        rows = connection.exec_driver_sql(
            "SELECT column_name, data_type, is_nullable FROM duckdb_columns() "
            "WHERE table_name = ? AND schema_name = ? AND database_name = current_database() "
            "ORDER BY column_index",
            (table_name, schema or "main"),
        ).fetchall()
        if not rows:
            raise sa.exc.NoSuchTableError(table_name)
        return [
            {
                "name": name,
                "type": sqlalchemy_type(type_name),
                "nullable": bool(nullable),
                "default": None,
            }
            for name, type_name, nullable in rows
        ]

    def get_pk_constraint(self, *_: Any, **__: Any) -> Any:
        return {"constrained_columns": [], "name": None}

    def get_foreign_keys(self, *_: Any, **__: Any) -> Any:
        return []

    def get_indexes(self, *_: Any, **__: Any) -> Any:
        return []

    def get_schema_names(self, connection: Connection, **_: Any) -> list[str]:
        return _names_of(connection, "schema", "true")

    def get_table_names(
        self, connection: Connection, schema: str | None = None, **_: Any
    ) -> list[str]:
        return _names_of(connection, "table", "schema_name = ?", schema or "main")

    def get_view_names(
        self, connection: Connection, schema: str | None = None, **_: Any
    ) -> list[str]:
        return _names_of(connection, "view", "schema_name = ? AND NOT internal", schema or "main")

    def has_table(
        self, connection: Connection, table_name: str, schema: str | None = None, **_: Any
    ) -> bool:
        return table_name in (
            *self.get_table_names(connection, schema),
            *self.get_view_names(connection, schema),
        )


def _names_of(connection: Connection, kind: str, where: str, *parameters: str) -> list[str]:
    """Names of schemas, tables or views of the database."""
    rows = connection.exec_driver_sql(
        f"SELECT DISTINCT {kind}_name FROM duckdb_{kind}s() "
        f"WHERE database_name = current_database() AND {where}",
        parameters,
    )
    return [name for (name,) in rows.fetchall()]


registry.register("postgresql.flywheelduckdb", __name__, FlywheelDuckDBDialect.__name__)
