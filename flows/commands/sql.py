"""`flywheel sql`: read-only, and closed to everything outside the store."""

from __future__ import annotations

from flows.terminal import Table, console, print_json, print_table
from tasks.errors import UsageError
from tasks.settings import read_settings
from tasks.store.db import user_sql
from tasks.store.opening import open_store


def run_sql(query: str, *, config: str | None, as_json: bool) -> int:
    settings = read_settings(config)
    with open_store(settings, read_only=True) as store:
        try:
            result = user_sql.query(store, query)
        except user_sql.RefusedSqlError as error:
            raise UsageError(
                f"the query failed: {error}",
                received=query[:200],
                allowed="one SELECT, for example: select * from runs",
            ) from None
    if as_json:
        print_json({"columns": result.columns, "rows": result.rows})
        return 0
    rows = [tuple("" if value is None else str(value) for value in row) for row in result.rows]
    print_table(console(), Table(tuple(result.columns), rows, texts=tuple(result.columns)))
    return 0
