"""Rows to Arrow by contract. Needs pyarrow, so it is imported only where rows are written."""

from __future__ import annotations

from collections.abc import Sequence
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
        unknown = row.keys() - known
        if unknown:
            raise KeyError(f"{contract.name} has no column {sorted(unknown)}")
    arrays = [
        pa.array([row.get(column.name) for row in rows], type=_ARROW_TYPES[column.sql_type])
        for column in contract.columns
    ]
    return pa.table(arrays, names=list(contract.column_names))
