"""The validate stage: new calls and feedback judged by their rules, bad ones into quarantine.

Great Expectations decides what failed; the SQL derived from the same rules says which rows. What
stays in landing passed. One transaction moves the rows and writes the ledger, so a killed run
leaves landing as it was.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from expectations.checks import JudgedTable
from expectations.contracts import BATCH_PROFILE, FEEDBACK, LANDING
from expectations.rules import RuleSet
from tasks.model.receipt import Receipt
from tasks.privacy.masking import Redactor
from tasks.privacy.observed import shown
from tasks.privacy.policy import hidden_columns
from tasks.rules.ask import ask, look
from tasks.rules.in_force import batch_rules, calls_rules, feedback_rules, samples_rules
from tasks.rules.outcomes import Failures, Judged, check_agreement
from tasks.run import Run
from tasks.store import Store
from tasks.store.control import ledger
from tasks.store.held import marks, quarantine
from tasks.store.held.quarantine import CALLS, SIGNALS, Kind
from tasks.store.intake import feedback, landing
from tasks.store.intake.profile import MIN_PAST_DAYS, write_profile
from tasks.validate.batch_stop import (
    batch_broken,
    batch_stopped,
    broken_figures,
    described,
)
from tasks.validate.docs import Summary, write_docs

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
            notes = _notes(rule_sets[0], Failures(), None)
            notes["note"] = "no new call: nothing to judge"
            receipt = Receipt(STAGE, run.run_id, 0, 0, notes=notes)
            with store.transaction():
                ledger.finish_stage(store, run.run_id, receipt, run.clock())
            return receipt
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


def _hold_back(
    run: Run, store: Store, judged: Sequence[Judged], profile: Mapping[str, Any]
) -> Receipt:
    settings = run.settings.validation
    min_rows = settings.min_rows_for_ratio
    by_table = {part.rule_set.table.name: part for part in judged}
    calls, signals = by_table[LANDING.name], by_table.get(FEEDBACK.name)
    of_calls = look(store, calls, CALLS.rows, landing.count_calls(store), min_rows)
    of_signals = Failures()
    if signals is not None:
        of_signals = look(store, signals, SIGNALS.rows, feedback.count_new(store), min_rows)
    broken = {**of_calls.broken, **of_signals.broken}
    if BATCH_PROFILE.name in by_table:
        stops, odd = _look_at_profile(store, by_table[BATCH_PROFILE.name], profile)
        broken |= stops
        of_calls = replace(of_calls, warnings={**of_calls.warnings, **odd})
    # in fewer rows a share says nothing
    too_bad = of_calls.rows_in >= min_rows and (
        of_calls.quarantined > settings.max_quarantined_ratio * of_calls.rows_in
    )
    stopped = too_bad or bool(broken)
    summary = Summary(run.run_id, calls.batch.now, of_calls, stopped, broken, of_signals)
    docs = None
    if settings.data_docs:
        docs = str(write_docs(run.settings.home_path / "data-docs", judged, summary))
    if too_bad:
        raise batch_stopped(of_calls, settings, calls, docs)
    if broken:
        raise batch_broken(of_calls, broken, judged, docs)
    notes = _notes(calls.rule_set, of_calls, docs)
    notes["batch"] = described(profile, MIN_PAST_DAYS)
    show = partial(shown, mask=_masker(run), hidden=hidden_columns(run.settings.redact.fields))
    held = _move(store, CALLS, calls, of_calls, run.run_id, show)
    if signals is not None:
        _move(store, SIGNALS, signals, of_signals, run.run_id, show)
        feedback.adopt(store, run.run_id)
        notes["feedback"] = of_signals.counts() | {"warnings": dict(of_signals.warnings)}
    rows_in = of_calls.rows_in
    return Receipt(
        STAGE, run.run_id, rows_in, rows_out=rows_in - held, quarantined=held, notes=notes
    )


def _move(
    store: Store,
    kind: Kind,
    judged: Judged,
    failures: Failures,
    run_id: str,
    show: Callable[[Sequence[str], Sequence[str | None]], str],
) -> int:
    rule_set, now = judged.rule_set, judged.batch.now
    looked_at = {rule_id: rule_set.rule(rule_id).columns for rule_id in failures.by_reason}
    return quarantine.hold_back(
        store, kind, looked_at, show, run_id=run_id, now=now, suite_version=rule_set.version
    )


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
        return _PSEUDONYM.sub(r"<\1>", redactor.value(text))

    return mask


def _notes(rule_set: RuleSet, failures: Failures, docs: str | None) -> dict[str, Any]:
    return {
        "by_reason": dict(failures.by_reason),
        "warnings": dict(failures.warnings),
        "success": True,
        "suite_version": rule_set.version,
        "data_docs": docs,
    }
