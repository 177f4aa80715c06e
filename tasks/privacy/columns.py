"""Which columns of a call are redacted, and how: JSON values inside, plain texts as texts."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from tasks.privacy.policy import JSON_COLUMNS, TEXT_COLUMNS, Policy


def redact_table(table: pa.Table, policy: Policy) -> pa.Table:
    """Same rows, same columns, with the policy applied to each field."""
    for names, redacted in ((JSON_COLUMNS, policy.json), (TEXT_COLUMNS, policy.text)):
        for name in names:
            position = table.schema.get_field_index(name)
            values: list[Any] = [
                None if value is None else redacted(name, value)
                for value in table.column(position).to_pylist()
            ]
            table = table.set_column(position, name, pa.array(values, type=pa.string()))
    return table
