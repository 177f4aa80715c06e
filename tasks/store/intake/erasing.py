"""Calls and feedback of a person, or one call: found by id and user, and taken out.

Owns the SQL on what came in: `landing`, `requests`, `feedback` and the tables beside them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tasks.store.db.connection import Store
from tasks.store.db.sql import among

_CALLS = (
    "(SELECT request_id, content_digest, session_id, user_hash, ingested_at, sources, messages, "
    "response FROM landing UNION ALL SELECT request_id, content_digest, session_id, user_hash, "
    "ingested_at, sources, messages, response FROM requests)"
)
_COLUMNS = "request_id, content_digest, session_id, ingested_at, sources, messages, response"
_PAIRS = "(SELECT (unnest(?::VARCHAR[]), unnest(?::VARCHAR[])))"


@dataclass(frozen=True, slots=True)
class FoundCall:
    """`places`: file:line of the logs. `messages` and `response` are JSON, as stored."""

    request_id: str
    content_digest: str
    session_id: str | None
    ingested_at: datetime
    places: tuple[str, ...]
    messages: str | None
    response: str | None


@dataclass(frozen=True, slots=True)
class FoundSignal:
    """`corrected`: what became the target of samples made of the call."""

    feedback_id: str
    request_id: str
    place: str
    comment: str | None
    corrected: str | None


@dataclass(frozen=True, slots=True)
class Report:
    """A second report of a call, which went into the first one's row."""

    request_id: str
    content_digest: str


def find_calls(
    store: Store, request_ids: Collection[str], users: Collection[str]
) -> list[FoundCall]:
    """Calls of these ids, and of users by their hash."""
    rows = store.rows(
        f"SELECT {_COLUMNS} FROM {_CALLS} WHERE {among('request_id')} OR {among('user_hash')} "
        "ORDER BY request_id, content_digest",
        [list(request_ids), list(users)],
    )
    return _found(rows)


def calls_of_sessions(store: Store, sessions: Collection[str], max_calls: int) -> list[FoundCall]:
    """Of those that have no more calls than that."""
    rows = store.rows(
        f"SELECT {_COLUMNS} FROM {_CALLS} WHERE {among('session_id')} "
        "QUALIFY count(*) OVER (PARTITION BY session_id) <= ? "
        "ORDER BY request_id, content_digest",
        [list(sessions), max_calls],
    )
    return _found(rows)


def _found(rows: Iterable[tuple[Any, ...]]) -> list[FoundCall]:
    return [
        FoundCall(request_id, digest, session, at, tuple(sources), *said)
        for request_id, digest, session, at, sources, *said in rows
    ]


def find_signals(
    store: Store, request_ids: Collection[str], users: Collection[str]
) -> list[FoundSignal]:
    """Feedback on these calls, and what these users said of any."""
    rows = store.rows(
        "SELECT feedback_id, request_id, source, comment, corrected FROM feedback "
        f"WHERE {among('request_id')} OR {among('by_hash')} ORDER BY feedback_id",
        [list(request_ids), list(users)],
    )
    return [FoundSignal(*row) for row in rows]


def find_reports(store: Store, request_ids: Collection[str]) -> list[Report]:
    rows = store.rows(
        "SELECT request_id, content_digest FROM merged_reports "
        f"WHERE {among('request_id')} OR {among('merged_into')} ORDER BY ALL",
        [list(request_ids), list(request_ids)],
    )
    return [Report(*row) for row in rows]


def erase_calls(store: Store, calls: Collection[FoundCall], reports: Collection[Report]) -> None:
    for name, rows in (
        ("landing", calls), ("requests", calls), ("met_again", calls), ("merged_reports", reports),
    ):  # fmt: skip
        store.execute(
            f"DELETE FROM {name} WHERE (request_id, content_digest) IN {_PAIRS}",
            [[row.request_id for row in rows], [row.content_digest for row in rows]],
        )


def erase_signals(store: Store, feedback_ids: Collection[str]) -> None:
    store.execute(f"DELETE FROM feedback WHERE {among('feedback_id')}", [list(feedback_ids)])
