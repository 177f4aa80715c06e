"""Redact: landing → requests, with secrets and personal data out, in one transaction.

`requests` only ever holds redacted rows. Feedback of the run is masked in place with the same key,
so the same address has the same pseudonym in both. Ids of calls, by which the two join, were masked
when they came in (tasks/store/intake/ids.py). Last, the new calls are compared with those
before (tasks/watch), which may hold them back.
"""

from __future__ import annotations

from tasks.errors import DataError
from tasks.model.receipt import Receipt
from tasks.privacy.masking import Redactor
from tasks.privacy.policy import FEEDBACK_TEXTS, Policy, redact_table
from tasks.run import Run
from tasks.store import Store
from tasks.store.control import ledger
from tasks.store.control.pseudonym_key import pseudonym_key
from tasks.store.intake import drift, feedback, landing
from tasks.watch.check import DriftStoppedError, check

STAGE = "redact"
_BATCH_ROWS = 10_000


def redact(run: Run) -> Receipt:
    """Mask all of landing and move it to requests.

    Raises UsageError for an unknown kind or where what finds persons is missing, DataError where
    landing holds an id twice (validate quarantines those).
    """
    settings = run.settings
    redactor = Redactor(
        settings.redact.kinds, pseudonym_key(settings.home_path), settings.redact.person_model
    )
    with run.open_store() as store:
        done = ledger.finished_stage(store, run.run_id, STAGE)
        if done is not None:
            return done  # landing is empty by now; a second pass would count nothing
        _refuse_taken_ids(store)
        try:
            with store.transaction():
                return _redacted(run, store, redactor)
        except DriftStoppedError as error:
            with store.transaction():
                drift.write(store, run.run_id, error.drift, run.clock())
            raise


def _redacted(run: Run, store: Store, redactor: Redactor) -> Receipt:
    last_row = drift.last_row(store)
    policy = Policy(run.settings.redact.fields, redactor)
    num_rows = _move(run, store, policy)
    _redact_feedback(run, store, policy)
    redactions = dict.fromkeys(run.settings.redact.kinds, 0) | redactor.counts
    drift_notes = check(run, store, last_row)
    receipt = Receipt(
        stage=STAGE,
        key=run.run_id,
        rows_in=num_rows,
        rows_out=num_rows,
        notes={"redactions": redactions, **drift_notes},
    )
    ledger.finish_stage(store, run.run_id, receipt, run.clock())
    return receipt


def _move(run: Run, store: Store, policy: Policy) -> int:
    total = landing.count_calls(store)
    done = 0
    for table in landing.batches(store, _BATCH_ROWS):
        landing.admit(store, redact_table(table, policy))
        done += table.num_rows
        run.progress(STAGE, done, total)
    landing.clear(store)
    assert done == total, f"{total} rows in landing, {done} moved"
    return done


def _redact_feedback(run: Run, store: Store, policy: Policy) -> None:
    changed: list[tuple[str, str | None, str | None]] = []
    for feedback_id, *texts in feedback.texts_of_run(store, run.run_id):
        masked = [
            None if text is None else policy.text(name, text)
            for name, text in zip(FEEDBACK_TEXTS, texts, strict=True)
        ]
        if masked != texts:
            changed.append((feedback_id, masked[0], masked[1]))
    feedback.replace_texts(store, changed)
    for kind in feedback.kinds_of_run(store, run.run_id):
        masked_kind = policy.text("kind", kind)
        if masked_kind is not None and masked_kind != kind:
            feedback.replace_kind(store, run.run_id, kind, masked_kind)


def _refuse_taken_ids(store: Store) -> None:
    taken = landing.ids_taken(store)
    if taken:
        raise DataError(
            "calls with one id and different content are waiting to be admitted",
            received=", ".join(taken[:3]) + (" …" if len(taken) > 3 else ""),
            allowed="one call an id",
            next="flywheel validate, which puts them into quarantine",
        )
