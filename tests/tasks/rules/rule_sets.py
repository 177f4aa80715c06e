"""Every suite there is, with tables of good, bad and random rows to ask it about."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from expectations.contracts import BATCH_PROFILE, LANDING, REQUESTS
from expectations.rules import RuleSet
from tasks.rules import in_force as rule_sets
from tasks.settings import parse_settings
from tasks.store import Store
from tasks.store.db.schema import create_table_sql
from tests.expectations.call_rows import BAD_ROWS, GOOD_CHANGES, NOW, call
from tests.expectations.feedback_rows import BAD_FEEDBACK, GOOD_FEEDBACK, signal
from tests.expectations.sample_rows import BAD_SAMPLES, GOOD_SAMPLES, asking, sample

Rows = list[dict[str, Any]]
#: every rule that a setting can call into being
SETTINGS = parse_settings(
    {"validate": {
        "max_null_ratio": {"session_id": 0.05, "model": 0.3, "started_at": 0.0},
        "scripts": ["Latin"],
        "max_age_h": 24.0,
        "rules": "",
    }},
    base=".",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A suite, the table it is asked about, and rows of it."""

    rule_set: RuleSet
    rows: Callable[[], Rows]

    @property
    def name(self) -> str:
        return f"{self.rule_set.name}-{self.rows.__name__}"

    def insert(self, store: Store) -> None:
        if self.rule_set.table is BATCH_PROFILE:
            store.execute(create_table_sql(BATCH_PROFILE))
        store.insert(self.rule_set.table, self.rows())
        store.insert(REQUESTS, [call(9999, request_id="known"), call(9998, request_id="call-3")])


def bad_calls() -> Rows:
    changes = [*GOOD_CHANGES, *(change for rows in BAD_ROWS.values() for change in rows)]
    odd = [{"messages": asking("cafÃ©")}, {"messages": asking("Где?")}, {"session_id": None}]
    return [call(number, **change) for number, change in enumerate([*changes, *odd])]


def random_calls(num_rows: int = 3000, seed: int = 7) -> Rows:
    """Rows whose fields are drawn each on its own from values inside and outside the bounds."""
    draw = random.Random(seed)
    counts = [None, -5, -1, 0, 1, 7, 10_000_000, 10_000_001, 20_000_001, 2**53]
    seconds = [None, -0.1, 0.0, 0.2, 1.5, 604_800.0, 604_800.1]
    times = [
        None,
        datetime.fromisoformat("1970-01-01 00:00:00"),
        datetime.fromisoformat("2014-12-31 23:59:00"),
        datetime.fromisoformat("2015-01-01 00:00:00"),
        NOW,
        NOW + timedelta(seconds=300),
        NOW + timedelta(seconds=300.5),
    ]
    pools: dict[str, list[Any]] = {
        "model": [None, "", "  ", "m", "'; DROP TABLE landing; --"],
        "messages": [None, "[]", '[{"role": "user"}]', asking("x"), asking("Где"), asking("â€™")],
        "response": [None, "{}", '"text"', '{"role": "assistant", "content": "x"}'],
        "status": [None, "ok", "ok", "error", "OK"],
        "error_type": [None, "Timeout"],
        "finish_reason": [None, "stop", "length", "tool_calls"],
        "http_status": [None, 0, 99, 100, 200, 399, 400, 599, 600],
        "retries": [None, -1, 0, 1000, 1001],
        "cost_usd": [None, -0.01, 0.0, 10_000.0, 10_000.01],
        "session_id": ["s", *([None] if seed % 2 else [])],
        "started_at": times,
        **dict.fromkeys(("ttft_s", "latency_s"), seconds),
        **{column.name: counts for column in LANDING.columns if column.name.endswith("_tokens")},
    }
    ids = [None, *(f"call-{number}" for number in range(num_rows))]
    return [
        call(
            number,
            request_id=draw.choice(ids),
            **{name: draw.choice(pool) for name, pool in pools.items()},
        )
        for number in range(num_rows)
    ]


def bad_feedback() -> Rows:
    changes = [*GOOD_FEEDBACK, *(change for rows in BAD_FEEDBACK.values() for change in rows)]
    return [signal(number, **change) for number, change in enumerate(changes)]


def random_feedback(num_rows: int = 1000, seed: int = 7) -> Rows:
    draw = random.Random(seed)
    pools: dict[str, list[Any]] = {
        "request_id": ["call-3", "known", "nobody", "", " ", "'; DROP TABLE feedback; --"],
        "kind": ["thumbs", "correction", "rating", "", "\t"],
        "value": [None, -1.0, 1.0, 0.0, 0.5, 1e300],
        "corrected": [None, "", " ", "x"],
        "given_at": [None, NOW, NOW + timedelta(seconds=300), NOW + timedelta(seconds=301)],
    }
    return [
        signal(number, **{name: draw.choice(pool) for name, pool in pools.items()})
        for number in range(num_rows)
    ]


def bad_samples() -> Rows:
    changes = [*GOOD_SAMPLES, *(change for rows in BAD_SAMPLES.values() for change in rows)]
    return [sample(number, **change) for number, change in enumerate(changes)]


def random_samples(num_rows: int = 1000, seed: int = 7) -> Rows:
    draw = random.Random(seed)
    pools: dict[str, list[Any]] = {
        "task": [None, "route", "other"],
        "system": [None, "", "Be kind."],
        "messages": ["[]", "null", '[{"role": 3}]', asking("a"), asking("b Ã¤"), asking("c" * 30)],
        "target": ["", " ", "a", "b", "c" * 20, "\N{REPLACEMENT CHARACTER}"],
        "target_kind": ["gold", "logged", "GOLD", ""],
        "origin": ["suite", "traffic", "failure", "x"],
        "slices": ["{}", "[]", "null"],
        "weight": [-0.1, 0.0, 1.0, 1_000_000.0, 1_000_001.0],
    }
    return [
        sample(number, **{name: draw.choice(pool) for name, pool in pools.items()})
        for number in range(num_rows)
    ]


def _profile(**figures: Any) -> Rows:
    return [{"num_calls": 60, "age_h": 1.0, "volume_ratio": 1.0, **figures}]


def usual_batch() -> Rows:
    return _profile()


def first_batch() -> Rows:
    return _profile(age_h=None, volume_ratio=None)


def stale_small_batch() -> Rows:
    return _profile(age_h=24.001, volume_ratio=0.19)


def large_batch() -> Rows:
    return _profile(volume_ratio=5.0001)


def batch_at_its_limits() -> Rows:
    return _profile(age_h=24.0, volume_ratio=0.2)


_TABLES: dict[RuleSet, tuple[Callable[[], Rows], ...]] = {
    rule_sets.calls_rules(SETTINGS): (bad_calls, random_calls),
    rule_sets.batch_rules(SETTINGS): (
        usual_batch,
        first_batch,
        stale_small_batch,
        large_batch,
        batch_at_its_limits,
    ),
    rule_sets.feedback_rules(SETTINGS): (bad_feedback, random_feedback),
    rule_sets.samples_rules(SETTINGS): (bad_samples, random_samples),
}
CASES = [Case(rule_set, rows) for rule_set, tables in _TABLES.items() for rows in tables]
