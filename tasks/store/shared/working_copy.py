"""The working copy: a DuckDB file that holds what the shared store held at some version.

Owns what it remembers of that (two tables beside those of the store), and where in a table the rows
of a part lie. A part is a stretch of rows in the order of their row ids, known by the numbers of
rows alone: row ids may shift when DuckDB tidies up, their order does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import duckdb

from expectations.checks import quoted
from tasks.errors import StoreError

#: where no row is: before the first, and behind the last
BEFORE, BEHIND = -1, 2**63 - 1


@dataclass(frozen=True, slots=True)
class State:
    """What a store is at: equal states hold the same rows."""

    store_id: str
    version: int
    commit_id: str


@dataclass(frozen=True, slots=True)
class LocalPart:
    key: str
    num_rows: int


def make_memory(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(
        "CREATE TABLE IF NOT EXISTS working_copy "
        "(store_id VARCHAR, version BIGINT, commit_id VARCHAR)"
    )
    connection.execute(
        "CREATE TABLE IF NOT EXISTS working_parts "
        "(table_name VARCHAR, ordinal BIGINT, part_key VARCHAR, num_rows BIGINT)"
    )


def forget_memory(connection: duckdb.DuckDBPyConnection) -> None:
    """It is a store of its own from now on."""
    connection.execute("DROP TABLE IF EXISTS working_copy")
    connection.execute("DROP TABLE IF EXISTS working_parts")


def state_of(connection: duckdb.DuckDBPyConnection) -> State | None:
    """None: it is no working copy, or nothing was brought into it yet."""
    try:
        rows = connection.execute("FROM working_copy").fetchall()
    except duckdb.CatalogException:
        return None
    return State(*rows[0]) if rows else None


def remember(connection: duckdb.DuckDBPyConnection, state: State) -> None:
    connection.execute("DELETE FROM working_copy")
    connection.execute(
        "INSERT INTO working_copy VALUES (?, ?, ?)",
        [state.store_id, state.version, state.commit_id],
    )


def parts_of(connection: duckdb.DuckDBPyConnection, table: str) -> list[LocalPart]:
    rows = connection.execute(
        "SELECT part_key, num_rows FROM working_parts WHERE table_name = ? ORDER BY ordinal",
        [table],
    ).fetchall()
    return [LocalPart(*row) for row in rows]


def remember_parts(
    connection: duckdb.DuckDBPyConnection, table: str, parts: Sequence[LocalPart]
) -> None:
    connection.execute("DELETE FROM working_parts WHERE table_name = ?", [table])
    for ordinal, part in enumerate(parts):
        connection.execute(
            "INSERT INTO working_parts VALUES (?, ?, ?, ?)",
            [table, ordinal, part.key, part.num_rows],
        )


def ends(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    sizes: Sequence[int],
    after: int = BEFORE,
    until: int = BEHIND,
) -> list[int]:
    """The row id of the last row of each stretch of so many rows, of those after a row id and as
    far as another. Raises StoreError where there are not so many rows."""
    if not sizes:
        return []
    within = f"FROM {quoted(table)} WHERE rowid > {after} AND rowid <= {until}"
    wanted = list(accumulate(sizes))
    ((count, first, last),) = connection.execute(
        f"SELECT count(*), min(rowid), max(rowid) {within}"
    ).fetchall()
    if count < wanted[-1]:
        raise StoreError(
            "the working copy of the store does not hold what it should",
            received=f"{count:,} rows of {table}, not {wanted[-1]:,}",
            next="remove flywheel.duckdb in the state folder: the next command makes it anew",
        )
    if last - first + 1 == count:
        return [first + number - 1 for number in wanted]
    rows = connection.execute(
        f"SELECT id FROM (SELECT rowid AS id, row_number() OVER (ORDER BY rowid) AS n {within}) "
        "WHERE n IN (SELECT unnest(?::BIGINT[])) ORDER BY n",
        [wanted],
    ).fetchall()
    return [row_id for (row_id,) in rows]
