"""Which columns of a call are masked, and how: JSON values inside, plain texts as texts."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from tasks.redaction import Redactor

#: values are masked, keys stay
JSON_COLUMNS = (
    "messages",
    "response",
    "tool_calls",
    "params",
    "guardrail_verdicts",
    "tags",
)
#: short texts that users or errors fill in; names of models, prompts and releases are the
#: operator's own (and a version such as 1.2.3.4 is no address)
TEXT_COLUMNS = ("session_id", "error_type")


def redact_table(table: pa.Table, redactor: Redactor) -> pa.Table:
    """Same rows, same columns; what the redactor's kinds name is masked."""
    for name, mask in (
        *((name, redactor.json) for name in JSON_COLUMNS),
        *((name, redactor.text) for name in TEXT_COLUMNS),
    ):
        position = table.schema.get_field_index(name)
        column = table.column(position)
        values: list[Any] = [None if v is None else mask(v) for v in column.to_pylist()]
        table = table.set_column(position, name, pa.array(values, type=pa.string()))
    return table
