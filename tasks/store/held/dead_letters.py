"""Queries on `dead_letters`: what could not be read, with its bytes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from expectations.contracts import DEAD_LETTERS
from tasks.store.db.connection import Store


@dataclass(frozen=True, slots=True)
class Unit:
    """Where a letter stands; one for the rest of a file stands for several records."""

    line_number: int | None
    byte_offset: int
    num_records: int
    last_line: int | None
    is_rest: bool


@dataclass(frozen=True, slots=True)
class Letters:
    """Dead letters of one reading of one file, by id."""

    source: str
    format: str
    run_id: str
    units: dict[str, Unit]

    @property
    def num_records(self) -> int:
        return sum(unit.num_records for unit in self.units.values())


#: an error up to where it may quote what was read, as a regular expression of RE2 and Python
WITHOUT_DATA = "^[^:'\"]*"
_MATCHES = (
    "(len($1::VARCHAR[]) = 0 OR source IN (SELECT unnest($1::VARCHAR[])) OR "
    "len(list_filter($1::VARCHAR[], lambda name : starts_with(dead_letter_id, name))) > 0)"
)


def waiting(store: Store, only: Sequence[str]) -> list[Letters]:
    """What is dead: all, or what `only` names (a source, the beginning of an id). With the rest of
    a file come the letters that are kept each by itself: which is which, only all of them tell."""
    by_reading: dict[tuple[str, str, str], Letters] = {}
    for source, format_name, run_id, letter_id, *unit in store.rows(
        "SELECT source, format, run_id, dead_letter_id, line_number, byte_offset, "
        "num_records, last_line, is_rest FROM dead_letters "
        f"WHERE state = 'dead' QUALIFY {_MATCHES} OR "
        f"bool_or(is_rest AND {_MATCHES}) OVER (PARTITION BY source, format, run_id) "
        "ORDER BY source, run_id, byte_offset, dead_letter_id",
        [list(only)],
    ):
        key = (source, format_name, run_id)
        letters = by_reading.setdefault(key, Letters(*key, {}))
        letters.units[letter_id] = Unit(*unit)
    return list(by_reading.values())


def add(store: Store, rows: Sequence[dict[str, Any]]) -> None:
    """New letters. Where the store has a key, their bytes are sealed, and no error quotes them."""
    key = store.raw_key
    if key is not None:
        rows = [
            {
                **row,
                "raw": key.seal(row["raw"]),
                "error": "".join(re.findall(WITHOUT_DATA, row["error"])),
                "key_id": key.key_id,
            }
            for row in rows
        ]
    store.insert(DEAD_LETTERS, rows)


def raw_bytes(store: Store, ids: Sequence[str]) -> dict[str, bytes]:
    """Of those letters whose bytes are still there, and not sealed under a key that is not."""
    key = store.raw_key
    rows = store.rows(
        "SELECT dead_letter_id, raw, key_id FROM dead_letters "
        "WHERE dead_letter_id IN (SELECT unnest(?)) AND (key_id IS NULL OR key_id = ?)",
        [list(ids), key and key.key_id],
    )
    return {
        letter_id: raw if key is None or key_id is None else key.unseal(raw)
        for letter_id, raw, key_id in rows
    }


@dataclass(frozen=True, slots=True)
class Place:
    """Of a dead letter; without a line it stands for the whole file."""

    letter_id: str
    line_number: int | None
    byte_offset: int


def waiting_in(store: Store, sources: Sequence[str]) -> dict[str, list[Place]]:
    """What is dead of these files; one without any is left out."""
    found: dict[str, list[Place]] = {}
    for source, *place in store.rows(
        "SELECT source, dead_letter_id, line_number, byte_offset FROM dead_letters "
        "WHERE source IN (SELECT unnest(?)) AND state = 'dead'",
        [list(sources)],
    ):
        found.setdefault(source, []).append(Place(*place))
    return found


def mark_replayed(store: Store, ids: Sequence[str]) -> None:
    if ids:
        store.execute(
            "UPDATE dead_letters SET state = 'replayed' WHERE dead_letter_id IN (SELECT unnest(?))",
            [list(ids)],
        )
