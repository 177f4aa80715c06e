"""Rows of CSV or Parquet by a mapping of their columns: shipped, the user's, `[ingest.columns]`.

A row becomes a canonical record: mapped columns under the names of the fields, all others as tags.
An empty cell is no value. A row that the mapping passes over (`where`) is counted as other.
Shipped mappings are the TOML files in tasks/logs/mappings; a new one is a format by its name.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from expectations.contracts import CALL_FIELDS
from tasks.logs.formats import canonical
from tasks.logs.formats.apis import api_of
from tasks.logs.formats.exchange import Exchange, decode
from tasks.logs.formats.payloads import read_input, read_output
from tasks.logs.shapes import coerce, usage
from tasks.logs.shapes.providers import named
from tasks.logs.shapes.records import Json, Other, Record, UnreadableError
from tasks.logs.shapes.usage import Reported
from tasks.model.table_mapping import Source, TableMapping, read_mapping

_VERSION = "table@3"

_SHIPPED = Path(__file__).parent.parent / "mappings"
_EMPTY: tuple[Json, ...] = (None, "", [], {})
_COUNTS = {
    "input": "input_tokens", "output": "output_tokens", "total": "total_tokens",
    "cached": "cached_tokens", "reasoning": "reasoning_tokens",
}  # fmt: skip
_ABSENT = object()


class Mapped:
    """A format: the rows of a table by one mapping."""

    def __init__(self, mapping: TableMapping) -> None:
        self._mapping = mapping
        self.NAME = mapping.name
        self.VERSION = f"{_VERSION}:{mapping.name}:{mapping.digest}"

    def matches(self, value: Json) -> bool:
        """Every column that the mapping is recognised by is there."""
        return isinstance(value, dict) and not self._missing(value)

    def fits(self, header: Sequence[str]) -> bool:
        """The same of the names of the columns alone."""
        return self.matches(dict.fromkeys(header))

    def records(self, value: Json) -> Iterator[Record]:
        if not isinstance(value, dict):
            raise UnreadableError(f"expected a row, received {coerce.kind_of(value)}")
        if missing := self._missing(value):
            raise UnreadableError(f"no column {', '.join(missing)}")
        for column, allowed in self._mapping.where.items():
            if str(_cell(value, column)) not in allowed:
                yield Other()
                return
        columns = self._mapping.columns
        found = {name: self._value(value, source, name) for name, source in columns.items()}
        given = {name: cell for name, cell in found.items() if cell not in _EMPTY}
        failed = self._mapping.failed_where
        if failed:
            signs = [cell for column, allowed in failed.items()
                     if (cell := str(_cell(value, column))) in allowed]  # fmt: skip
            said = given.pop("error", None)
            if signs:
                given["error"] = said if said is not None else signs[0]
        record = {**self._mapping.constants, **given}
        tags = self._rest(value)
        whole: dict[str, Json] = {"request_id": None, **_canonical(record)}
        yield from canonical.records({**whole, "tags": tags} if tags else whole)

    def _missing(self, row: dict[str, Json]) -> list[str]:
        return [
            " or ".join(names)
            for names in self._mapping.recognised_by
            if all(_cell(row, name) is _ABSENT for name in names)
        ]

    def _rest(self, row: dict[str, Json]) -> dict[str, Json]:
        """What no field took, of a cell with JSON text too."""
        used = {name for source in self._mapping.columns.values() for name in source.columns}
        used |= set(self._mapping.where)
        rest: dict[str, Json] = {}
        for column, cell in row.items():
            keys = {name.split(".")[1] for name in used if name.startswith(f"{column}.")}
            inner = decode(cell) if keys and column not in used else None
            if isinstance(inner, dict):
                cell = {key: item for key, item in inner.items() if key not in keys}
            if column not in used and cell not in _EMPTY:
                rest[column] = cell
        return rest

    def _value(self, row: dict[str, Json], source: Source, field: str) -> Json:
        cells = (_cell(row, column) for column in source.columns)
        cell = next((cell for cell in cells if cell is not _ABSENT and cell not in _EMPTY), None)
        if source.per_second == 1.0:
            return cell
        return coerce.seconds(field, cell, source.per_second)


def shipped() -> tuple[Mapped, ...]:
    return tuple(
        Mapped(read_mapping(path.stem, tomllib.loads(path.read_text("utf-8")), CALL_FIELDS))
        for path in sorted(_SHIPPED.glob("*.toml"))
    )


def _cell(row: dict[str, Json], column: str) -> Any:
    """Of `column.key` what stands under the key of the JSON text in the cell."""
    if column in row:
        return row[column]
    name, _, path = column.partition(".")
    if not path or name not in row:
        return _ABSENT
    value = decode(row[name])
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _canonical(record: dict[str, Json]) -> dict[str, Json]:
    """Under the names of the fields alone; what stands in bodies of an API is taken out of them."""
    record = dict(record)
    asked, said = decode(record.pop("request", None)), record.get("response")
    answer = _answer(said)
    if isinstance(asked, dict):
        api = api_of(Exchange(asked, decode(said)))
        if api is not None:
            told = {"messages": api.read_messages(asked), "params": api.params(asked),
                    "model": asked.get("model"), "user": asked.get("user")}  # fmt: skip
            record = {**{k: v for k, v in told.items() if v not in _EMPTY}, **record}
    elif asked not in _EMPTY:
        record.setdefault("messages", asked)
    if (messages := _conversation(record.get("messages"))) is not None:
        record["messages"] = messages
    counts = usage.tokens(decode(record.pop("usage", None)))
    if answer is not None:
        record["response"] = answer.message
        counts = {**(answer.tokens or {}), **{k: v for k, v in counts.items() if v is not None}}
        for field, value in (("finish_reason", answer.finish_reason), ("model", answer.model),
                             ("error", answer.error)):  # fmt: skip
            if value is not None:
                record.setdefault(field, value)
    own = {name: coerce.integer(field, record.get(field)) for name, field in _COUNTS.items()}
    if any(count is not None for count in own.values()):
        reported = Reported(input=own["input"], output=own["output"], total=own["total"],
                            cached=own["cached"], reasoning=own["reasoning"])  # fmt: skip
        counts = {**counts, **{k: v for k, v in reported.canonical().items() if v is not None}}
    record.update({field: count for field, count in counts.items() if count is not None})
    record["provider"] = named(coerce.text("provider", record.get("provider")))
    ended = record.pop("ended_at", None)
    if ended is not None and record.get("latency_s") is None:
        times = (
            coerce.moment("started_at", record.get("started_at")),
            coerce.moment("ended_at", ended),
        )
        if times[0] is not None and times[1] is not None:
            record["latency_s"] = (times[1] - times[0]).total_seconds()
    error = decode(record.pop("error", None))
    if error not in _EMPTY:
        kind = coerce.first(error, "code", "type", "name") if isinstance(error, dict) else error
        record.setdefault("error_type", str(kind or "error")[:200])
        record.setdefault("status", "error")
    return {field: value for field, value in record.items() if value not in _EMPTY}


def _conversation(cell: Json) -> list[Json] | None:
    """Of messages in any shape, or a body that holds them; any other text is the prompt itself."""
    inner = decode(cell)
    if isinstance(inner, dict) or (
        isinstance(inner, list) and inner and all(isinstance(item, dict) for item in inner)
    ):
        return read_input(inner)
    return None


def _answer(cell: Json) -> Any:
    """Of a message or a body of an API. An answer may itself be JSON text: None then."""
    inner = decode(cell)
    if isinstance(inner, list) and inner and all(isinstance(item, dict) for item in inner):
        said = any(key in inner[0] for key in ("message", "role", "type", "text", "parts"))
        return read_output(inner) if said or api_of(Exchange(None, inner)) is not None else None
    if not isinstance(inner, dict):
        return None
    is_body = "role" in inner or "tool_calls" in inner or api_of(Exchange(None, inner)) is not None
    return read_output(inner) if is_body else None
