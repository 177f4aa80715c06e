"""Where an eval set comes from: the log files behind its samples, and what was held back."""

from __future__ import annotations

from dataclasses import dataclass

from tasks.model.turn import LogFile
from tasks.store.db.connection import Store

#: files the eval set's calls came from, and files this run read; `sources` entries are file:line.
#: What later runs read of them is not of this run
_LOG_FILES = """
WITH used AS (
    SELECT DISTINCT regexp_replace(unnest(r.sources), ':[0-9]+$', '') AS path
    FROM eval_set_samples e JOIN samples s USING (sample_id)
    JOIN requests r ON r.request_id = s.request_id
    WHERE e.eval_set_digest = ?
)
SELECT f.path, f.digest, f.format, f.rows_out, f.run_id = ?
FROM sources f
WHERE f.run_id <= ? AND (f.run_id = ? OR f.path IN (SELECT path FROM used))
ORDER BY f.path, f.read_at
"""


def log_files_of(store: Store, eval_set_digest: str, run_id: str) -> tuple[LogFile, ...]:
    rows = store.rows(_LOG_FILES, [eval_set_digest, run_id, run_id, run_id])
    return tuple(LogFile(*row) for row in rows)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a run read of a log file: its first `size_bytes`, which have this digest. `is_part`:
    calls outside a window were passed over."""

    path: str
    digest: str
    size_bytes: int
    run_id: str
    is_part: bool


def readings_until(store: Store, run_id: str) -> tuple[Reading, ...]:
    """All that was read up to a run, in its order."""
    rows = store.rows(
        "SELECT path, digest, size_bytes, run_id, since IS NOT NULL OR until IS NOT NULL "
        "FROM sources WHERE run_id <= ? ORDER BY run_id, read_at, path",
        [run_id],
    )
    return tuple(Reading(*row) for row in rows)


def was_replayed(store: Store, run_id: str) -> bool:
    """Whether anything held back had come in by itself up to a run."""
    return bool(
        store.scalar(
            "SELECT count(*) FROM run_stages WHERE stage = 'replay' AND run_id <= ?", [run_id]
        )
    )


def quarantined_by_reason(store: Store, run_id: str) -> dict[str, int]:
    return dict(
        store.rows(
            "SELECT expectation, count(*) FROM quarantine WHERE run_id = ? "
            "GROUP BY 1 ORDER BY 2 DESC, 1",
            [run_id],
        )
    )
