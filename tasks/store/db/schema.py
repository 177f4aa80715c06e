"""Tables from contracts, and ordered migrations, each recorded in its own transaction."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import duckdb

from expectations.contracts import (
    ALIASES,
    ALL_TABLES,
    AUDIT,
    COMMITMENTS,
    DRIFT,
    ERASURES,
    EVIDENCE,
    EVIDENCE_LOOKS,
    EVIDENCE_SAMPLES,
    FORGOTTEN,
    MERGED_REPORTS,
    MODEL_FILES,
    RANKINGS,
    REQUESTS,
    RUN_SAMPLES,
    SOURCES,
    SPENDING,
    VERDICTS,
    TableContract,
)
from tasks.errors import StoreError


def create_table_sql(contract: TableContract, name: str | None = None) -> str:
    """CREATE TABLE for a contract; column order, types, NOT NULL and the key come from it.

    A store made by this code has every table from the start, so migrations find theirs there.
    """
    # conversations: half the size of what DuckDB would choose, in half the time
    compression = {"JSON": " USING COMPRESSION zstd"}
    lines = [
        f'"{column.name}" {column.sql_type}{compression.get(column.sql_type, "")}'
        f"{'' if column.nullable and column.name not in contract.key else ' NOT NULL'}"
        for column in contract.columns
    ]
    if contract.key and contract.has_index:
        lines.append("PRIMARY KEY (" + ", ".join(f'"{key}"' for key in contract.key) + ")")
    table = f'CREATE TABLE IF NOT EXISTS "{name or contract.name}"'
    return f"{table} (\n  " + ",\n  ".join(lines) + "\n)"


def _first_schema(connection: duckdb.DuckDBPyConnection) -> None:
    for contract in ALL_TABLES:
        connection.execute(create_table_sql(contract))


def _met_again(connection: duckdb.DuckDBPyConnection) -> None:
    """Where calls were met again, from the commit of that file until it stands with the call."""
    connection.execute(
        "CREATE TABLE met_again (request_id VARCHAR, content_digest VARCHAR, source VARCHAR)"
    )


def _merged_reports(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(create_table_sql(MERGED_REPORTS))


def _drift(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(create_table_sql(DRIFT))


def _windows_of_sources(connection: duckdb.DuckDBPyConnection) -> None:
    """Windows, remote versions and changed files; before, every reading took in everything."""
    names = ("etag", "since", "until", "outside_window", "first_call_at", "last_call_at", "changed")
    for name in names:
        sql_type = SOURCES.column(name).sql_type
        connection.execute(f'ALTER TABLE sources ADD COLUMN IF NOT EXISTS "{name}" {sql_type}')


def _whose_fault(connection: duckdb.DuckDBPyConnection) -> None:
    for table in ("completions", "scores"):
        connection.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS fault VARCHAR")


def _weights(connection: duckdb.DuckDBPyConnection) -> None:
    """Before, all samples of a set weighed the same, and those of production were taken by outcome:
    they do not count."""
    for column in ("weight DOUBLE DEFAULT 1.0", "stratum VARCHAR DEFAULT ''",
                   "is_counted BOOLEAN DEFAULT true"):  # fmt: skip
        connection.execute(f"ALTER TABLE eval_set_samples ADD COLUMN IF NOT EXISTS {column}")
    connection.execute(
        "UPDATE eval_set_samples SET is_counted = false FROM samples "
        "WHERE samples.sample_id = eval_set_samples.sample_id AND samples.origin <> 'suite'"
    )


def _evidence(connection: duckdb.DuckDBPyConnection) -> None:
    for contract in (EVIDENCE, EVIDENCE_SAMPLES):
        connection.execute(create_table_sql(contract))


def _draws(connection: duckdb.DuckDBPyConnection) -> None:
    """Before, every sample was one draw, however often production had asked it."""
    for table in ("eval_set_samples", "evidence_samples"):
        connection.execute(
            f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS num_draws DOUBLE DEFAULT 1.0"
        )


def _challengers(connection: duckdb.DuckDBPyConnection) -> None:
    """Before, a run had one challenger. The key of a table cannot be changed in place."""
    for column in ("role VARCHAR DEFAULT 'challenger'", "is_leading BOOLEAN DEFAULT true"):
        connection.execute(f"ALTER TABLE verdicts ADD COLUMN IF NOT EXISTS {column}")
    connection.execute("CREATE TEMP TABLE kept_verdicts AS FROM verdicts")
    connection.execute("DROP TABLE verdicts")
    connection.execute(create_table_sql(VERDICTS))
    connection.execute("INSERT INTO verdicts BY NAME FROM kept_verdicts")
    connection.execute("DROP TABLE kept_verdicts")
    connection.execute(create_table_sql(RANKINGS))
    connection.execute("ALTER TABLE runs ADD COLUMN IF NOT EXISTS more_challengers VARCHAR[]")
    connection.execute(
        "ALTER TABLE evidence ADD COLUMN IF NOT EXISTS num_challengers BIGINT DEFAULT 1"
    )


def _run_samples(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(create_table_sql(RUN_SAMPLES))


def _guardrails(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("ALTER TABLE verdicts ADD COLUMN IF NOT EXISTS guardrails JSON")


def _letters_of_many(connection: duckdb.DuckDBPyConnection) -> None:
    """Before, every record that could not be read had a dead letter of its own."""
    for column in (
        "is_rest BOOLEAN DEFAULT false",
        "num_records BIGINT DEFAULT 1",
        "last_line BIGINT",
    ):
        connection.execute(f"ALTER TABLE dead_letters ADD COLUMN IF NOT EXISTS {column}")


def _sealed(connection: duckdb.DuckDBPyConnection) -> None:
    """Before, what was held raw was in the clear."""
    for table in ("dead_letters", "quarantine"):
        connection.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS key_id VARCHAR")


def _hosted(connection: duckdb.DuckDBPyConnection) -> None:
    """Before, every answer was computed here."""
    for column in ("ttft_s DOUBLE", "latency_s DOUBLE", "served_by VARCHAR"):
        connection.execute(f"ALTER TABLE completions ADD COLUMN IF NOT EXISTS {column}")
    connection.execute(create_table_sql(SPENDING))


def _served(connection: duckdb.DuckDBPyConnection) -> None:
    """Before, a sample was its messages alone, and an answer was judged with what the model thought
    before it: that is judged again."""
    for column in ("served JSON", "session VARCHAR", "step BIGINT"):
        connection.execute(f"ALTER TABLE samples ADD COLUMN IF NOT EXISTS {column}")
    connection.execute(
        "DELETE FROM scores USING completions c WHERE c.release_digest = scores.release_digest "
        "AND c.sample_id = scores.sample_id AND c.seed = scores.seed AND contains(c.text, 'think>')"
    )


def _receipts(connection: duckdb.DuckDBPyConnection) -> None:
    """Before, a run did not write down what it was bound to, nor evidence what it had been. What
    stands today is what the last look left."""
    for contract in (COMMITMENTS, MODEL_FILES, EVIDENCE_LOOKS):
        connection.execute(create_table_sql(contract))
    connection.execute(
        "INSERT OR IGNORE INTO evidence_looks SELECT evidence_id, run_id, state FROM evidence"
    )


def _promotion(connection: duckdb.DuckDBPyConnection) -> None:
    """Before, the champion was what flywheel.toml names."""
    for contract in (ALIASES, AUDIT):
        connection.execute(create_table_sql(contract))


def _forgotten(connection: duckdb.DuckDBPyConnection) -> None:
    """Before, nothing was erased."""
    for contract in (FORGOTTEN, ERASURES):
        connection.execute(create_table_sql(contract))
    connection.execute("ALTER TABLE sources ADD COLUMN IF NOT EXISTS forgotten BIGINT")


def _unread_keys(connection: duckdb.DuckDBPyConnection) -> None:
    """Before, keys that were not understood were kept as tags without a word."""
    connection.execute("ALTER TABLE sources ADD COLUMN IF NOT EXISTS unread_keys JSON")


def _calls_without_index(connection: duckdb.DuckDBPyConnection) -> None:
    """Before, requests had an index of all ids: 1.5 GB for ten million calls, in the file and in
    the memory of whoever added one. A key of a table cannot be taken off in place."""
    has_index = connection.execute(
        "SELECT count(*) FROM duckdb_constraints() WHERE table_name = 'requests' "
        "AND constraint_type = 'PRIMARY KEY' AND database_name = current_database()"
    ).fetchall()
    if has_index == [(0,)]:
        return
    connection.execute(create_table_sql(REQUESTS, "requests_anew"))
    connection.execute("INSERT INTO requests_anew BY NAME FROM requests")
    connection.execute("DROP TABLE requests")
    connection.execute("ALTER TABLE requests_anew RENAME TO requests")


#: In order; never edited once released, only appended to.
MIGRATIONS: tuple[Callable[[duckdb.DuckDBPyConnection], None], ...] = (
    _first_schema,
    _met_again,
    _merged_reports,
    _drift,
    _windows_of_sources,
    _whose_fault,
    _weights,
    _evidence,
    _draws,
    _challengers,
    _run_samples,
    _guardrails,
    _letters_of_many,
    _sealed,
    _hosted,
    _served,
    _receipts,
    _promotion,
    _forgotten,
    _unread_keys,
    _calls_without_index,
)


def migrate(connection: duckdb.DuckDBPyConnection, keep_copy: Callable[[], None]) -> None:
    """Bring the database to the newest schema; a copy of one that is of an earlier is kept first.

    Raises StoreError on one newer than this code.
    """
    version = schema_version(connection)
    refuse_newer(version)
    if 0 < version < len(MIGRATIONS):
        keep_copy()
    connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations "
        "(version INTEGER PRIMARY KEY, applied_at TIMESTAMP)"
    )
    for number in range(version + 1, len(MIGRATIONS) + 1):
        connection.execute("BEGIN")
        try:
            MIGRATIONS[number - 1](connection)
            connection.execute(
                "INSERT INTO schema_migrations VALUES (?, now()::TIMESTAMP)", [number]
            )
            connection.execute("COMMIT")
        except BaseException:
            with suppress(duckdb.Error):
                connection.execute("ROLLBACK")
            raise


def check_version(connection: duckdb.DuckDBPyConnection) -> None:
    """Raises StoreError on a database whose tables are not those this code reads."""
    version = schema_version(connection)
    refuse_newer(version)
    if version == 0:
        raise StoreError("there is no store yet", next="flywheel run, or flywheel ingest")
    if version < len(MIGRATIONS):
        raise StoreError(
            "the store was written by an earlier flywheel, and reading does not change it",
            received=f"schema {version}",
            allowed=f"schema {len(MIGRATIONS)}",
            next="flywheel validate, or any other command that writes: it keeps a copy and brings "
            "the store up to date",
        )


def refuse_newer(version: int) -> None:
    if version > len(MIGRATIONS):
        raise StoreError(
            "the store was written by a newer flywheel",
            received=f"schema {version}",
            allowed=f"up to {len(MIGRATIONS)}",
            next="install the newer flywheel, or point FLYWHEEL_HOME at another folder",
        )


def schema_version(connection: duckdb.DuckDBPyConnection) -> int:
    """0 where nothing of ours is in it yet."""
    is_store = connection.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE table_name = 'schema_migrations' "
        "AND database_name = current_database()"
    ).fetchall()
    if is_store == [(0,)]:
        return 0
    rows = connection.execute("SELECT coalesce(max(version), 0) FROM schema_migrations").fetchall()
    return int(rows[0][0])
