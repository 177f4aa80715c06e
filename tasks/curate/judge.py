"""The samples of an eval set through their suite, before the set is written."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from expectations.checks import JudgedTable
from expectations.rules import RuleSet
from tasks.curate.evalset import EvalSet, without
from tasks.errors import DataError
from tasks.model.canonical import canonical_json
from tasks.model.sample import PINNED
from tasks.rules.ask import ask, look
from tasks.rules.outcomes import Failures
from tasks.store import Store
from tasks.store.evals import samples as table

_MAX_SHOWN = 3
#: origins of samples that nobody would miss if they were silently left out
_BY_HAND = ("suite", PINNED)


def judged(
    store: Store, rule_set: RuleSet, chosen: EvalSet, now: datetime, min_rows: int
) -> tuple[EvalSet, Failures]:
    """The set without the mined samples that fail a critical rule, and what fails.

    Raises DataError where a hand-written sample fails one, or a batch rule is broken. Writes
    nothing that stays. Not inside a transaction: Great Expectations sees only what is committed.
    """
    with table.candidates(store, chosen.samples):
        asked = ask(store, rule_set, JudgedTable(table.CANDIDATES.table, now))
        failures = look(store, asked, table.CANDIDATES, len(chosen.samples), min_rows)
        failed = table.failed_candidates(store)
    _refuse_written_by_hand(rule_set, chosen, failed)
    if failures.broken:
        name, figures = next(iter(failures.broken.items()))
        raise DataError(
            f"the eval set breaks {name}; it was not written",
            received=figures,
            allowed=rule_set.rule(name).meaning,
            next="fix the suite files or the logs, then run again",
        )
    return without(chosen, failed) if failed else chosen, failures


def _refuse_written_by_hand(rule_set: RuleSet, chosen: EvalSet, failed: Mapping[str, str]) -> None:
    bad = [s for s in chosen.samples if s.origin in _BY_HAND and s.sample_id in failed]
    if not bad:
        return
    rule = rule_set.rule(failed[bad[0].sample_id])
    shown = [f"suite {s.suite}: {canonical_json(s.messages)[:80]}" for s in bad[:_MAX_SHOWN]]
    raise DataError(
        f"{len(bad)} samples written by hand fail {rule.id}; no eval set was written",
        received="; ".join(shown) + (" …" if len(bad) > _MAX_SHOWN else ""),
        allowed=rule.meaning,
        next="fix those samples, then run again",
    )
