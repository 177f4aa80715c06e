"""A working copy brought to what the shared store is at now.

In one transaction of DuckDB: control tables that changed are taken whole, and of a table of parts
those that the copy has not. Where its parts are the first of those wanted, the others are appended;
else the table is made anew, with the parts that it has.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb
import pyarrow as pa

from expectations.checks import quoted, sql_literal
from expectations.contracts import TableContract
from tasks.store.db.arrow import table_from_rows
from tasks.store.db.schema import create_table_sql, schema_version
from tasks.store.db.snapshot import SCRATCH
from tasks.store.shared.controls import Row
from tasks.store.shared.objects import GoneError
from tasks.store.shared.truth import Content, Part, Truth
from tasks.store.shared.working_copy import (
    LocalPart,
    ends,
    make_memory,
    parts_of,
    remember,
    remember_parts,
    state_of,
)

#: DuckDB takes about as long to delete so many rows with a key as to read all others anew
_MAX_REPLACED_ROWS = 5_000
_TRIES = 5


def pull(connection: duckdb.DuckDBPyConnection, truth: Truth, scratch: Path) -> Content:
    """`scratch`: a folder for files on their way. Raises as the services do."""
    for tries_left in reversed(range(_TRIES)):
        content = truth.content(state_of(connection))
        try:
            with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=scratch) as folder:
                _bring_in(connection, truth, content, Path(folder))
            return content
        except GoneError:  # a part that a commit took out since
            if not tries_left:
                raise truth.objects.lost() from None
    raise AssertionError


def _bring_in(
    connection: duckdb.DuckDBPyConnection, truth: Truth, content: Content, folder: Path
) -> None:
    with atomically(connection):
        make_memory(connection)
        _make_schema(connection, content)
        for name, rows in content.controls.items():
            contract = content.contracts[name]
            _make_anew(connection, contract)
            if rows:
                connection.register("pulled_rows", _arrow(contract, rows))
                connection.execute(f"INSERT INTO {quoted(name)} BY NAME FROM pulled_rows")
                connection.unregister("pulled_rows")
        for name, parts in content.parts.items():
            local = parts_of(connection, name)
            if [part.key for part in local] != [part.key for part in parts]:
                _bring_in_parts(connection, truth, content.contracts[name], local, parts, folder)
                remember_parts(
                    connection, name, [LocalPart(part.key, part.num_rows) for part in parts]
                )
        remember(connection, content.state)


def _arrow(contract: TableContract, rows: Sequence[Row]) -> pa.Table:
    names = contract.column_names
    return table_from_rows(contract, [dict(zip(names, row, strict=True)) for row in rows])


def _make_schema(connection: duckdb.DuckDBPyConnection, content: Content) -> None:
    """In a new file, the tables as they were recorded."""
    if schema_version(connection):
        return
    connection.execute(
        "CREATE TABLE schema_migrations (version INTEGER PRIMARY KEY, applied_at TIMESTAMP)"
    )
    connection.execute(
        "INSERT INTO schema_migrations SELECT range, now()::TIMESTAMP FROM range(1, ?)",
        [content.schema + 1],
    )
    for contract in content.contracts.values():
        connection.execute(create_table_sql(contract))


def _make_anew(connection: duckdb.DuckDBPyConnection, contract: TableContract) -> None:
    connection.execute(f"DROP TABLE IF EXISTS {quoted(contract.name)}")
    connection.execute(create_table_sql(contract))


def _bring_in_parts(
    connection: duckdb.DuckDBPyConnection,
    truth: Truth,
    contract: TableContract,
    local: Sequence[LocalPart],
    wanted: Sequence[Part],
    folder: Path,
) -> None:
    name, columns = contract.name, ", ".join(map(quoted, contract.column_names))
    bounds = ends(connection, name, [part.num_rows for part in local])
    kept = 0
    for old, new, after, until in zip(local, wanted, [-1, *bounds], bounds, strict=False):
        if old.key != new.key and not (
            old.num_rows > _MAX_REPLACED_ROWS
            and old.num_rows >= new.num_rows
            and contract.key
            and _thinned(connection, truth, contract, new, after, until, folder)
        ):
            break
        kept += 1
    replaced = sum(part.num_rows for part in local[kept:])
    if replaced <= _MAX_REPLACED_ROWS and (kept or not local):
        if replaced:
            connection.execute(f"DELETE FROM {quoted(name)} WHERE rowid > {bounds[kept - 1]}")
        for part in wanted[kept:]:
            _download_into(connection, truth, name, part, folder)
        return
    places = {
        part.key: (after, until)
        for part, after, until in zip(local, [-1, *bounds], bounds, strict=False)
    }
    connection.execute(f"ALTER TABLE {quoted(name)} RENAME TO table_before")
    connection.execute(create_table_sql(contract))
    for part in wanted:
        if part.key in places:
            after, until = places[part.key]
            connection.execute(
                f"INSERT INTO {quoted(name)} ({columns}) SELECT {columns} FROM table_before "
                f"WHERE rowid > {after} AND rowid <= {until}"
            )
        else:
            _download_into(connection, truth, name, part, folder)
    connection.execute("DROP TABLE table_before")


def _thinned(
    connection: duckdb.DuckDBPyConnection,
    truth: Truth,
    contract: TableContract,
    part: Part,
    after: int,
    until: int,
    folder: Path,
) -> bool:
    """Whether a stretch of rows became the part by losing a few of them, as it does where calls are
    met again or forgotten: to make the table anew would take as long as to read all of it."""
    name, columns = quoted(contract.name), ", ".join(map(quoted, contract.column_names))
    key = ", ".join(map(quoted, contract.key))
    within = f"rowid > {after} AND rowid <= {until}"
    connection.execute(f"CREATE OR REPLACE TEMP TABLE pulled_part AS FROM {name} LIMIT 0")
    _download_into(connection, truth, "pulled_part", part, folder)
    lost = f"SELECT rowid FROM {name} ANTI JOIN pulled_part USING ({key}) WHERE {name}.{within}"
    rows = [row for (row,) in connection.execute(lost).fetchall()]
    digest = "SELECT count(*), bit_xor(h), sum(h) FROM (SELECT hash({columns}) AS h FROM {source})"
    ((*of_part,),) = connection.execute(
        digest.format(columns=columns, source="pulled_part")
    ).fetchall()
    left = f"{name} WHERE {within} AND rowid NOT IN (SELECT unnest(?::BIGINT[]))"
    ((*of_rest,),) = connection.execute(
        digest.format(columns=columns, source=left), [rows]
    ).fetchall()
    connection.execute("DROP TABLE pulled_part")
    if of_part != of_rest or len(rows) > _MAX_REPLACED_ROWS:
        return False
    connection.execute(f"DELETE FROM {name} WHERE rowid IN (SELECT unnest(?::BIGINT[]))", [rows])
    return True


def _download_into(
    connection: duckdb.DuckDBPyConnection, truth: Truth, name: str, part: Part, folder: Path
) -> None:
    file = folder / "part.parquet"
    truth.objects.get(part.key, file, part.digest)
    connection.execute(
        f"INSERT INTO {quoted(name)} BY NAME FROM read_parquet({sql_literal(str(file))})"
    )
    file.unlink()


def export(
    connection: duckdb.DuckDBPyConnection, contract: TableContract, where: str, file: Path
) -> None:
    """Rows of a table as they stand, in their order, to a Parquet file."""
    columns = ", ".join(map(quoted, contract.column_names))
    connection.execute(
        f"COPY (SELECT {columns} FROM {quoted(contract.name)} WHERE {where}) "
        f"TO {sql_literal(str(file))} (FORMAT parquet, COMPRESSION zstd)"
    )


@contextmanager
def atomically(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    connection.execute("BEGIN")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(duckdb.Error):
            connection.execute("ROLLBACK")
        raise


def has_rows(connection: duckdb.DuckDBPyConnection, contracts: Mapping[str, TableContract]) -> bool:
    for name in contracts:
        with suppress(duckdb.CatalogException):
            if connection.execute(f"SELECT 1 FROM {quoted(name)} LIMIT 1").fetchall():
                return True
    return False
