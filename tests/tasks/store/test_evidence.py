"""Evidence in the store: a night goes in whole, and nothing is fed twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from tasks.model.comparison import Interval
from tasks.model.sample import FedSample
from tasks.statistics.sequence import Batch, Evidence, Plan, begin, look, update
from tasks.store import Store
from tasks.store.control.evidence import (
    EvidenceKey,
    fed_samples,
    read_evidence,
    save_night,
)
from tasks.store.db.schema import MIGRATIONS

NOW = datetime.fromisoformat("2026-11-24T12:00:00")
KEY = EvidenceKey("a" * 64, "b" * 64, "support", "exact_match@1", 0.05)
PLAN = Plan(margin=0.05, planned=10, max_weight=2.0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "flywheel.duckdb") as store:
        yield store


def night(number: int, count: int = 6) -> list[FedSample]:
    """Pairs of samples are clusters."""
    return [
        FedSample(f"s{number}-{i}", f"c{number}-{i // 2}", (i % 3 - 1) / 3, 0.5 + i % 2 / 2)
        for i in range(count)
    ]


def fed(evidence: Evidence, samples: list[FedSample]) -> Evidence:
    batch = Batch(
        np.array([sample.difference for sample in samples]),
        [sample.cluster_id for sample in samples],
        np.array([sample.weight for sample in samples]),
    )
    return look(update(evidence, batch), lambda alpha: Interval(-0.1, 0.1))


def test_evidence_goes_on_night_after_night(store: Store) -> None:
    assert read_evidence(store, KEY) is None
    assert fed_samples(store, KEY) == []
    evidence = begin(PLAN)
    for number in range(3):
        evidence = fed(evidence, night(number))
        save_night(store, KEY, evidence, night(number), run_id=f"run-{number}", now=NOW)
        evidence = read_evidence(store, KEY) or begin(PLAN)
        assert evidence.num_samples == 6 * (number + 1)
    assert evidence == fed(fed(fed(begin(PLAN), night(0)), night(1)), night(2))
    assert evidence.fixed == Interval(-0.1, 0.1)
    assert fed_samples(store, KEY) == [*night(0), *night(1), *night(2)]
    assert store.scalar("SELECT run_id FROM evidence") == "run-2"


@pytest.mark.parametrize(
    "other",
    [
        {"champion_digest": "c" * 64},
        {"challenger_digest": "c" * 64},
        {"suite": "billing"},
        {"scorer": "exact_match@2"},
        {"margin": 0.02},
    ],
)
def test_another_pair_suite_scorer_or_margin_is_other_evidence(store: Store, other) -> None:
    save_night(store, KEY, fed(begin(PLAN), night(0)), night(0), run_id="r", now=NOW)
    assert read_evidence(store, replace(KEY, **other)) is None
    assert fed_samples(store, replace(KEY, **other)) == []


def test_nothing_is_fed_twice_and_nothing_is_left_out(store: Store) -> None:
    evidence = fed(begin(PLAN), night(0))
    save_night(store, KEY, evidence, night(0), run_id="r", now=NOW)
    late = [FedSample("late", "c0-0", 0.0, 1.0)]
    for given, kept in ((night(0), night(0)), (late, late), (night(1), [])):
        with pytest.raises(AssertionError, match="kept are"):
            save_night(store, KEY, fed(evidence, given), kept, run_id="r", now=NOW)
    assert read_evidence(store, KEY) == evidence
    assert fed_samples(store, KEY) == night(0)


def test_a_store_from_before_gets_the_tables(tmp_path: Path) -> None:
    path = tmp_path / "old.duckdb"
    with Store.open(path) as store:
        for table in ("evidence", "evidence_samples"):
            store.execute(f"DROP TABLE {table}")
        names = [migration.__name__ for migration in MIGRATIONS]
        before = names.index("_evidence")
        store.execute("DELETE FROM schema_migrations WHERE version > ?", [before])
    with Store.open(path) as store:
        save_night(store, KEY, fed(begin(PLAN), night(0)), night(0), run_id="r", now=NOW)
        assert len(fed_samples(store, KEY)) == 6
