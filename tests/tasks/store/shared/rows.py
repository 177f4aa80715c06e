"""Rows for tests of shared stores, one transaction that touches every kind of table, and a whole
store as values."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from expectations.contracts import FEEDBACK, SAMPLES, SHARED_TABLES
from tasks.settings import Settings
from tasks.store import Store
from tasks.store.control import ledger
from tasks.store.opening import open_store

NOW = datetime(2026, 12, 1, 5, 0, 0, 123456)  # noqa: DTZ001 - as the store keeps it


def signals(name: str, count: int) -> list[dict[str, Any]]:
    return [
        {"feedback_id": f"{name}-{i}", "request_id": "r", "kind": "thumbs", "value": i / 7,
         "given_at": NOW, "source": "a:1", "run_id": "run"}
        for i in range(count)
    ]  # fmt: skip


def sample(name: str) -> dict[str, Any]:
    return {"sample_id": name, "suite": "s", "messages": '[{"role":  "user"}]',
            "target": "ü\x00",
            "target_kind": "gold", "origin": "suite", "slices": "{}", "must_pass": True,
            "weight": 1.0}  # fmt: skip


def change(store: Store, name: str) -> None:
    """Rows appended, changed and deleted, of control tables and of others."""
    with store.transaction():
        ledger.begin_run(store, name, f'{{"name": "{name}"}}', name, NOW)
        store.execute("UPDATE runs SET error = 'gone \x00 on', more_challengers = ['a', NULL]")
        store.insert(FEEDBACK, signals(name, 5))
        store.execute("UPDATE feedback SET comment = $1 WHERE feedback_id LIKE '%-1'", [name])
        store.execute("DELETE FROM feedback WHERE feedback_id LIKE '%-3'")
        store.insert(SAMPLES, [sample(name)])
        store.execute("INSERT INTO met_again VALUES ('r', 'd', 's')")
        store.execute("DELETE FROM met_again WHERE rowid < (SELECT max(rowid) FROM met_again)")


def content(settings: Settings) -> dict[str, list[tuple[Any, ...]]]:
    """Every table as this machine reads it, in its order."""
    with open_store(settings, read_only=True) as store:
        return {table.name: store.rows(f'FROM "{table.name}"') for table in SHARED_TABLES}


def runs(settings: Settings) -> set[str]:
    with open_store(settings, read_only=True) as store:
        return {name for (name,) in store.rows("SELECT run_id FROM runs")}
