"""The validate stage: new calls and feedback through their suites, bad ones into quarantine.

Great Expectations decides what failed; the SQL derived from the same rules says which rows. What
stays in landing passed. One transaction moves the rows and writes the ledger, so a killed run
leaves landing as it was.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from expectations.checks import Batch
from expectations.contracts import BATCH_PROFILE, FEEDBACK, LANDING
from expectations.rules import Suite
from tasks.model.receipt import Receipt
from tasks.privacy.masking import Redactor
from tasks.privacy.observed import shown
from tasks.privacy.policy import hidden_columns
from tasks.rules.ask import ask, mark
from tasks.rules.in_force import batch_suite, calls_suite, feedback_suite, samples_suite
from tasks.rules.outcomes import broken_shares, check_agreement
from tasks.run import Run
from tasks.store import Store
from tasks.store.control import ledger
from tasks.store.held import feedback as held_feedback
from tasks.store.held import quarantine
from tasks.store.held.quarantine import Judgement
from tasks.store.intake.profile import MIN_PAST_DAYS, write_profile
from tasks.validate import feedback
from tasks.validate.batch_stop import (
    batch_broken,
    batch_stopped,
    broken_figures,
    described,
    is_too_bad,
)
from tasks.validate.summary import FeedbackFound, Summary

if TYPE_CHECKING:
    from tasks.rules.gx import Verdict

STAGE = "validate"
_PSEUDONYM = re.compile(r"<(\w+):[0-9a-f]{12}>")


@dataclass(frozen=True, slots=True)
class _Judged:
    """A suite, the rows it was asked about, and what Great Expectations says of them."""

    suite: Suite
    batch: Batch
    verdict: Verdict


def validate(run: Run) -> Receipt:
    """Judge every call in landing and all new feedback; hold the bad ones back.

    Raises BatchStoppedError (exit 3, nothing moved) when too large a share of the calls is bad, or
    a rule on the batch as a whole is broken.
    """
    # rules that cannot be read are told before anything is judged, those of eval sets too
    samples_suite(run.settings)
    suites = calls_suite(run.settings), batch_suite(run.settings), feedback_suite(run.settings)
    with run.open_store() as store:
        done = ledger.finished_stage(store, run.run_id, STAGE)
        if done is not None:
            return done
        rows_in = quarantine.count_landing(store)
        signals = held_feedback.count_new(store)
        if not rows_in and not signals and not run.settings.validation.max_age_h:
            return _nothing_new(run, store, suites[0])
    run.progress(STAGE, 0, rows_in, "Great Expectations")
    with run.open_store() as store:
        now = run.clock()
        with store.transaction():  # Great Expectations sees only what is committed
            profile = write_profile(store, now, run.settings.validation.min_rows_for_ratio)
            held_feedback.show_new(store)
        tables = LANDING.name, BATCH_PROFILE.name, held_feedback.NEW.table
        batches = [Batch(table, now) for table in tables]
        wanted = [True, bool(suites[1].rules), bool(signals)]
        judged = [
            _Judged(suite, batch, ask(store, suite, batch))
            for suite, batch, is_wanted in zip(suites, batches, wanted, strict=True)
            if is_wanted
        ]
        with store.transaction():
            receipt = _hold_back(run, store, judged, profile)
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


def _hold_back(
    run: Run, store: Store, judged: Sequence[_Judged], profile: Mapping[str, Any]
) -> Receipt:
    calls, *others = judged
    suite, batch, settings = calls.suite, calls.batch, run.settings.validation
    rows_in = quarantine.count_landing(store)
    rows_by_rule = mark(store, suite, batch)
    check_agreement(calls.verdict.outcomes, rows_by_rule, suite)
    by_reason = quarantine.first_failures(store)
    warned = {r.id: rows_by_rule[r.id] for r in suite.of("warning") if rows_by_rule[r.id]}
    broken = broken_shares(suite, calls.verdict.outcomes, rows_in, settings.min_rows_for_ratio)
    signals = FeedbackFound()
    for other in others:
        if other.suite.table is BATCH_PROFILE:
            stops, odd = _look_at_profile(store, other, profile)
            broken |= stops
            warned |= odd
        else:
            signals = feedback.look(store, other.suite, other.batch, other.verdict, settings)
            broken |= signals.broken
    too_bad = is_too_bad(rows_in, sum(by_reason.values()), settings)
    stopped = too_bad or bool(broken)
    summary = Summary(run.run_id, batch.now, rows_in, by_reason, warned, stopped, broken, signals)
    docs = _write_docs(run, judged, summary)
    if too_bad:
        raise batch_stopped(summary, settings, suite, batch, docs)
    if broken:
        raise batch_broken(summary, [(each.suite, each.batch) for each in judged], docs)
    notes = _notes(suite, by_reason, warned, docs)
    notes["batch"] = described(profile, MIN_PAST_DAYS)
    mask, hidden = _masker(run), hidden_columns(run.settings.redact.fields)
    for other in others:
        if other.suite.table is FEEDBACK:
            judgement = Judgement(run.run_id, batch.now, other.suite.version)
            notes["feedback"] = feedback.hold_back(
                store, other.suite, signals, judgement, mask, hidden
            )
    quarantine.begin_observed(store)
    for rule_id in by_reason:
        _note_observed(store, suite, rule_id, hidden, mask)
    held = quarantine.hold_back(store, Judgement(run.run_id, batch.now, suite.version))
    return Receipt(
        STAGE, run.run_id, rows_in, rows_out=rows_in - held, quarantined=held, notes=notes
    )


def _look_at_profile(
    store: Store, judged: _Judged, profile: Mapping[str, Any]
) -> tuple[dict[str, str], dict[str, int]]:
    """The rules on the profile that stop the run, and those that only warn."""
    sql = {rule.id: rule.violation_sql(judged.batch) for rule in judged.suite.rules}
    counts = quarantine.count_violations(store, judged.batch.table, sql)
    check_agreement(judged.verdict.outcomes, counts, judged.suite)
    odd = {rule.id: counts[rule.id] for rule in judged.suite.of("warning") if counts[rule.id]}
    return broken_figures(judged.suite, judged.verdict.outcomes, profile), odd


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


def _write_docs(run: Run, judged: Sequence[_Judged], summary: Summary) -> str | None:
    if not run.settings.validation.data_docs:
        return None
    from tasks.validate.docs import write_docs

    pages = [(each.suite, each.verdict.result) for each in judged]
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
