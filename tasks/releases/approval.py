"""Whether a night asks for its challenger to be promoted, and what became of asking. Pure: rows of
the audit in, a decision out.

What was asked once about two releases and a verdict is not asked again: who refused, or did not
answer, did so knowing it. A promotion or rollback makes everything new.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from tasks.model.audit import AuditRow
from tasks.model.reuse import PairVerdict
from tasks.releases.promotion import MOVES

#: actions of the audit
ASK, REFUSE, UNANSWERED = "ask", "refuse", "unanswered"


def asking(verdict: PairVerdict, flow_run: str, at: datetime, hours: float) -> dict[str, Any]:
    """Details of the row that says so."""
    return {
        "run_id": verdict.run_id,
        "verdict": verdict.verdict,
        "pair": [verdict.champion_digest, verdict.challenger_digest],
        "flow_run": flow_run,
        "until": (at + timedelta(hours=hours)).isoformat(timespec="seconds"),
    }


def is_new(audit: Sequence[AuditRow], verdict: PairVerdict) -> bool:
    """Whether nobody was asked the same since the champion was moved last."""
    pair = [verdict.champion_digest, verdict.challenger_digest]
    for row in reversed(audit):
        if row.action in MOVES:
            return True
        if row.action == ASK and (row.told["pair"], row.told["verdict"]) == (pair, verdict.verdict):
            return False
    return True


def open_asks(audit: Iterable[AuditRow]) -> list[AuditRow]:
    """Those that are not answered. A move by another way is an answer to all of them."""
    still: list[AuditRow] = []
    for row in audit:
        if row.action == ASK:
            still.append(row)
        elif row.action in MOVES:
            still = []
        elif row.action in (REFUSE, UNANSWERED):
            still = [ask for ask in still if ask.told["run_id"] != row.told["run_id"]]
    return still


def is_over(ask: AuditRow, now: datetime) -> bool:
    return now >= datetime.fromisoformat(ask.told["until"])
