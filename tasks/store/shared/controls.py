"""Control tables as tables of the database that machines share: their columns, and rows both ways.

A table of a contract has its columns, and the order in which the rows came.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import sqlalchemy as sa

from expectations.contracts import Column, TableContract
from tasks.store.shared.database import PREFIX

ORDER = "row_no"
_TYPES: dict[str, type[sa.types.TypeEngine[Any]]] = {
    "VARCHAR": sa.Text,
    "JSON": sa.Text,  # to the bit, which no JSON type of a database keeps
    "BIGINT": sa.BigInteger,
    "INTEGER": sa.Integer,
    "DOUBLE": sa.Double,
    "BOOLEAN": sa.Boolean,
    "TIMESTAMP": sa.DateTime,
    "BLOB": sa.LargeBinary,
    "VARCHAR[]": sa.Text,
}
#: PostgreSQL takes no NUL in a text
_ESCAPE, _NUL = "\ue000", "\x00"
_MAX_AT_ONCE = 500

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class ControlChange:
    """What a transaction did to a control table. `gone`: keys; the others are whole rows."""

    contract: TableContract
    gone: Sequence[Row]
    changed: Sequence[Row]
    new: Sequence[Row]


@cache
def table_of(contract: TableContract) -> sa.Table:
    """Of a contract as it is now; one that was recorded by another build is another table object,
    in metadata of its own."""
    columns = [
        sa.Column(
            column.name,
            _TYPES[column.sql_type],
            nullable=column.nullable,
            primary_key=column.name in contract.key,
            autoincrement=False,
        )
        for column in contract.columns
    ]
    order = sa.Column(ORDER, sa.BigInteger, nullable=False)
    return sa.Table(f"{PREFIX}{contract.name}", sa.MetaData(), *columns, order)


def read(connection: sa.Connection, contract: TableContract) -> list[Row]:
    table = table_of(contract)
    columns = [table.c[name] for name in contract.column_names]
    rows = connection.execute(sa.select(*columns).order_by(table.c[ORDER]))
    return [tuple(map(_to_store, contract.columns, row)) for row in rows]


def write(connection: sa.Connection, change: ControlChange, first_row_no: int) -> None:
    """Rows that are new come behind those that are there."""
    contract, table = change.contract, table_of(change.contract)
    if change.gone:
        condition = sa.and_(*(table.c[name] == sa.bindparam(f"k_{name}") for name in contract.key))
        for some in _batches(change.gone):
            keys = [{f"k_{n}": v for n, v in zip(contract.key, key, strict=True)} for key in some]
            connection.execute(table.delete().where(condition), keys)
    if change.changed:
        others = [name for name in contract.column_names if name not in contract.key]
        condition = sa.and_(*(table.c[name] == sa.bindparam(f"k_{name}") for name in contract.key))
        update = table.update().where(condition)
        update = update.values({name: sa.bindparam(f"v_{name}") for name in others})
        for some in _batches(change.changed):
            connection.execute(update, [_bound(contract, row) for row in some])
    for start, some in enumerate(_batches(change.new)):
        first = first_row_no + start * _MAX_AT_ONCE
        rows = [{**_values(contract, row), ORDER: first + i} for i, row in enumerate(some)]
        connection.execute(table.insert(), rows)


def rewrite(
    connection: sa.Connection, contract: TableContract, rows: Sequence[Row], first_row_no: int
) -> None:
    """The table anew, as the contract has it now."""
    table = table_of(contract)
    connection.execute(sa.text(f"DROP TABLE IF EXISTS {table.name}"))
    table.create(connection)
    write(connection, ControlChange(contract, (), (), rows), first_row_no)


def contract_to_json(contract: TableContract) -> str:
    columns = [[column.name, column.sql_type, column.nullable] for column in contract.columns]
    return json.dumps({"columns": columns, "key": contract.key, "is_control": contract.is_control})


def contract_from_json(name: str, text: str) -> TableContract:
    read = json.loads(text)
    columns = tuple(Column(name, kind, "", nullable) for name, kind, nullable in read["columns"])
    return TableContract(name, "", columns, tuple(read["key"]), read["is_control"])


def _bound(contract: TableContract, row: Row) -> dict[str, Any]:
    values = _values(contract, row)
    return {f"{'k' if name in contract.key else 'v'}_{name}": v for name, v in values.items()}


def _values(contract: TableContract, row: Row) -> dict[str, Any]:
    return {
        column.name: _to_database(column, value)
        for column, value in zip(contract.columns, row, strict=True)
    }


def _to_database(column: Column, value: Any) -> Any:
    if isinstance(value, list):
        return json.dumps(value)
    if isinstance(value, str) and (_NUL in value or _ESCAPE in value):
        return value.replace(_ESCAPE, _ESCAPE * 2).replace(_NUL, f"{_ESCAPE}0")
    return value


def _to_store(column: Column, value: Any) -> Any:
    if value is not None and column.sql_type == "VARCHAR[]":
        return json.loads(value)
    if isinstance(value, str) and _ESCAPE in value:
        parts = value.split(_ESCAPE * 2)
        return _ESCAPE.join(part.replace(f"{_ESCAPE}0", _NUL) for part in parts)
    return value


def _batches(rows: Sequence[Row]) -> Iterable[Sequence[Row]]:
    return (rows[start : start + _MAX_AT_ONCE] for start in range(0, len(rows), _MAX_AT_ONCE))
