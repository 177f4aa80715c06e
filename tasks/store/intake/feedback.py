"""Queries on `feedback`.

It stands in its table from ingest on, and counts as new until the run that took it in has finished
validating.
"""

from __future__ import annotations

from collections.abc import Sequence

from tasks.store.db.connection import Store
from tasks.store.held.quarantine import SIGNALS

#: id of a span in OpenTelemetry
_SPAN = "[0-9a-f]{16}"
_IS_NEW = "run_id NOT IN (SELECT run_id FROM run_stages WHERE stage = 'validate')"


def count_feedback(store: Store, run_id: str) -> int:
    count: int = store.scalar("SELECT count(*) FROM feedback WHERE run_id = ?", [run_id])
    return count


def find_calls_of_spans(store: Store) -> None:
    """Signals that name a span by its own id alone, as tables of annotations do, get the id of its
    call: its trace's and its own, in whichever order the two came in."""
    by_span = f"regexp_full_match(request_id, '{_SPAN}')"
    if not store.scalar(f"SELECT count(*) FROM feedback WHERE {by_span}"):
        return
    store.execute(
        "UPDATE feedback SET request_id = calls.request_id FROM ("
        "  SELECT right(request_id, 16) AS span, min(request_id) AS request_id FROM ("
        "    SELECT request_id FROM landing UNION SELECT request_id FROM requests "
        "    UNION SELECT request_id FROM quarantine) "
        f"  WHERE regexp_full_match(request_id, '[^:]+:{_SPAN}') "
        "  GROUP BY 1 HAVING count(*) = 1) calls "
        f"WHERE regexp_full_match(feedback.request_id, '{_SPAN}') "
        "AND feedback.request_id = calls.span"
    )


def texts_of_run(
    store: Store, run_id: str, after: str, most: int
) -> list[tuple[str, str | None, str | None]]:
    """(feedback id, comment, corrected) where there is a text: the first ones by id after one."""
    return store.rows(
        "SELECT feedback_id, comment, corrected FROM feedback "
        "WHERE run_id = ? AND feedback_id > ? AND (comment IS NOT NULL OR corrected IS NOT NULL) "
        f"ORDER BY feedback_id LIMIT {most}",
        [run_id, after],
    )


def replace_texts(store: Store, changed: Sequence[tuple[str, str | None, str | None]]) -> None:
    if changed:
        store.execute(
            "UPDATE feedback SET comment = c.comment, corrected = c.corrected FROM ("
            "  SELECT unnest(?::VARCHAR[]) AS feedback_id, unnest(?::VARCHAR[]) AS comment, "
            "  unnest(?::VARCHAR[]) AS corrected) c WHERE feedback.feedback_id = c.feedback_id",
            [list(column) for column in zip(*changed, strict=True)],
        )


def kinds_of_run(store: Store, run_id: str) -> list[str]:
    rows = store.rows("SELECT DISTINCT kind FROM feedback WHERE run_id = ? ORDER BY 1", [run_id])
    return [kind for (kind,) in rows]


def replace_kind(store: Store, run_id: str, kind: str, new: str) -> None:
    store.execute("UPDATE feedback SET kind = ? WHERE run_id = ? AND kind = ?", [new, run_id, kind])


def show_new(store: Store) -> None:
    """Make the view of what is new, which Great Expectations can see."""
    store.execute(
        f"CREATE OR REPLACE VIEW {SIGNALS.rows.table} AS "
        f"SELECT {SIGNALS.columns} FROM feedback WHERE {_IS_NEW}"
    )


def count_new(store: Store) -> int:
    return int(store.scalar(f"SELECT count(*) FROM feedback WHERE {_IS_NEW}"))


def adopt(store: Store, run_id: str) -> None:
    """What is judged now belongs to this run, whose redact masks it: the run that took it in may
    have been another one, such as a `flywheel ingest` or one that was stopped."""
    store.execute(f"UPDATE feedback SET run_id = ? WHERE {_IS_NEW}", [run_id])
