"""`flywheel sql`: read-only, and closed to everything outside the store."""

from __future__ import annotations

import json

import duckdb

from flows.terminal import console
from tasks.errors import UsageError
from tasks.settings import read_settings
from tasks.store import Store


def run_sql(query: str, *, config: str | None, as_json: bool) -> int:
    settings = read_settings(config)
    with Store.open(settings.store_path, read_only=True) as store:
        # a query reads the store, never files of this machine
        store.execute("SET enable_external_access = false")
        store.execute("SET lock_configuration = true")
        try:
            result = store.connection.execute(query)
            columns = [column[0] for column in result.description or ()]
            rows = result.fetchall()
        except duckdb.Error as error:
            raise UsageError(
                f"the query failed: {str(error).splitlines()[0]}",
                received=query[:200],
                allowed="one SELECT, for example: select * from runs",
            ) from None
    if as_json:
        print(json.dumps({"columns": columns, "rows": rows}, default=str))
        return 0
    _print_table(columns, rows)
    return 0


def _print_table(columns: list[str], rows: list[tuple[object, ...]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(show_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if value is None else str(value)) for value in row))
    console().print(table)
