"""Rows of CSV or Parquet whose columns `[ingest.columns]` of flywheel.toml names.

A row becomes a canonical record: mapped columns under the names of the fields, all others as tags.
An empty cell is no value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tasks.logs.formats import canonical
from tasks.logs.shapes import coerce
from tasks.logs.shapes.records import Json, Record, UnreadableError

NAME = "table"
VERSION = "table@2"


class Table:
    """columns: field of a call → column."""

    NAME = NAME
    VERSION = VERSION

    def __init__(self, columns: Mapping[str, str]) -> None:
        self._columns = dict(columns)

    def matches(self, value: Json) -> bool:
        """Every column that is mapped is there."""
        return isinstance(value, dict) and not self._columns_missing(value)

    def records(self, value: Json) -> Iterator[Record]:
        if not isinstance(value, dict):
            raise UnreadableError(f"expected a row, received {coerce.kind_of(value)}")
        if missing := self._columns_missing(value):
            raise UnreadableError(f"no column {', '.join(missing)}")
        row = {field: value[column] for field, column in self._columns.items()}
        taken = set(self._columns.values())
        tags = {name: cell for name, cell in value.items() if name not in taken}
        given = {name: cell for name, cell in {**row, "tags": tags}.items() if cell not in ("", {})}
        yield from canonical.records({"request_id": None, **given})

    def _columns_missing(self, value: dict[str, Json]) -> list[str]:
        return [column for column in self._columns.values() if column not in value]
