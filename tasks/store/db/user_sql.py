"""What DuckDB itself says of SQL that users write: expressions of their rules, and their queries.

Expressions are asked of an empty database in memory, with nothing in reach. Must not know: which
of them are allowed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import duckdb

from expectations.contracts import TableContract
from tasks.store.db.connection import Store
from tasks.store.db.damage import tells_damage

_nothing = partial(duckdb.connect, config={"enable_external_access": "false"})


class RefusedSqlError(ValueError):
    """DuckDB does not take it; says why in one line."""


@dataclass(frozen=True, slots=True)
class QueryResult:
    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]


def query(store: Store, text: str) -> QueryResult:
    """The result of a query over a store opened to read; it reaches no file of this machine."""
    with _refusals():
        statements = store.connection.extract_statements(text)
    if len(statements) != 1:
        raise RefusedSqlError(f"{len(statements)} queries" if statements else "there is no query")
    store.execute("SET enable_external_access = false")
    store.execute("SET lock_configuration = true")
    with _refusals():
        result = store.connection.execute(statements[0])
        columns = tuple(column[0] for column in result.description or ())
        return QueryResult(columns, tuple(result.fetchall()))


def syntax_tree(expression: str) -> Any:
    """The statements that `SELECT expression FROM t` makes, as DuckDB serialises them."""
    with _nothing() as nothing:
        text = f"SELECT {expression}\nFROM t"
        ((tree,),) = nothing.execute("SELECT json_serialize_sql(?)", [text]).fetchall()
    read = json.loads(tree)
    if read["error"]:
        raise RefusedSqlError(read["error_message"])
    return [statement["node"] for statement in read["statements"]]


@cache
def consistent_functions() -> frozenset[str]:
    """Functions of one row that DuckDB marks as giving the same for the same arguments."""
    with _nothing() as nothing:
        rows = nothing.execute(
            "SELECT DISTINCT function_name FROM duckdb_functions() "
            "WHERE function_type = 'scalar' AND stability = 'CONSISTENT'"
        ).fetchall()
    return frozenset(name for (name,) in rows)


def type_of(expression: str, table: TableContract) -> str:
    """DuckDB's name of the type an expression over a row of the table has."""
    columns = ", ".join(f'"{column.name}" {column.sql_type}' for column in table.columns)
    with _nothing() as nothing, _refusals():
        nothing.execute(f"CREATE TABLE rows_judged ({columns})")
        described = nothing.execute(f"DESCRIBE SELECT ({expression}) FROM rows_judged").fetchall()
    return str(described[0][1])


def check_pattern(pattern: str) -> None:
    """Raises RefusedSqlError for what is no regular expression."""
    with _nothing() as nothing, _refusals():
        nothing.execute("SELECT regexp_matches('', ?)", [pattern])


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        if tells_damage(error):
            raise
        raise RefusedSqlError(str(error).splitlines()[0]) from None
