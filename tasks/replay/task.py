"""The replay stage: dead letters and quarantined calls back into landing, each once, after a fix.

A dead letter goes back when the parsers of today read it, a quarantined call when it violates no
critical expectation of today. The stages behind judge and redact them like any new call.
"""

from __future__ import annotations

from expectations.checks import JudgedTable
from expectations.rules import RuleSet
from tasks.errors import UsageError
from tasks.logs.reading.reader import LogReader
from tasks.logs.reading.recognise import forced_format
from tasks.model.receipt import Receipt
from tasks.replay.dead_letters import Revived, read_again
from tasks.rules.in_force import calls_rules, feedback_rules
from tasks.run import Run
from tasks.store import Store
from tasks.store.control import ledger
from tasks.store.held import dead_letters as deadletters
from tasks.store.held import quarantine, retention
from tasks.store.held.marks import refuse_unanswerable
from tasks.store.held.quarantine import Readmitted
from tasks.store.held.raw_key import sealed_elsewhere
from tasks.store.intake import feedback, landing

STAGE = "replay"


def replay(run: Run) -> Receipt:
    """Look again at what waits, or at what `run.request.only` names, in one transaction.

    Raises UsageError where that names nothing that waits.
    """
    with run.open_store() as store:
        done = ledger.finished_stage(store, run.run_id, STAGE)
        if done is not None:
            return done
        with store.transaction():
            letters = _read_letters(run, store)
            calls = _readmit(run, store, quarantine.CALLS, calls_rules(run.settings))
            calls += _readmit(run, store, quarantine.SIGNALS, feedback_rules(run.settings))
            num_sealed = retention.other_keys(store)
            if not num_sealed:
                _refuse_if_nothing_named(run, letters, calls)
            sealed = sealed_elsewhere(num_sealed, store.raw_key) if num_sealed else ""
            receipt = _receipt(run, store, letters, calls, sealed)
            ledger.finish_stage(store, run.run_id, receipt, run.clock())
        with store.transaction():
            landing.note_sources(store)
    return receipt


def _read_letters(run: Run, store: Store) -> Revived:
    forced = forced_format(run.request.log_format, run.settings.ingest.tables)
    groups = deadletters.waiting(store, run.request.only)
    total = sum(group.num_records for group in groups)
    revived = Revived()
    with LogReader(run.settings.ingest) as reader:
        for group in groups:
            run.progress(STAGE, revived.tried, total, group.source)
            read_again(run, store, reader, group, forced, revived)
    return revived


def _readmit(run: Run, store: Store, kind: quarantine.Kind, suite: RuleSet) -> Readmitted:
    quarantine.look_again(store, kind, run.request.only)
    batch = JudgedTable(kind.waiting, run.clock())
    refuse_unanswerable(store, batch.table, suite.own_sql(batch))
    critical = {rule.id: rule.violation_sql(batch) for rule in suite.of("critical")}
    return quarantine.readmit(store, kind, critical, run.run_id)


def _refuse_if_nothing_named(run: Run, letters: Revived, calls: Readmitted) -> None:
    if run.request.only and not letters.tried and not calls.tried:
        raise UsageError(
            "nothing that waits has this name",
            received=", ".join(run.request.only),
            allowed="a log file, an expectation, a request id, or the beginning of an id",
            next="flywheel sql \"select expectation, count(*) from quarantine where state = 'held' "
            'group by all"',
        )


def _receipt(run: Run, store: Store, letters: Revived, calls: Readmitted, sealed: str) -> Receipt:
    still_held = sum(calls.failing.values())
    still_dead = letters.still_dead + letters.new_dead
    rows_out = letters.rows_out + calls.admitted
    duplicates = letters.duplicates + calls.known
    return Receipt(
        STAGE,
        run.run_id,
        rows_in=rows_out + duplicates + still_held + still_dead,
        rows_out=rows_out,
        quarantined=still_held,
        duplicates=duplicates,
        dead_letters=still_dead,
        notes={
            "letters": letters.tried,
            "letters_read": letters.tried - letters.still_dead,
            "held": calls.tried,
            "readmitted": calls.admitted,
            "feedback": feedback.count_feedback(store, run.run_id),
            "by_reason": dict(calls.failing),
            "sealed": sealed,
        },
    )
