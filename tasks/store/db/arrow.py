"""Rows to Arrow by contract. Needs pyarrow, so it is imported only where rows are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from expectations.contracts import TableContract

_ARROW_TYPES = {
    "VARCHAR": pa.string(),
    "JSON": pa.string(),
    "BIGINT": pa.int64(),
    "INTEGER": pa.int32(),
    "DOUBLE": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "TIMESTAMP": pa.timestamp("us"),
    "BLOB": pa.binary(),
    "VARCHAR[]": pa.list_(pa.string()),
}


def table_from_rows(contract: TableContract, rows: Sequence[dict[str, Any]]) -> pa.Table:
    """[num_rows] dicts → Arrow table with exactly the contract's columns and types.

    Raises KeyError on a column the contract does not have and pyarrow.ArrowInvalid on a value of
    another type: both are bugs of the caller, who parses and converts first.
    """
    known = set(contract.column_names)
    for row in rows:
        if not row.keys() <= known:
            raise KeyError(f"{contract.name} has no column {sorted(row.keys() - known)}")
    arrays = [
        pa.array([row.get(column.name) for row in rows], type=_ARROW_TYPES[column.sql_type])
        for column in contract.columns
    ]
    return pa.table(arrays, names=list(contract.column_names))


def table_from_columns(contract: TableContract, columns: Mapping[str, Sequence[Any]]) -> pa.Table:
    """Column by column, those that are given → Arrow table with the contract's types for them.

    Raises KeyError and pyarrow.ArrowInvalid as above.
    """
    return pa.table(
        {
            name: pa.array(values, type=_ARROW_TYPES[contract.column(name).sql_type])
            for name, values in columns.items()
        }
    )


def table_from_values(contract: TableContract, rows: Sequence[Sequence[Any]]) -> pa.Table:
    """[num_rows] values in the contract's order, JSON as bytes of valid JSON in UTF-8 → table.

    JSON goes in as Arrow's own JSON type, which DuckDB takes over without parsing it once more.
    """
    values: Sequence[Sequence[Any]] = list(zip(*rows, strict=True)) or [()] * len(contract.columns)
    arrays = []
    for about, column in zip(contract.columns, values, strict=True):
        if about.sql_type == "JSON":
            # bytes, never texts: Python would encode each of them anew
            storage = pa.array(column, type=pa.binary()).view(pa.string())
            arrays.append(pa.ExtensionArray.from_storage(pa.json_(), storage))
        else:
            arrays.append(pa.array(column, type=_ARROW_TYPES[about.sql_type]))
    return pa.table(arrays, names=list(contract.column_names))
