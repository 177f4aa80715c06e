"""Held rows and dead letters of a person, or of one call: found, and taken out."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from expectations.checks import sql_literal
from tasks.store.db.connection import Store
from tasks.store.db.sql import among
from tasks.store.held.dead_letters import raw_bytes
from tasks.store.held.sealing import sealing

_AT_A_TIME = 500


@dataclass(frozen=True, slots=True)
class HeldRow:
    """`feedback_id` None: it is a call. `places`: file:line of the logs."""

    quarantine_id: str
    request_id: str | None
    content_digest: str | None
    feedback_id: str | None
    places: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FoundLetter:
    """`raw`: its bytes; none of one that stands for many or was purged."""

    letter_id: str
    place: str
    raw: bytes


def find_rows(store: Store, request_ids: Collection[str], users: Collection[str]) -> list[HeldRow]:
    """Of any state. One that is sealed under another key is found by its request id alone."""
    ids, hashes = list(request_ids), list(users)
    with sealing(store):
        rows = store.rows(
            "SELECT quarantine_id, coalesce(request_id, held->>'$.request_id'), "
            "held->>'$.content_digest', held->>'$.feedback_id', "
            "coalesce(CAST(held->'$.sources' AS VARCHAR[]), [held->>'$.source']) "
            f"FROM (SELECT *, {_readable(store)} AS held FROM quarantine) "
            f"WHERE {among('request_id')} OR {among(_member('request_id'))} "
            f"OR {among(_member('user_hash'))} OR {among(_member('by_hash'))} "
            "ORDER BY quarantine_id",
            [ids, ids, hashes, hashes],
        )
    return [
        HeldRow(held_id, request_id, content, feedback_id, tuple(filter(None, places)))
        for held_id, request_id, content, feedback_id, places in rows
    ]


def _member(name: str) -> str:
    return f"(held->>'$.{name}')"


def _readable(store: Store) -> str:
    """SQL for the row as it was, or what is told of one that is sealed under another key."""
    if store.raw_key is None:
        return '"row"'
    opened = "open_raw(\"row\"->>'$.sealed')::JSON"
    return f'CASE WHEN key_id = {sql_literal(store.raw_key.key_id)} THEN {opened} ELSE "row" END'


def find_letters(store: Store, holds: Callable[[bytes], bool]) -> list[FoundLetter]:
    """Those of which the bytes, or what the error quotes, hold what is looked for."""
    rows = store.rows(
        "SELECT dead_letter_id, source || coalesce(':' || line_number, ''), error "
        "FROM dead_letters ORDER BY dead_letter_id"
    )
    found = []
    for start in range(0, len(rows), _AT_A_TIME):
        page = rows[start : start + _AT_A_TIME]
        raw = raw_bytes(store, [letter_id for letter_id, *_ in page])
        for letter_id, place, error in page:
            data = raw.get(letter_id, b"")
            if holds(data) or holds(error.encode("utf-8", "surrogatepass")):
                found.append(FoundLetter(letter_id, place, data))
    return found


def num_sealed(store: Store) -> int:
    """Rows and letters with bytes that no key at hand opens."""
    key_id = "" if store.raw_key is None else store.raw_key.key_id
    return int(
        store.scalar(
            "SELECT count(*) FROM (SELECT key_id FROM dead_letters UNION ALL "
            "SELECT key_id FROM quarantine) WHERE key_id <> ?",
            [key_id],
        )
    )


def erase_held(store: Store, rows: Collection[HeldRow], letters: Collection[FoundLetter]) -> None:
    store.execute(
        f"DELETE FROM quarantine WHERE {among('quarantine_id')}",
        [[row.quarantine_id for row in rows]],
    )
    store.execute(
        f"DELETE FROM dead_letters WHERE {among('dead_letter_id')}",
        [[letter.letter_id for letter in letters]],
    )
