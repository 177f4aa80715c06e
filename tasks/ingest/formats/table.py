"""Plain tables, CSV or Parquet, whose columns the user maps in flywheel.toml.

    [ingest.columns]
    started_at = "TIMESTAMP"
    input_tokens = "ContextTokens"

The names on the left are those of the canonical record, or latency_ms and ttft_ms. Columns that
are not mapped become tags. A table without a request_id gets one from each row's content.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tasks.ingest import coerce
from tasks.ingest.formats import canonical
from tasks.ingest.records import Json, Record, UnreadableError

NAME = "table"
VERSION = "table@1"

_MILLISECONDS = {"latency_ms": "latency_s", "ttft_ms": "ttft_s"}


class Table:
    """The format of one mapping: canonical name → column."""

    NAME = NAME
    VERSION = VERSION

    def __init__(self, columns: Mapping[str, str]) -> None:
        self._columns = dict(columns)
        self._mapped = frozenset(columns.values())

    def has_columns(self, names: Sequence[str]) -> bool:
        return bool(self._columns) and self._mapped <= set(names)

    def matches(self, value: Json) -> bool:
        return isinstance(value, dict) and self.has_columns(list(value))

    def records(self, value: Json) -> Iterator[Record]:
        """A row as an object. Raises UnreadableError where a value cannot be held."""
        if not isinstance(value, dict):
            raise UnreadableError(f"expected a row, received {coerce.kind_of(value)}")
        if not self._columns:
            raise UnreadableError("no column is mapped: see [ingest.columns] in flywheel.toml")
        missing = sorted(self._mapped - value.keys())
        if missing:
            raise UnreadableError(f"the row has no column {missing[0]!r}")
        row: dict[str, Json] = {}
        for name, column in self._columns.items():
            given = value[column]
            if given is None or given == "":
                continue
            if name in _MILLISECONDS:
                row[_MILLISECONDS[name]] = coerce.seconds(name, given, 1000.0)
            else:
                row[name] = given
        rest = {key: item for key, item in value.items()
                if key not in self._mapped and item not in (None, "")}  # fmt: skip
        tags = row.pop("tags", None)
        yield from canonical.records(
            {**row, "tags": {**rest, **(tags if isinstance(tags, dict) else {})}}
        )
