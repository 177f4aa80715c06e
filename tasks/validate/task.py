"""The validate stage: landing through the suite, bad calls into quarantine, each with its reason.

Great Expectations decides what failed; the SQL derived from the same rules says which rows. What
stays in landing passed. One transaction moves the rows and writes the ledger, so a killed run
leaves landing as it was.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Set
from typing import TYPE_CHECKING, Any

from expectations.checks import Batch
from expectations.contracts import LANDING
from expectations.rules import Suite
from tasks.receipts import Receipt
from tasks.redaction import Redactor
from tasks.redaction_policy import hidden_columns
from tasks.run import Run
from tasks.store import Store, ledger, quarantine
from tasks.store.quarantine import Judgement
from tasks.suites import calls_suite
from tasks.validate.batch_stop import batch_stopped, is_too_bad
from tasks.validate.observed import shown
from tasks.validate.outcomes import Summary, check_agreement

if TYPE_CHECKING:
    from tasks.validate.gx import Verdict

STAGE = "validate"
_PSEUDONYM = re.compile(r"<(\w+):[0-9a-f]{12}>")


def validate(run: Run) -> Receipt:
    """Judge every call in landing; hold the bad ones back.

    Raises BatchStoppedError (exit 3, nothing moved) when too large a share is bad.
    """
    suite = calls_suite(run.settings)
    with run.open_store() as store:
        done = ledger.finished_stage(store, run.run_id, STAGE)
        if done is not None:
            return done
        rows_in = quarantine.count_landing(store)
        if rows_in == 0:
            return _nothing_new(run, store, suite)
    run.progress(STAGE, 0, rows_in, "Great Expectations")
    # seconds on first use, so not while the store is held
    from tasks.validate import gx

    with run.open_store() as store:
        batch = Batch(LANDING.name, run.clock())
        verdict = gx.judge(store.connection, suite, batch)
        if any(outcome.exception for outcome in verdict.outcomes):
            quarantine.refuse_unanswerable(store, batch.table, suite.own_sql(batch))
        with store.transaction():
            receipt = _hold_back(run, store, suite, batch, verdict)
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


def _hold_back(run: Run, store: Store, suite: Suite, batch: Batch, verdict: Verdict) -> Receipt:
    critical, warning = (
        {rule.id: rule.violation_sql(batch) for rule in suite.of(severity)}
        for severity in ("critical", "warning")
    )
    rows_in = quarantine.count_landing(store)
    rows_by_rule = quarantine.mark_violations(store, critical, warning)
    check_agreement(verdict.outcomes, rows_by_rule, suite)
    by_reason = quarantine.first_failures(store)
    warned = {name: rows_by_rule[name] for name in warning if rows_by_rule[name]}
    stopped = is_too_bad(rows_in, sum(by_reason.values()), run.settings.validation)
    summary = Summary(run.run_id, batch.now, rows_in, by_reason, warned, stopped)
    docs = _write_docs(run, suite, verdict, summary)
    if stopped:
        raise batch_stopped(summary, run.settings.validation, suite, batch, docs)
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
        notes=_notes(suite, by_reason, warned, docs),
    )


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


def _write_docs(run: Run, suite: Suite, verdict: Verdict, summary: Summary) -> str | None:
    if not run.settings.validation.data_docs:
        return None
    from tasks.validate.docs import write_docs

    return str(write_docs(run.settings.home_path / "data-docs", verdict.result, suite, summary))


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
