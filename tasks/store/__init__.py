"""The only door to DuckDB: connection, schema, transactions and the queries of every stage."""

from tasks.store.db.connection import Store

__all__ = ["Store"]
