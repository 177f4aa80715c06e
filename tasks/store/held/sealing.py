"""The key of a store as functions of its SQL, so that rows are sealed without leaving DuckDB."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tasks.store.db.connection import Store, afterwards


@contextmanager
def sealing(store: Store) -> Iterator[None]:
    """`seal_raw` and `open_raw`, of text, for the length of the block; none without a key."""
    key = store.raw_key
    if key is None:
        yield
        return

    def seal_raw(text: str) -> str:
        return key.seal(text.encode()).decode()

    def open_raw(token: str) -> str:
        return key.unseal(token.encode()).decode()

    connection = store.connection
    functions = {"seal_raw": seal_raw, "open_raw": open_raw}
    for name, function in functions.items():
        # sealed twice, the same text is two tokens
        connection.create_function(name, function, ["VARCHAR"], "VARCHAR", side_effects=True)
    with afterwards(lambda: [connection.remove_function(name) for name in functions]):
        yield


def opened_sql(store: Store) -> str:
    """SQL for the row of quarantine as it was, of rows that the key at hand can open."""
    if store.raw_key is None:
        return '"row"'
    return 'CASE WHEN key_id IS NULL THEN "row" ELSE open_raw("row"->>\'$.sealed\')::JSON END'
