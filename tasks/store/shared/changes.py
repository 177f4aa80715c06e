"""What a transaction changed in a working copy, against how it stood before.

Which tables it wrote to its statements say. Of a control table single rows are told, of any other
the stretches of rows that have to be written as parts: what was appended, and, where the statements
did more than that, every part of which some row is another.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from expectations.checks import quoted
from expectations.contracts import SHARED_TABLES, TableContract
from tasks.store.shared.controls import ControlChange
from tasks.store.shared.working_copy import BEFORE, BEHIND, LocalPart, ends

#: rows of a part: as many as DuckDB keeps together
PART_ROWS = 122_880
_BY_NAME = {contract.name: contract for contract in SHARED_TABLES}
_WRITES = re.compile(
    r"\b(insert(?:\s+or\s+(?:ignore|replace))?\s+into|merge\s+into|update|delete\s+from"
    r"|truncate(?:\s+table)?|(?:create(?:\s+or\s+replace)?|drop|alter)\s+table"
    r"(?:\s+if\s+(?:not\s+)?exists)?)\s+\"?(\w+)\"?",
    re.IGNORECASE,
)
_APPENDS = re.compile(r"insert(\s+or\s+ignore)?\s+into$", re.IGNORECASE)
_CHANGES_ON_CONFLICT = re.compile(r"\bdo\s+update\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows of a table that become a part: after a row id, as far as another."""

    after: int
    until: int
    num_rows: int


def written_tables(sql: str) -> dict[str, bool]:
    """Tables that machines share among those a statement writes to → whether it may do more than
    append."""
    found: dict[str, bool] = {}
    for how, name in _WRITES.findall(sql):
        if name in _BY_NAME:
            is_append = _APPENDS.match(how) and not _CHANGES_ON_CONFLICT.search(sql)
            found[name] = found.get(name, False) or not is_append
    return found


def contract_of(name: str) -> TableContract:
    return _BY_NAME[name]


def control_change(
    now: duckdb.DuckDBPyConnection, before: duckdb.DuckDBPyConnection, contract: TableContract
) -> ControlChange | None:
    """None: no row of it is another."""
    name = quoted(contract.name)
    hashes = f"SELECT rowid, hash({name}) FROM {name}"
    rows_now, rows_before = now.execute(hashes).fetchall(), before.execute(hashes).fetchall()
    changed, known = set(rows_now) - set(rows_before), set(rows_before) - set(rows_now)
    if not changed and not known:
        return None
    columns = ", ".join(map(quoted, contract.column_names))
    picked = f"SELECT {columns} FROM {name} WHERE rowid IN (SELECT unnest(?::BIGINT[]))"
    new = now.execute(f"{picked} ORDER BY rowid", [[row for row, _ in changed]]).fetchall()
    old = before.execute(picked, [[row for row, _ in known]]).fetchall()
    places = [contract.column_names.index(part) for part in contract.key]

    def key(row: tuple[object, ...]) -> tuple[object, ...]:
        return tuple(row[place] for place in places)

    were, are = {key(row): row for row in old}, {key(row) for row in new}
    return ControlChange(
        contract,
        gone=[one for one in were if one not in are],
        changed=[row for row in new if key(row) in were and were[key(row)] != row],
        new=[row for row in new if key(row) not in were],
    )


def row_changes(
    now: duckdb.DuckDBPyConnection,
    before: duckdb.DuckDBPyConnection,
    table: str,
    parts: Sequence[LocalPart],
    *,
    may_have_changed: bool,
) -> list[LocalPart | Stretch]:
    """What the table consists of now: parts that are as they were, and stretches to be written."""
    bounds = ends(before, table, [part.num_rows for part in parts])
    # with the row id that each begins behind; None: it has to be written
    pieces: list[tuple[int, LocalPart | None]] = []
    after, num_pending = BEFORE, 0
    for part, until in zip(parts, bounds, strict=True):
        within = f"rowid > {after} AND rowid <= {until}"
        num_pending += part.num_rows
        if not may_have_changed or _digest(now, table, within) == _digest(before, table, within):
            pieces.append((after, part))
            num_pending = 0
        elif not pieces or pieces[-1][1] is not None or num_pending > PART_ROWS:
            pieces.append((after, None))
            num_pending = part.num_rows
        after = until
    # small parts at the end go into the next one, so that there are never many
    (num_new,) = _one(now, f"SELECT count(*) FROM {quoted(table)} WHERE rowid > {after}")
    while num_new and pieces and (last := pieces[-1][1]) is not None:
        if last.num_rows > num_new or last.num_rows + num_new > PART_ROWS:
            break
        after, _ = pieces.pop()
        num_new += last.num_rows
    is_apart = not pieces or pieces[-1][1] is not None or num_pending + num_new > PART_ROWS
    if num_new and is_apart:
        pieces.append((after, None))
    result: list[LocalPart | Stretch] = []
    for place, (begin, kept) in enumerate(pieces, start=1):
        until = pieces[place][0] if place < len(pieces) else BEHIND
        result += [kept] if kept is not None else _stretches(now, table, begin, until)
    return result


def all_stretches(connection: duckdb.DuckDBPyConnection, table: str) -> list[Stretch]:
    return _stretches(connection, table, BEFORE, BEHIND)


def _stretches(
    connection: duckdb.DuckDBPyConnection, table: str, after: int, until: int
) -> list[Stretch]:
    within = f"rowid > {after} AND rowid <= {until}"
    (count,) = _one(connection, f"SELECT count(*) FROM {quoted(table)} WHERE {within}")
    sizes = [min(PART_ROWS, count - start) for start in range(0, count, PART_ROWS)]
    # the rows of the open transaction have ids of their own, far behind the others
    bounds = ends(connection, table, sizes, after, until)
    return [
        Stretch(begin, end, size)
        for begin, end, size in zip([after, *bounds], bounds, sizes, strict=False)
    ]


def _digest(connection: duckdb.DuckDBPyConnection, table: str, within: str) -> tuple[object, ...]:
    name = quoted(table)
    return _one(
        connection,
        f"SELECT count(*), bit_xor(h), sum(h) FROM "
        f"(SELECT hash(rowid, {name}) AS h FROM {name} WHERE {within})",
    )


def _one(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[int, ...]:
    return connection.execute(sql).fetchall()[0]
