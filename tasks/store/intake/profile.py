"""The profile of a batch: one row of figures, written for the rules on a batch as a whole."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from expectations.contracts import BATCH_PROFILE
from tasks.store.db.connection import Store

#: same weekdays with calls, of the four before, that make a usual volume
MIN_PAST_DAYS = 3

_FIGURES = """
WITH day AS (
    SELECT max(date_trunc('day', started_at))::TIMESTAMP AS day FROM landing
    WHERE started_at < date_trunc('day', $now::TIMESTAMP)
), past AS (
    SELECT count(*) AS calls FROM requests, day
    WHERE started_at >= day - INTERVAL 28 DAYS AND started_at < day
    AND dayofweek(started_at) = dayofweek(day) GROUP BY date_trunc('day', started_at)
), usual AS (
    SELECT count(*) AS past_days,
        CASE WHEN count(*) >= $min_days AND median(calls) >= $min_calls THEN median(calls) END
        AS usual_calls FROM past
), known AS (
    SELECT started_at FROM landing UNION ALL SELECT started_at FROM requests
), figures AS (
    SELECT (SELECT count(*) FROM landing) AS num_calls,
        epoch($now::TIMESTAMP - (SELECT max(started_at) FROM known WHERE started_at <= $now))
        / 3600 AS age_h,
        day, (SELECT count(*) FROM known WHERE started_at >= day
              AND started_at < day + INTERVAL 1 DAY) AS day_calls
    FROM day
)
SELECT num_calls, age_h, day, day_calls, past_days, usual_calls::DOUBLE AS usual_calls,
    day_calls / usual_calls AS volume_ratio FROM figures, usual
"""


def write_profile(store: Store, now: datetime, min_calls: int) -> dict[str, Any]:
    """Write the table anew from landing and what is stored; returns its row.

    A weekday whose median is below `min_calls` has no usual volume: a share of a handful says
    nothing.
    """
    columns = ", ".join(f"{c.name}::{c.sql_type} AS {c.name}" for c in BATCH_PROFILE.columns)
    store.connection.execute(
        f"CREATE OR REPLACE TABLE {BATCH_PROFILE.name} AS SELECT {columns} FROM ({_FIGURES})",
        {"now": now, "min_days": MIN_PAST_DAYS, "min_calls": min_calls},
    )
    row = store.one(f"SELECT * FROM {BATCH_PROFILE.name}")
    assert row is not None
    return dict(zip(BATCH_PROFILE.column_names, row, strict=True))
