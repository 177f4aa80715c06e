from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tasks.model.drift import ColumnDrift
from tasks.settings import DriftSettings
from tasks.watch.judge import Calls, judge

LIMITS = DriftSettings(false_alarm_rate=0.05, min_psi=0.1, min_rows=100)


def calls(count: int, seed: int, *, tokens: float = 100.0, model: float = 0.9, topic="billing"):
    draw = np.random.default_rng(seed)
    latency = draw.lognormal(0, 1, count)
    latency[draw.random(count) < 0.1] = np.nan
    return Calls(
        numbers={"tokens": draw.poisson(tokens, count).astype(float), "latency_s": latency,
                 "ttft_s": np.full(count, np.nan)},
        categories={
            "model": draw.choice(["a", "b"], p=[model, 1 - model], size=count).tolist(),
            "status": ["ok"] * count,
        },
        texts=[f"{topic} question {a} about thing {b}"
               for a, b in draw.integers(0, 999, (count, 2))],
    )  # fmt: skip


def judged(reference: Calls, new: Calls, seed: int = 0) -> dict[str, ColumnDrift]:
    found = judge(reference, new, LIMITS, np.random.default_rng(seed))
    return {column.column_name: column for column in found}


def test_no_change_raises_no_more_alarms_than_stated():
    """Without the PSI's help: an alarm by p value alone is what the rate is stated for."""
    limits = DriftSettings(false_alarm_rate=0.05, min_psi=0.0, min_rows=100)
    runs = 60
    alarms = 0
    for seed in range(runs):
        found = judge(
            calls(400, seed), calls(300, 1_000 + seed), limits, np.random.default_rng(seed)
        )
        alarms += any(column.is_alarm for column in found)
    assert alarms <= 8  # of 60 at 5%: more has a chance of 1 in 200


@pytest.mark.parametrize(
    ("column", "changes"),
    [
        ("tokens", {"tokens": 115.0}),
        ("model", {"model": 0.6}),
        ("text", {"topic": "weather"}),
    ],
)
def test_a_change_is_found_in_its_column_alone(column, changes):
    found = judged(calls(800, 1), calls(600, 2, **changes))
    alarms = {name for name, each in found.items() if each.is_alarm}
    assert column in alarms
    assert alarms <= {column, "text_novelty"}


def test_a_change_too_small_to_matter_is_no_alarm_however_sure_it_is():
    sides = (calls(20_000, 1), calls(20_000, 2, model=0.87))
    found = judged(*(replace(side, texts=[None] * 20_000) for side in sides))["model"]
    assert found.adjusted_p is not None
    assert found.adjusted_p < 1e-6
    assert found.psi is not None
    assert found.psi < 0.1
    assert not found.is_alarm


def test_more_missing_values_are_a_change():
    new = calls(600, 2)
    new.numbers["latency_s"][:300] = np.nan
    assert judged(calls(800, 1), new)["latency_s"].is_alarm


def test_what_is_not_judged_says_why():
    found = judged(calls(800, 1), calls(600, 2))
    assert found["ttft_s"].not_judged == "no call has a value"
    assert found["status"].not_judged == "the same value in every call"
    few = judged(calls(800, 1), calls(50, 2))
    assert {
        each.not_judged for each in few.values() if not each.column_name.startswith("text")
    } == {"new: 50 calls, at least 100 are needed"}
    assert not any(each.is_alarm for each in few.values())


def test_a_repeated_text_counts_once():
    """1,000 calls that say one thing are one text: too few to compare."""
    same = Calls({}, {}, ["the same question"] * 1_000)
    found = judged(calls(800, 1), same)["text"]
    assert found.num_new == 1
    assert found.not_judged == "new: 1 different texts, at least 100 are needed"


def test_many_values_are_counted_as_other():
    draw = np.random.default_rng(0)
    sides = [
        Calls({}, {"release": [f"r{i}" for i in draw.integers(0, 500, 2_000)]}, [None] * 2_000)
        for _ in range(2)
    ]
    found = judged(*sides)["release"]
    assert found.psi is not None
    assert found.psi < 0.1
    assert not found.is_alarm
