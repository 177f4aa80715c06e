"""Queries on `feedback`, as ingest and redact need them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from expectations.contracts import FEEDBACK
from tasks.store.db.connection import Store


def known_feedback(store: Store, ids: Sequence[str]) -> set[str]:
    if not ids:
        return set()
    rows = store.rows(
        "SELECT feedback_id FROM feedback WHERE feedback_id IN (SELECT unnest(?))", [list(ids)]
    )
    return {feedback_id for (feedback_id,) in rows}


def add_feedback(store: Store, rows: Sequence[dict[str, Any]]) -> None:
    store.insert(FEEDBACK, rows)


def count_feedback(store: Store, run_id: str) -> int:
    count: int = store.scalar("SELECT count(*) FROM feedback WHERE run_id = ?", [run_id])
    return count


def texts_of_run(store: Store, run_id: str) -> list[tuple[str, str | None, str | None]]:
    """(feedback id, comment, corrected) where there is a text."""
    return store.rows(
        "SELECT feedback_id, comment, corrected FROM feedback "
        "WHERE run_id = ? AND (comment IS NOT NULL OR corrected IS NOT NULL)",
        [run_id],
    )


def replace_texts(store: Store, changed: Sequence[tuple[str, str | None, str | None]]) -> None:
    if changed:
        store.execute(
            "UPDATE feedback SET comment = c.comment, corrected = c.corrected FROM ("
            "  SELECT unnest(?::VARCHAR[]) AS feedback_id, unnest(?::VARCHAR[]) AS comment, "
            "  unnest(?::VARCHAR[]) AS corrected) c WHERE feedback.feedback_id = c.feedback_id",
            [list(column) for column in zip(*changed, strict=True)],
        )
