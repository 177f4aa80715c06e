"""Feedback that is not judged yet.

It stands in its table from ingest on, and counts as new until the run that took it in has finished
validating.
"""

from __future__ import annotations

from tasks.store.db.connection import Store
from tasks.store.held.quarantine import SIGNALS

_IS_NEW = "run_id NOT IN (SELECT run_id FROM run_stages WHERE stage = 'validate')"


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
