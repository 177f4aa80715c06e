"""Samples and eval sets in the store: what curate reads and writes, and what later stages read.

Owns the SQL; decides nothing. Everything but the choice of columns is in the contracts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import fields, replace
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from expectations.contracts import EVAL_SET_SAMPLES, EVAL_SETS, RUN_SAMPLES, SAMPLES
from tasks.collecting import without_collecting
from tasks.model.canonical import canonical_json, parsed
from tasks.model.sample import Asked, Sample
from tasks.model.served import AS_ASKED, Served
from tasks.model.turn import EvalSet
from tasks.store.db.connection import Store, afterwards
from tasks.store.db.schema import create_table_sql
from tasks.store.held.marks import Rows

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

#: fields of a sample that no set gives it
_OF_ITSELF = tuple(
    one.name
    for one in fields(Sample)
    if one.name not in ("cluster_id", "num_draws", "stratum", "is_counted")
)


@without_collecting()
def read_eval_set(store: Store, digest: str, *, without: pa.Table | None = None) -> list[Sample]:
    """The samples of an eval set in its order, but for those of which `without` has the sample_id;
    none where there is no such set. Those with the same slices share them."""
    slices_of = cache(_slices)
    left_out = "" if without is None else "AND s.sample_id NOT IN (FROM left_out) "
    with nullcontext() if without is None else store.lent("left_out", without):
        rows = store.rows(
            "SELECT s.sample_id, s.suite, s.task, s.messages, s.system, s.target, s.target_kind, "
            "s.origin, s.slices, s.must_pass, s.request_id, e.cluster_id, "
            "coalesce(e.weight, 1.0), coalesce(e.num_draws, 1.0), coalesce(e.stratum, ''), "
            "coalesce(e.is_counted, true), s.served, s.session, s.step "
            "FROM eval_set_samples e JOIN samples s USING (sample_id) "
            f"WHERE e.eval_set_digest = ? {left_out}ORDER BY e.position, s.sample_id",
            [digest],
        )
    return [
        Sample(
            sample_id=sample_id,
            suite=suite,
            task=task,
            messages=tuple(parsed(messages)),
            system=system,
            target=target,
            target_kind=target_kind,
            origin=origin,
            slices=slices_of(slices),
            must_pass=must_pass,
            request_id=request_id,
            cluster_id=cluster_id,
            weight=weight,
            num_draws=num_draws,
            stratum=stratum,
            is_counted=is_counted,
            served=Served.from_value(parsed(served)) if served else AS_ASKED,
            session=session,
            step=step,
        )
        for (
            sample_id, suite, task, messages, system, target, target_kind, origin, slices,
            must_pass, request_id, cluster_id, weight, num_draws, stratum, is_counted,
            served, session, step,
        ) in rows
    ]  # fmt: skip


def read_asked(store: Store, digest: str) -> list[Asked]:
    """What prompts meet in the samples of an eval set; none where there is no such set."""
    rows = store.rows(
        "SELECT s.suite, s.task, s.system, count(*) "
        "FROM eval_set_samples e JOIN samples s USING (sample_id) WHERE e.eval_set_digest = ? "
        "GROUP BY ALL ORDER BY ALL",
        [digest],
    )
    return [Asked(*row) for row in rows]


def _slices(text: str) -> Mapping[str, str]:
    return {str(name): str(value) for name, value in parsed(text).items()}


def samples_of_run(store: Store, run_id: str, samples: Sequence[Sample]) -> list[Sample]:
    """Those of an eval set that a run asked its releases: all, but where it stopped because it was
    decided. What it asked out of turn does not count."""
    asked: dict[str, bool] = dict(
        store.rows("SELECT sample_id, is_in_turn FROM run_samples WHERE run_id = ?", [run_id])
    )
    if not asked:
        return list(samples)
    return [
        replace(sample, is_counted=sample.is_counted and asked[sample.sample_id])
        for sample in samples
        if sample.sample_id in asked
    ]


def keep_samples_of_run(store: Store, run_id: str, asked: Mapping[str, bool]) -> None:
    """Sample id → whether it was asked in turn, of a run that stopped before it had asked all."""
    rows = (
        {"run_id": run_id, "sample_id": sample_id, "is_in_turn": is_in_turn}
        for sample_id, is_in_turn in asked.items()
    )
    store.insert(RUN_SAMPLES, rows, existing="replace")


def eval_set_frame(store: Store, digest: str) -> pd.DataFrame:
    """All that is stored of an eval set and its samples, in its order."""
    return store.frame(
        "SELECT e.*, s.* EXCLUDE (sample_id, weight) "
        "FROM eval_set_samples e JOIN samples s USING (sample_id) "
        "WHERE eval_set_digest = ? ORDER BY position",
        [digest],
    )


def find_eval_set(store: Store, digest: str) -> EvalSet | None:
    row = store.one(
        "SELECT run_id, parent_digest, num_samples, created_at, rule "
        "FROM eval_sets WHERE eval_set_digest = ?",
        [digest],
    )
    if row is None:
        return None
    run_id, parent, num_samples, created_at, rule = row
    return EvalSet(digest, run_id, parent, num_samples, created_at, parsed(rule))


def latest_eval_set(store: Store, run_id: str) -> str | None:
    """The eval set of the newest other run that has one."""
    digest: str | None = store.scalar(
        "SELECT eval_set_digest FROM runs WHERE eval_set_digest IS NOT NULL AND run_id <> ? "
        "ORDER BY run_id DESC LIMIT 1",
        [run_id],
    )
    return digest


#: the samples of a set that is not written yet, where Great Expectations can see them
CANDIDATES = Rows("eval_candidates", "sample_id", "judged_candidates")


@contextmanager
def candidates(store: Store, samples: Sequence[Sample]) -> Iterator[None]:
    """A table of the samples for as long as they are judged. Those that the store has are what they
    are there; what a set gives them is of this one."""
    with store.transaction():
        store.execute(f"DROP TABLE IF EXISTS {CANDIDATES.table}")
        store.execute(create_table_sql(SAMPLES, CANDIDATES.table))
        with _lent(store, samples, ("sample_id", "weight", "request_id")):
            store.execute(
                f"INSERT INTO {CANDIDATES.table} BY NAME "
                "SELECT s.* REPLACE (g.weight AS weight, g.request_id AS request_id) "
                "FROM samples s JOIN given_samples g USING (sample_id)"
            )
        rows = (_row(sample) | {"weight": sample.weight} for sample in _new(store, samples))
        store.insert(SAMPLES, rows, table=CANDIDATES.table)
    with afterwards(lambda: store.execute(f"DROP TABLE IF EXISTS {CANDIDATES.table}")):
        yield


def failed_candidates(store: Store) -> dict[str, str]:
    """Sample id → the first critical rule it fails."""
    return dict(
        store.rows(f"SELECT row_id, failed[1] FROM {CANDIDATES.marks} WHERE len(failed) > 0")
    )


def write_eval_set(
    store: Store,
    digest: str,
    samples: Sequence[Sample],
    *,
    created_at: datetime,
    run_id: str,
    parent_digest: str | None,
    rule: str,
) -> None:
    """Write a set and its samples; what is there already is the same by content and stays."""
    if find_eval_set(store, digest) is not None:
        return
    store.insert(SAMPLES, map(_row, _new(store, samples)))
    eval_set = {
        "eval_set_digest": digest,
        "num_samples": len(samples),
        "created_at": created_at,
        "run_id": run_id,
        "parent_digest": parent_digest,
        "rule": rule,
    }
    store.insert(EVAL_SETS, [eval_set])
    if samples:
        from tasks.store.db.arrow import table_from_columns

        members = {
            "eval_set_digest": [digest] * len(samples),
            "sample_id": [sample.sample_id for sample in samples],
            "position": range(len(samples)),
            "cluster_id": [sample.cluster_id for sample in samples],
            "weight": [sample.weight for sample in samples],
            "num_draws": [sample.num_draws for sample in samples],
            "stratum": [sample.stratum for sample in samples],
            "is_counted": [sample.is_counted for sample in samples],
        }
        store.insert_table(EVAL_SET_SAMPLES, table_from_columns(EVAL_SET_SAMPLES, members))


def _new(store: Store, samples: Sequence[Sample]) -> list[Sample]:
    """Those that the store has not got."""
    with _lent(store, samples, ("sample_id",)):
        rows = store.rows("SELECT sample_id FROM given_samples ANTI JOIN samples USING (sample_id)")
    new = {sample_id for (sample_id,) in rows}
    return [sample for sample in samples if sample.sample_id in new]


@contextmanager
def _lent(store: Store, samples: Sequence[Sample], names: Sequence[str]) -> Iterator[None]:
    """These fields of the samples as the table given_samples."""
    from tasks.store.db.arrow import table_from_columns

    columns = {name: [getattr(sample, name) for sample in samples] for name in names}
    with store.lent("given_samples", table_from_columns(SAMPLES, columns)):
        yield


def _row(sample: Sample) -> dict[str, Any]:
    """A sample apart from any set: what it counts there is no part of it."""
    row, served = {name: getattr(sample, name) for name in _OF_ITSELF}, sample.served.to_value()
    return row | {
        "messages": canonical_json(sample.messages),
        "slices": canonical_json(sample.slices),
        "weight": 1.0,
        "served": canonical_json(served) if served else None,
    }
