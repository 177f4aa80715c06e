"""Past runs, read in as many queries as there are kinds of things about them. Decides nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from tasks.model.canonical import parsed, well_formed
from tasks.model.history import History, Intake, PastRun, PastSet, UsedBy
from tasks.model.profile import Usage
from tasks.model.run import RunRequest
from tasks.model.verdict import SuiteResult
from tasks.store.control.ledger import count_runs
from tasks.store.db.connection import Store

#: of a receipt what an index tells: its notes may be large
_INTAKE = (
    "SELECT run_id, stage, (receipt->>'rows_in')::BIGINT, (receipt->>'rows_out')::BIGINT, "
    "(receipt->>'quarantined')::BIGINT, (receipt->>'dead_letters')::BIGINT, "
    "receipt->'notes'->'by_reason', receipt->'$.notes.drift.alarms[*].column' "
    "FROM run_stages WHERE stage IN ('ingest', 'validate', 'redact') AND run_id >= ?"
)


def read_history(store: Store, limit: int, max_judged: int | None = None) -> History:
    """The newest `limit` runs, and the eval sets that were decided on. `max_judged`: of so many of
    them what was found of every suite is read, which is most of what there is to read."""
    rows = store.rows(
        "SELECT r.run_id, r.started_at, r.finished_at, r.state, r.error, r.request, "
        "r.champion_digest, r.eval_set_digest, s.num_samples, r.report, "
        "v.role, v.verdict, v.created_at, v.reasons, "
        "CASE WHEN row_number() OVER (ORDER BY r.run_id DESC) <= ? THEN v.suites END, "
        "v.suites->>'$[0].suite', (v.suites->>'$[0].difference')::DOUBLE, "
        "CASE WHEN v.role IS NULL OR v.role = 'challenger' THEN r.challenger_digest "
        "ELSE r.more_challengers[TRY_CAST(replace(v.role, 'challenger_', '') AS BIGINT) - 1] END "
        "FROM (SELECT * FROM runs ORDER BY run_id DESC LIMIT ?) r "
        "LEFT JOIN verdicts v ON v.run_id = r.run_id AND v.is_leading "
        "LEFT JOIN eval_sets s ON s.eval_set_digest = r.eval_set_digest ORDER BY r.run_id",
        [limit if max_judged is None else max_judged, limit],
    )
    oldest = rows[0][0] if rows else ""
    intakes, spent = _intakes(store, oldest), _spent(store, oldest)
    judged, served = _usage(store, oldest), _served(store, oldest)
    runs = tuple(
        _past_run(
            row,
            intakes.get(row[0]),
            spent.get(row[0], {}),
            judged.get(row[0], {}),
            served.get(row[0]),
        )
        for row in rows
    )
    return History(runs, count_runs(store), _sets(store), _num_judged(store, oldest))


def _num_judged(store: Store, oldest: str) -> dict[str, int]:
    return dict(
        store.rows(
            "SELECT suite, count(*) FROM (SELECT unnest(suites->>'$[*].suite') AS suite "
            "FROM verdicts WHERE is_leading AND run_id >= ?) GROUP BY suite",
            [oldest],
        )
    )


def _past_run(
    row: Sequence[Any],
    intake: Intake | None,
    spent: Mapping[str, float],
    judged: Mapping[str, Usage],
    served: Usage | None,
) -> PastRun:
    run_id, started_at, finished_at, state, error, request, champion, eval_set, *rest = row
    num_samples, report, role, verdict, decided_at, reasons, suites, *first, challenger = rest
    asked = RunRequest.from_json(request)
    names = asked.releases
    return PastRun(
        run_id=run_id,
        started_at=started_at,
        finished_at=finished_at,
        state=state,
        error=error,
        champion=names["champion"],
        challenger=names.get(role or "challenger", ""),
        num_challengers=len(asked.challengers),
        pair=(champion, challenger),
        verdict=verdict,
        decided_at=decided_at,
        reasons=tuple(parsed(reasons or "[]")),
        suites=tuple(map(SuiteResult.from_json, parsed(suites or "[]"))),
        first=None if first[0] is None else (well_formed(first[0]), first[1]),
        eval_set_digest=eval_set,
        num_samples=num_samples,
        intake=intake,
        spent=spent,
        usage=_by_whom(judged, role or "challenger", served),
        report=report,
    )


def _by_whom(
    judged: Mapping[str, Usage], leading: str, served: Usage | None
) -> dict[UsedBy, Usage]:
    found: dict[UsedBy, Usage | None] = {
        "champion": judged.get("champion"),
        "challenger": judged.get(leading),
        "logs": served,
    }
    return {by: used for by, used in found.items() if used is not None and used.is_known}


def _usage(store: Store, oldest: str) -> dict[str, dict[str, Usage]]:
    """Run → role → what the gate found; nothing of a run that an earlier build decided."""
    rows = store.rows(
        "SELECT run_id, receipt->'$.notes.usage' FROM run_stages "
        "WHERE stage = 'gate' AND run_id >= ? AND json_exists(receipt, '$.notes.usage')",
        [oldest],
    )
    return {
        run_id: {role: Usage(**used) for role, used in json.loads(found).items()}
        for run_id, found in rows
    }


def _served(store: Store, oldest: str) -> dict[str, Usage]:
    """Run → what the calls cost and took that it took in. Logs have their prices in US dollars."""
    rows = store.rows(
        "SELECT run_id, count(*), 1000 * avg(cost_usd), quantile_cont(latency_s, 0.5), "
        "quantile_cont(latency_s, 0.95) FROM requests WHERE run_id >= ? GROUP BY run_id",
        [oldest],
    )
    return {
        run_id: Usage(num, cost, "" if cost is None else "USD", median, p95)
        for run_id, num, cost, median, p95 in rows
    }


def _intakes(store: Store, oldest: str) -> dict[str, Intake]:
    """Of every run that took logs in."""
    stages: dict[str, dict[str, Sequence[Any]]] = {}
    for run_id, stage, *found in store.rows(_INTAKE, [oldest]):
        stages.setdefault(run_id, {})[stage] = found
    return {run_id: _intake(found) for run_id, found in stages.items() if "ingest" in found}


def _intake(stages: Mapping[str, Sequence[Any]]) -> Intake:
    num_read, num_new, _, num_dead, _, _ = stages["ingest"]
    _, _, num_held, _, reasons, _ = stages.get("validate", (0, 0, 0, 0, None, None))
    *_, drifted = stages.get("redact", (None,))
    return Intake(
        num_read=num_read,
        num_new=num_new,
        num_dead=num_dead,
        num_quarantined=num_held,
        reasons=parsed(reasons or "{}"),
        drifted=tuple(json.loads(column) for column in drifted or ()),
    )


def _spent(store: Store, oldest: str) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for run_id, currency, cost in store.rows(
        "SELECT run_id, currency, sum(cost) FROM spending WHERE run_id >= ? AND cost > 0 "
        "GROUP BY ALL ORDER BY ALL",
        [oldest],
    ):
        found.setdefault(run_id, {})[currency] = cost
    return found


def _sets(store: Store) -> tuple[PastSet, ...]:
    rows: list[tuple[str, str | None, int, datetime, int]] = store.rows(
        "SELECT s.eval_set_digest, s.parent_digest, s.num_samples, s.created_at, count(*) "
        "FROM eval_sets s JOIN runs r USING (eval_set_digest) "
        "WHERE r.run_id IN (SELECT run_id FROM verdicts) GROUP BY ALL ORDER BY s.created_at DESC"
    )
    return tuple(PastSet(*row) for row in rows)
