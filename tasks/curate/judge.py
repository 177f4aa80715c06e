"""The samples of an eval set through their suite, before the set is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from expectations.checks import JudgedTable
from expectations.rules import RuleSet
from tasks.curate.evalset import EvalSet, without
from tasks.errors import DataError
from tasks.model.canonical import canonical_json
from tasks.rules.ask import ask, mark
from tasks.rules.outcomes import broken_shares, check_agreement
from tasks.store import Store
from tasks.store.evals import samples as table

_MAX_SHOWN = 3


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Samples left out by the first rule they fail, and samples that rules warn of."""

    by_reason: Mapping[str, int] = field(default_factory=dict)
    warnings: Mapping[str, int] = field(default_factory=dict)


def judged(
    store: Store, rule_set: RuleSet, chosen: EvalSet, now: datetime, min_rows: int
) -> tuple[EvalSet, LeftOut]:
    """The set without the mined samples that fail a critical rule.

    Raises DataError where a hand-written sample fails one, or a batch rule is broken. Writes
    nothing that stays. Not inside a transaction: Great Expectations sees only what is committed.
    """
    batch = JudgedTable(table.CANDIDATES.table, now)
    with table.candidates(store, chosen.samples):
        asked = ask(store, rule_set, batch)
        rows_by_rule = mark(store, rule_set, batch, table.CANDIDATES)
        failed = table.failed_candidates(store)
    check_agreement(asked.outcomes, rows_by_rule, rule_set)
    _refuse_written_by_hand(rule_set, chosen, failed)
    broken = broken_shares(rule_set, asked.outcomes, len(chosen.samples), min_rows)
    if broken:
        name, figures = next(iter(broken.items()))
        raise DataError(
            f"the eval set breaks {name}; it was not written",
            received=figures,
            allowed=rule_set.rule(name).meaning,
            next="fix the suite files or the logs, then run again",
        )
    warned = {rule.id: rows_by_rule[rule.id] for rule in rule_set.of("warning")}
    return (
        without(chosen, failed) if failed else chosen,
        LeftOut(
            dict(sorted(Counter(failed.values()).items())),
            {name: rows for name, rows in warned.items() if rows},
        ),
    )


def _refuse_written_by_hand(rule_set: RuleSet, chosen: EvalSet, failed: Mapping[str, str]) -> None:
    """Nobody would miss one that is silently left out."""
    bad = [s for s in chosen.samples if s.origin == "suite" and s.sample_id in failed]
    if not bad:
        return
    rule = rule_set.rule(failed[bad[0].sample_id])
    shown = [f"suite {s.suite}: {canonical_json(s.messages)[:80]}" for s in bad[:_MAX_SHOWN]]
    raise DataError(
        f"{len(bad)} samples of suite files fail {rule.id}; no eval set was written",
        received="; ".join(shown) + (" …" if len(bad) > _MAX_SHOWN else ""),
        allowed=rule.meaning,
        next="fix those samples, then run again",
    )
