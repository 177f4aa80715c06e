"""Queries on `dead_letters`: what could not be read, with its bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from expectations.contracts import DEAD_LETTERS
from tasks.store.connection import Store


def known_dead_letters(store: Store, ids: Sequence[str]) -> set[str]:
    if not ids:
        return set()
    found = store.rows(
        "SELECT dead_letter_id FROM dead_letters WHERE dead_letter_id IN (SELECT unnest(?))",
        [list(ids)],
    )
    return {dead_letter_id for (dead_letter_id,) in found}


def add_dead_letters(store: Store, rows: Sequence[dict[str, Any]]) -> None:
    store.insert(DEAD_LETTERS, rows)


def waiting_at(store: Store, source: str, byte_offset: int) -> set[str]:
    """Ids of the cut-off lines that wait at this place of a file for their rest."""
    found = store.rows(
        "SELECT dead_letter_id FROM dead_letters "
        "WHERE source = ? AND byte_offset = ? AND line_number IS NOT NULL AND state = 'dead'",
        [source, byte_offset],
    )
    return {dead_letter_id for (dead_letter_id,) in found}


def whole_files(store: Store, source: str) -> set[str]:
    """Ids of the dead letters that stand for the whole file."""
    found = store.rows(
        "SELECT dead_letter_id FROM dead_letters "
        "WHERE source = ? AND line_number IS NULL AND state = 'dead'",
        [source],
    )
    return {dead_letter_id for (dead_letter_id,) in found}


def mark_replayed(store: Store, ids: Sequence[str]) -> None:
    if ids:
        store.execute(
            "UPDATE dead_letters SET state = 'replayed' WHERE dead_letter_id IN (SELECT unnest(?))",
            [list(ids)],
        )
