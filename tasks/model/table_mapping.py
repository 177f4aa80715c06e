"""What the columns of a vendor's table mean: a mapping as a TOML file or `flywheel.toml` has it.

Values only: formats/table.py reads rows by it. A column is named as it stands; `column.key` is a
key of the JSON text in a cell; of a list of names the first that holds something counts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from tasks.errors import did_you_mean

#: the mapping that `[ingest.columns]` is
TABLE = "table"
#: what a column may be besides a field of a call: `user` is hashed, `ended_at` gives the latency,
#: `error` makes a failed call, `usage` holds counts and `request` a body of an API, as JSON text
MORE_FIELDS = ("user", "ended_at", "error", "usage", "request")
UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6, "µs": 1e6, "ns": 1e9}
_IN_SECONDS = ("latency_s", "ttft_s")
_KEYS = ("about", "columns", "where", "failed_where", "constants", "recognised_by")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a field is found. `per_second`: of the unit of its numbers."""

    columns: tuple[str, ...]
    per_second: float = 1.0


@dataclass(frozen=True, slots=True)
class TableMapping:
    """`where`: column → what it may hold for the row to be a call; `failed_where`: what any of them
    holds where that failed (without: where there is an `error`). `constants`: field → its value in
    every row. `recognised_by`: columns that a table has to have to be taken for this one, each by
    any of its names."""

    name: str
    columns: Mapping[str, Source]
    where: Mapping[str, tuple[str, ...]]
    failed_where: Mapping[str, tuple[str, ...]]
    constants: Mapping[str, Any]
    recognised_by: tuple[tuple[str, ...], ...]
    digest: str


def read_mapping(
    name: str, values: Mapping[str, Any], call_fields: Collection[str]
) -> TableMapping:
    """Raises ValueError, in words for its author."""
    unknown = sorted(set(values) - set(_KEYS))
    if unknown:
        raise ValueError(f"mapping {name}: no key {unknown[0]!r}; there are {', '.join(_KEYS)}")
    columns = _table(name, "columns", values)
    if not columns:
        raise ValueError(f'mapping {name}: [columns] says what they mean: field = "column"')
    allowed = (*call_fields, *MORE_FIELDS)
    constants = _table(name, "constants", values)
    for field in (*columns, *constants):
        if field not in allowed:
            hint = did_you_mean(field, allowed)
            raise ValueError(f"mapping {name}: a call has no field {field!r}{hint}")
    sources = {field: _source(name, field, said) for field, said in columns.items()}
    where, failed_where = (
        {
            column: _texts(name, f"{key}.{column}", said)
            for column, said in _table(name, key, values).items()
        }
        for key in ("where", "failed_where")
    )
    if "recognised_by" in values:
        texts = _texts(name, "recognised_by", values["recognised_by"])
        signs = tuple(tuple(text.split("|")) for text in texts)
    else:
        signs = (*((column,) for column in where), *(each.columns for each in sources.values()))
    text = json.dumps(values, sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return TableMapping(name, sources, where, failed_where, constants, signs, digest)


def _table(name: str, key: str, values: Mapping[str, Any]) -> Mapping[str, Any]:
    table = values.get(key, {})
    if not isinstance(table, Mapping):
        raise ValueError(f"mapping {name}: {key} is a table of names and what they stand for")
    return table


def _source(name: str, field: str, said: Any) -> Source:
    if not isinstance(said, Mapping):
        return Source(_texts(name, f"columns.{field}", said))
    unknown = sorted(set(said) - {"column", "unit"})
    if unknown or "column" not in said:
        raise ValueError(f"mapping {name}: columns.{field} has a `column`, and may have a `unit`")
    unit = said.get("unit", "s")
    if unit not in UNITS:
        raise ValueError(f"mapping {name}: columns.{field}: the unit is one of {', '.join(UNITS)}")
    if unit != "s" and field not in _IN_SECONDS:
        raise ValueError(f"mapping {name}: only {' and '.join(_IN_SECONDS)} have a unit")
    return Source(_texts(name, f"columns.{field}", said["column"]), UNITS[unit])


def _texts(name: str, where: str, said: Any) -> tuple[str, ...]:
    texts = [said] if isinstance(said, str) else said
    if not isinstance(texts, list | tuple) or not texts or not all(
        isinstance(text, str) and text for text in texts
    ):  # fmt: skip
        raise ValueError(f"mapping {name}: {where} is a text, or a list of texts")
    return tuple(texts)
