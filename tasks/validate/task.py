"""The validate stage: new calls and feedback judged by their rules, bad ones into quarantine.

Great Expectations decides what failed; the SQL derived from the same rules says which rows. What
stays in landing passed. One transaction moves the rows and writes the ledger, so a killed run
leaves landing as it was.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from expectations.checks import JudgedTable
from expectations.contracts import BATCH_PROFILE, FEEDBACK, LANDING
from expectations.rules import RuleSet
from tasks.model.receipt import Receipt
from tasks.privacy.masking import Redactor
from tasks.privacy.observed import shown
from tasks.privacy.policy import hidden_columns
from tasks.rules.ask import ask, mark
from tasks.rules.in_force import batch_rules, calls_rules, feedback_rules, samples_rules
from tasks.rules.outcomes import Judged, broken_shares, check_agreement
from tasks.run import Run
from tasks.settings import ValidateSettings
from tasks.store import Store
from tasks.store.control import ledger
from tasks.store.held import feedback, marks, quarantine
from tasks.store.held.quarantine import CALLS, SIGNALS, Judgement, Kind
from tasks.store.intake import landing
from tasks.store.intake.profile import MIN_PAST_DAYS, write_profile
from tasks.validate.batch_stop import (
    batch_broken,
    batch_stopped,
    broken_figures,
    described,
    is_too_bad,
)
from tasks.validate.summary import Failures, Summary

STAGE = "validate"
_PSEUDONYM = re.compile(r"<(\w+):[0-9a-f]{12}>")


def validate(run: Run) -> Receipt:
    """Judge every call in landing and all new feedback; hold the bad ones back.

    Raises BatchStoppedError (exit 3, nothing moved) when too large a share of the calls is bad, or
    a rule on the batch as a whole is broken.
    """
    # rules that cannot be read are told before anything is judged, those of eval sets too
    samples_rules(run.settings)
    rule_sets = calls_rules(run.settings), batch_rules(run.settings), feedback_rules(run.settings)
    with run.open_store() as store:
        done = ledger.finished_stage(store, run.run_id, STAGE)
        if done is not None:
            return done
        rows_in, num_signals = landing.count_calls(store), feedback.count_new(store)
        if not rows_in and not num_signals and not run.settings.validation.max_age_h:
            return _nothing_new(run, store, rule_sets[0])
    run.progress(STAGE, 0, rows_in, "Great Expectations")
    with run.open_store() as store:
        now = run.clock()
        with store.transaction():  # Great Expectations sees only what is committed
            profile = write_profile(store, now, run.settings.validation.min_rows_for_ratio)
            feedback.show_new(store)
        tables = LANDING.name, BATCH_PROFILE.name, SIGNALS.rows.table
        batches = [JudgedTable(table, now) for table in tables]
        wanted = [True, bool(rule_sets[1].rules), bool(num_signals)]
        judged = [
            ask(store, rule_set, batch)
            for rule_set, batch, is_wanted in zip(rule_sets, batches, wanted, strict=True)
            if is_wanted
        ]
        with store.transaction():
            receipt = _hold_back(run, store, judged, profile)
            ledger.finish_stage(store, run.run_id, receipt, run.clock())
    run.progress(STAGE, rows_in, rows_in)
    return receipt


def _nothing_new(run: Run, store: Store, rule_set: RuleSet) -> Receipt:
    notes = _notes(rule_set, {}, {}, None)
    receipt = Receipt(
        STAGE, run.run_id, 0, 0, notes={**notes, "note": "no new call: nothing to judge"}
    )
    with store.transaction():
        ledger.finish_stage(store, run.run_id, receipt, run.clock())
    return receipt


def _hold_back(
    run: Run, store: Store, judged: Sequence[Judged], profile: Mapping[str, Any]
) -> Receipt:
    settings = run.settings.validation
    calls, signals = judged[0], next((j for j in judged[1:] if j.rule_set.table is FEEDBACK), None)
    of_calls = _look(store, CALLS, calls, landing.count_calls(store), settings)
    of_signals = Failures()
    if signals is not None:
        of_signals = _look(store, SIGNALS, signals, feedback.count_new(store), settings)
    broken, warned = {**of_calls.broken, **of_signals.broken}, dict(of_calls.warnings)
    for other in judged:
        if other.rule_set.table is BATCH_PROFILE:
            stops, odd = _look_at_profile(store, other, profile)
            broken |= stops
            warned |= odd
    now = calls.batch.now
    too_bad = is_too_bad(of_calls.rows_in, of_calls.quarantined, settings)
    stopped = too_bad or bool(broken)
    summary = Summary(
        run.run_id, now, of_calls.rows_in, of_calls.by_reason, warned, stopped, broken, of_signals
    )
    docs = _write_docs(run, judged, summary)
    if too_bad:
        raise batch_stopped(summary, settings, calls.rule_set, calls.batch, docs)
    if broken:
        raise batch_broken(summary, judged, docs)
    notes = _notes(calls.rule_set, of_calls.by_reason, warned, docs)
    notes["batch"] = described(profile, MIN_PAST_DAYS)
    show = partial(shown, mask=_masker(run), hidden=hidden_columns(run.settings.redact.fields))
    held = _move(store, CALLS, calls, of_calls, run.run_id, show)
    if signals is not None:
        _move(store, SIGNALS, signals, of_signals, run.run_id, show)
        feedback.adopt(store, run.run_id)
        notes["feedback"] = {
            "rows_in": of_signals.rows_in,
            "rows_out": of_signals.rows_in - of_signals.quarantined,
            "quarantined": of_signals.quarantined,
            "by_reason": dict(of_signals.by_reason),
            "warnings": dict(of_signals.warnings),
        }
    return Receipt(
        STAGE,
        run.run_id,
        of_calls.rows_in,
        rows_out=of_calls.rows_in - held,
        quarantined=held,
        notes=notes,
    )


def _look(
    store: Store, kind: Kind, judged: Judged, rows_in: int, settings: ValidateSettings
) -> Failures:
    """Mark what fails; moves nothing. Raises JudgesDisagreeError."""
    rule_set, outcomes = judged.rule_set, judged.outcomes
    rows_by_rule = mark(store, rule_set, judged.batch, kind.rows)
    check_agreement(outcomes, rows_by_rule, rule_set)
    return Failures(
        rows_in,
        marks.first_failures(store, kind.rows),
        {
            rule.id: rows_by_rule[rule.id]
            for rule in rule_set.of("warning")
            if rows_by_rule[rule.id]
        },
        broken_shares(rule_set, outcomes, rows_in, settings.min_rows_for_ratio),
    )


def _move(
    store: Store,
    kind: Kind,
    judged: Judged,
    failures: Failures,
    run_id: str,
    show: Callable[[Sequence[str], Sequence[str | None]], str],
) -> int:
    judgement = Judgement(run_id, judged.batch.now, judged.rule_set.version)
    looked_at = {rule_id: judged.rule_set.rule(rule_id).columns for rule_id in failures.by_reason}
    return quarantine.hold_back(store, kind, judgement, looked_at, show)


def _look_at_profile(
    store: Store, judged: Judged, profile: Mapping[str, Any]
) -> tuple[dict[str, str], dict[str, int]]:
    """The rules on the profile that stop the run, and those that only warn."""
    sql = {rule.id: rule.violation_sql(judged.batch) for rule in judged.rule_set.rules}
    counts = marks.count_violations(store, judged.batch.table, sql)
    check_agreement(judged.outcomes, counts, judged.rule_set)
    odd = {rule.id: counts[rule.id] for rule in judged.rule_set.of("warning") if counts[rule.id]}
    return broken_figures(judged.rule_set, judged.outcomes, profile), odd


def _masker(run: Run) -> Callable[[str], str]:
    # a secret is never shown, whatever is set
    redact = run.settings.redact
    redactor = Redactor({*redact.kinds, "secret"}, person_model=redact.person_model)

    def mask(text: str) -> str:
        # what kind of thing stood there is enough: a pseudonym without a key could be guessed
        return _PSEUDONYM.sub(r"<\1>", redactor.text(text))

    return mask


def _write_docs(run: Run, judged: Sequence[Judged], summary: Summary) -> str | None:
    if not run.settings.validation.data_docs:
        return None
    from tasks.validate.docs import write_docs

    return str(write_docs(run.settings.home_path / "data-docs", judged, summary))


def _notes(
    rule_set: RuleSet, by_reason: Mapping[str, int], warnings: Mapping[str, int], docs: str | None
) -> dict[str, Any]:
    return {
        "by_reason": dict(by_reason),
        "warnings": dict(warnings),
        "success": True,
        "suite_version": rule_set.version,
        "data_docs": docs,
    }
