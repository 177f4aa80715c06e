"""What was used and when, of what the settings declare. Owns the SQL; decides nothing."""

from __future__ import annotations

import json
from datetime import datetime

from tasks.model.debt import ReadFile
from tasks.model.receipt import Receipt
from tasks.model.run import RunRequest
from tasks.store.db.connection import Store


def last_judged(store: Store) -> dict[str, datetime]:
    """Suite → when a run last came to a result on it, whatever its role."""
    return dict(
        store.rows(
            "SELECT judged->>'suite', max(created_at) FROM (SELECT created_at, "
            "unnest(CAST(suites AS JSON[])) AS judged FROM verdicts) GROUP BY 1"
        )
    )


def newest_samples(store: Store) -> dict[str, datetime]:
    """Suite → when the newest of its samples first stood in a set."""
    return dict(
        store.rows(
            "SELECT suite, max(first_at) FROM ("
            "  SELECT suite, sample_id, min(created_at) AS first_at FROM eval_set_samples "
            "  JOIN eval_sets USING (eval_set_digest) "
            "  JOIN (SELECT suite, sample_id FROM samples) USING (sample_id) "
            "  GROUP BY suite, sample_id) GROUP BY suite"
        )
    )


def newest_set(store: Store) -> tuple[str, datetime] | None:
    """The eval set of the newest run that used one, and when it was made."""
    row = store.one(
        "SELECT eval_set_digest, created_at FROM runs JOIN eval_sets USING (eval_set_digest) "
        "ORDER BY runs.run_id DESC LIMIT 1"
    )
    return None if row is None else (row[0], row[1])


def evaluated_releases(store: Store) -> dict[str, datetime]:
    """Release, by the name it was asked for → the last run that evaluated it."""
    found: dict[str, datetime] = {}
    for request, at in store.rows(
        "SELECT request, started_at FROM runs JOIN run_stages USING (run_id) "
        "WHERE stage = 'evaluate' ORDER BY started_at"
    ):
        found |= dict.fromkeys(RunRequest.from_json(request).releases.values(), at)
    return found


def judging_receipts(store: Store) -> list[Receipt]:
    """Of all stages that judged rows by rules, the oldest first."""
    rows = store.rows(
        "SELECT receipt FROM run_stages WHERE stage IN ('validate', 'curate') ORDER BY finished_at"
    )
    return [Receipt.from_dict(json.loads(receipt)) for (receipt,) in rows]


def also_failed(store: Store) -> dict[str, int]:
    """Rule → rows that failed it behind another one, under which they are counted."""
    return dict(
        store.rows(
            "SELECT rule, count(*) FROM (SELECT unnest(also_failed) AS rule FROM quarantine) "
            "GROUP BY 1"
        )
    )


def judged_samples(store: Store) -> dict[str, int]:
    """Version of the rules on samples → samples of the sets that were judged by it."""
    return dict(
        store.rows(
            "SELECT rule->>'judged_by', sum(num_samples)::BIGINT FROM eval_sets "
            "WHERE rule->>'judged_by' IS NOT NULL GROUP BY 1"
        )
    )


def read_files(store: Store) -> list[ReadFile]:
    rows = store.rows(
        "SELECT path, sum(rows_out)::BIGINT, max(read_at) FILTER (rows_out > 0) FROM sources "
        "GROUP BY path ORDER BY path"
    )
    return [ReadFile(*row) for row in rows]
