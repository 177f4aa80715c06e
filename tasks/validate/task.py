"""The validate stage: landing through the suite, bad calls into quarantine, each with its reason.

Great Expectations decides what failed; the SQL derived from the same rules says which rows. What
stays in landing passed. One transaction moves the rows and writes the ledger, so a killed run
leaves landing as it was.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from expectations.checks import Batch
from expectations.contracts import BATCH_PROFILE, LANDING
from expectations.rules import Suite
from tasks.receipts import Receipt
from tasks.redaction import Redactor
from tasks.redaction_policy import hidden_columns
from tasks.run import Run
from tasks.settings import ValidateSettings
from tasks.store import Store, ledger, quarantine
from tasks.store.profile import MIN_PAST_DAYS, write_profile
from tasks.store.quarantine import Judgement
from tasks.suites import batch_suite, calls_suite
from tasks.validate.batch_stop import (
    batch_broken,
    batch_stopped,
    broken_figures,
    broken_shares,
    described,
    is_too_bad,
)
from tasks.validate.observed import shown
from tasks.validate.outcomes import Summary, check_agreement

if TYPE_CHECKING:
    from tasks.validate.gx import Verdict

STAGE = "validate"
_PSEUDONYM = re.compile(r"<(\w+):[0-9a-f]{12}>")


@dataclass(frozen=True, slots=True)
class _Judged:
    """What Great Expectations says of the calls and of the batch as a whole."""

    calls: Suite
    batch: Suite
    rows: Batch
    verdicts: tuple[Verdict, Verdict]
    profile: Mapping[str, Any]


def validate(run: Run) -> Receipt:
    """Judge every call in landing; hold the bad ones back.

    Raises BatchStoppedError (exit 3, nothing moved) when too large a share is bad, or a rule on the
    batch as a whole is broken.
    """
    suite, whole = calls_suite(run.settings), batch_suite(run.settings)
    with run.open_store() as store:
        done = ledger.finished_stage(store, run.run_id, STAGE)
        if done is not None:
            return done
        rows_in = quarantine.count_landing(store)
        if rows_in == 0 and not run.settings.validation.max_age_h:
            return _nothing_new(run, store, suite)
    run.progress(STAGE, 0, rows_in, "Great Expectations")
    with run.open_store() as store:
        judged = _judge(run, store, suite, whole)
        with store.transaction():
            receipt = _hold_back(run, store, judged)
            ledger.finish_stage(store, run.run_id, receipt, run.clock())
    run.progress(STAGE, rows_in, rows_in)
    return receipt


def _nothing_new(run: Run, store: Store, suite: Suite) -> Receipt:
    notes = _notes(suite, {}, {}, None)
    receipt = Receipt(
        STAGE, run.run_id, 0, 0, notes={**notes, "note": "no new call: nothing to judge"}
    )
    with store.transaction():
        ledger.finish_stage(store, run.run_id, receipt, run.clock())
    return receipt


def _judge(run: Run, store: Store, suite: Suite, whole: Suite) -> _Judged:
    # seconds on first use
    from tasks.validate import gx

    now = run.clock()
    with store.transaction():  # Great Expectations sees only what is committed
        profile = write_profile(store, now, run.settings.validation.min_rows_for_ratio)
    rows = Batch(LANDING.name, now)
    verdicts = (
        gx.judge(store.connection, suite, rows),
        gx.judge(store.connection, whole, Batch(BATCH_PROFILE.name, now)),
    )
    for verdict, judged_by, table in zip(
        verdicts, (suite, whole), (LANDING, BATCH_PROFILE), strict=True
    ):
        if any(outcome.exception for outcome in verdict.outcomes):
            own = judged_by.own_sql(Batch(table.name, now))
            quarantine.refuse_unanswerable(store, table.name, own)
    return _Judged(suite, whole, rows, verdicts, profile)


def _hold_back(run: Run, store: Store, judged: _Judged) -> Receipt:
    suite, batch, settings = judged.calls, judged.rows, run.settings.validation
    critical = {rule.id: rule.violation_sql(batch) for rule in suite.of("critical")}
    others = {
        rule.id: rule.violation_sql(batch) for rule in suite.rules if rule.severity != "critical"
    }
    rows_in = quarantine.count_landing(store)
    rows_by_rule = quarantine.mark_violations(store, critical, others)
    check_agreement(judged.verdicts[0].outcomes, rows_by_rule, suite)
    broken, odd = _look_at_batch(store, judged, rows_in, settings)
    by_reason = quarantine.first_failures(store)
    warned = {
        rule.id: rows_by_rule[rule.id] for rule in suite.of("warning") if rows_by_rule[rule.id]
    } | odd
    too_bad = is_too_bad(rows_in, sum(by_reason.values()), settings)
    summary = Summary(
        run.run_id, batch.now, rows_in, by_reason, warned, too_bad or bool(broken), broken
    )
    docs = _write_docs(run, judged, summary)
    if too_bad:
        raise batch_stopped(summary, settings, suite, batch, docs)
    if broken:
        raise batch_broken(summary, (suite, judged.batch), batch, docs)
    quarantine.begin_observed(store)
    mask = _masker(run)
    for rule_id in by_reason:
        _note_observed(store, suite, rule_id, hidden_columns(run.settings.redact.fields), mask)
    held = quarantine.hold_back(store, Judgement(run.run_id, batch.now, suite.version))
    return Receipt(
        STAGE,
        run.run_id,
        rows_in=rows_in,
        rows_out=rows_in - held,
        quarantined=held,
        notes={
            **_notes(suite, by_reason, warned, docs),
            "batch": described(judged.profile, MIN_PAST_DAYS),
        },
    )


def _look_at_batch(
    store: Store, judged: _Judged, rows_in: int, settings: ValidateSettings
) -> tuple[dict[str, str], dict[str, int]]:
    """Batch rules that stop the run, and those on the profile that only warn."""
    shares, figures = judged.verdicts
    table = Batch(BATCH_PROFILE.name, judged.rows.now)
    sql = {rule.id: rule.violation_sql(table) for rule in judged.batch.rules}
    counts = quarantine.count_violations(store, table.table, sql)
    check_agreement(figures.outcomes, counts, judged.batch)
    broken = broken_shares(judged.calls, shares.outcomes, rows_in, settings)
    broken |= broken_figures(judged.batch, figures.outcomes, judged.profile)
    odd = {rule.id: rows_in for rule in judged.batch.of("warning") if counts[rule.id]}
    return broken, odd


def _note_observed(
    store: Store, suite: Suite, rule_id: str, hidden: Set[str], mask: Callable[[str], str]
) -> None:
    columns = suite.rule(rule_id).columns
    for page in quarantine.observations(store, rule_id, columns):
        texts = {seen.row_id: shown(columns, seen.values, mask, hidden) for seen in page}
        quarantine.note_observed(store, ", ".join(columns), texts)


def _masker(run: Run) -> Callable[[str], str]:
    # a secret is never shown, whatever is set
    redact = run.settings.redact
    redactor = Redactor({*redact.kinds, "secret"}, person_model=redact.person_model)

    def mask(text: str) -> str:
        # what kind of thing stood there is enough: a pseudonym without a key could be guessed
        return _PSEUDONYM.sub(r"<\1>", redactor.text(text))

    return mask


def _write_docs(run: Run, judged: _Judged, summary: Summary) -> str | None:
    if not run.settings.validation.data_docs:
        return None
    from tasks.validate.docs import write_docs

    pages = tuple(
        (suite, verdict.result)
        for suite, verdict in zip((judged.calls, judged.batch), judged.verdicts, strict=True)
    )
    return str(write_docs(run.settings.home_path / "data-docs", pages, summary))


def _notes(
    suite: Suite, by_reason: Mapping[str, int], warnings: Mapping[str, int], docs: str | None
) -> dict[str, Any]:
    return {
        "by_reason": dict(by_reason),
        "warnings": dict(warnings),
        "success": True,
        "suite_version": suite.version,
        "data_docs": docs,
    }
