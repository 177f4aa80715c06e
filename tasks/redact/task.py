"""Redact: landing → requests, with secrets and personal data out, in one transaction.

`requests` only ever holds redacted rows. Feedback of the run is masked in place with the same key,
so the same address has the same pseudonym in both. Ids of calls, by which the two join, were masked
when they came in (tasks/store/intake/ids.py). Last, the new calls are compared with those
before (tasks/watch), which may hold them back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial

import pyarrow as pa

from tasks.errors import DataError
from tasks.model.receipt import Receipt
from tasks.on_ray.work import work_at
from tasks.privacy.policy import FEEDBACK_TEXTS, Policy
from tasks.processes import num_processes
from tasks.redact.masks import Masked, Masks
from tasks.redact.together import mask_all
from tasks.run import Run
from tasks.store import Store
from tasks.store.control import ledger
from tasks.store.control.pseudonym_key import pseudonym_key
from tasks.store.intake import drift, feedback, landing
from tasks.watch.check import DriftStoppedError, check
from tasks.workers.work import named_count

STAGE = "redact"
_Mask = Callable[[Iterable[pa.Table]], Iterator[Masked]]
_BATCH_ROWS = 2_500
#: fewer are masked before another process has started
_MAX_ROWS_HERE = 10_000
_FEEDBACK_AT_A_TIME = 20_000
#: of the database, whatever comes in
_MAX_STORE_BYTES = 768 * 2**20


def redact(run: Run) -> Receipt:
    """Mask all of landing and move it to requests.

    Raises UsageError for an unknown kind or where what finds persons is missing, DataError where
    landing holds an id twice (validate quarantines those).
    """
    section = run.settings.redact
    key = pseudonym_key(run.settings.home_path)
    masks = Masks(section.kinds, key, section.person_model, dict(section.fields))
    # whatever is wrong with it is told before the store is opened
    _ = masks.redactor
    with run.open_store() as store:
        done = ledger.finished_stage(store, run.run_id, STAGE)
        if done is not None:
            return done  # landing is empty by now; a second pass would count nothing
        _refuse_taken_ids(store)
        store.hold_memory(_MAX_STORE_BYTES)
        try:
            with store.transaction():
                return _redacted(run, store, masks)
        except DriftStoppedError as error:
            with store.transaction():
                drift.write(store, run.run_id, error.drift, run.clock())
            raise


def _redacted(run: Run, store: Store, masks: Masks) -> Receipt:
    last_row = drift.last_row(store)
    redactions = Counter(dict.fromkeys(masks.kinds, 0))
    num_rows, num_workers = _move(run, store, masks, redactions)
    before = masks.redactor.counts.copy()
    _redact_feedback(run, store, masks.policy)
    redactions.update(masks.redactor.counts - before)
    drift_notes = check(run, store, last_row)
    receipt = Receipt(
        stage=STAGE,
        key=run.run_id,
        rows_in=num_rows,
        rows_out=num_rows,
        notes={
            "redactions": dict(redactions),
            **({"workers": {"num": num_workers}} if num_workers else {}),
            **drift_notes,
        },
    )
    ledger.finish_stage(store, run.run_id, receipt, run.clock())
    return receipt


def _move(run: Run, store: Store, masks: Masks, redactions: Counter[str]) -> tuple[int, int]:
    """How many calls, and how many workers of Ray masked them."""
    total = landing.count_calls(store)
    done = 0
    with _masking(run, masks, total) as (mask, num_workers):
        note = named_count(num_workers) if num_workers else ""

        def masked_tables() -> Iterator[pa.Table]:
            nonlocal done
            for masked in mask(landing.batches(store.beside(), _BATCH_ROWS)):
                redactions.update(masked.counts)
                done += masked.table.num_rows
                run.progress(STAGE, done, total, note)
                yield masked.table

        landing.admit(store, masked_tables())
    landing.clear(store)
    assert done == total, f"{total} rows in landing, {done} moved"
    return done, num_workers


@contextmanager
def _masking(run: Run, masks: Masks, total: int) -> Iterator[tuple[_Mask, int]]:
    """Who masks so many calls; with how many workers of Ray, if any."""
    place, num_here = run.settings.rows_run, num_processes(run.settings.ingest.processes)
    if total <= _MAX_ROWS_HERE or (place.is_here and num_here == 1):
        yield partial(map, masks.mask), 0
        return
    with work_at(place, num_here, masks) as work:
        num_workers = 0 if place.is_here else work.num_workers
        yield partial(mask_all, masks=masks, work=work), num_workers


def _redact_feedback(run: Run, store: Store, policy: Policy) -> None:
    last = ""
    while page := feedback.texts_of_run(store, run.run_id, last, _FEEDBACK_AT_A_TIME):
        changed: list[tuple[str, str | None, str | None]] = []
        for feedback_id, *texts in page:
            masked = [
                None if text is None else policy.text(name, text)
                for name, text in zip(FEEDBACK_TEXTS, texts, strict=True)
            ]
            if masked != texts:
                changed.append((feedback_id, masked[0], masked[1]))
        feedback.replace_texts(store, changed)
        last, *_ = page[-1]
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
