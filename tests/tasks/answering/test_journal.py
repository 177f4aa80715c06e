"""What was paid for is written down at once, and comes into the store once, whatever happens."""

from __future__ import annotations

import stat
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tasks.answering.journal import JOURNAL_FILE, NOTHING, Amount, Journal, fold
from tasks.errors import StoreError
from tasks.store import Store
from tasks.store.evals.spending import Spent, read_spending

NOW = datetime(2026, 11, 24, 12, 0, 0)  # noqa: DTZ001 - the store keeps UTC without a zone


def _row(number: int) -> dict[str, Any]:
    return {
        "release_digest": "d", "sample_id": f"s{number}", "seed": 0, "text": f"text {number} \n é",
        "finish_reason": "stop", "input_tokens": 1, "cached_tokens": None, "output_tokens": 2,
        "error": None, "fault": None, "run_id": "r", "created_at": NOW, "ttft_s": 0.1,
        "latency_s": 0.2, "served_by": "m",
    }  # fmt: skip


def write_journal(home: Path) -> None:
    """Four requests: answered, failed at no cost, cut off, and one of which nothing is known."""
    journal = Journal(home, "r", "EUR")
    worst = Amount(100, 50, 0.5)
    for attempt in range(1, 5):
        journal.sent(attempt, "d", worst)
    journal.arrived(1, Amount(10, 5, 0.05), _row(1))
    journal.ended(2, NOTHING)
    journal.ended(3, worst)
    journal.close()


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with Store.open(tmp_path / "flywheel.duckdb") as opened:
        yield opened


def test_what_it_holds_comes_into_the_store_once(tmp_path: Path, store: Store) -> None:
    write_journal(tmp_path)
    path = tmp_path / JOURNAL_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    data = path.read_bytes()
    assert fold(store, tmp_path, NOW) == 1
    assert not path.exists()
    path.write_bytes(data)  # killed after the commit and before the file was removed
    fold(store, tmp_path, NOW)
    assert store.rows("SELECT text, created_at, served_by FROM completions") == [
        ("text 1 \n é", NOW, "m")
    ]
    assert read_spending(store, "r") == {"d": Spent(4, 210, 105, 1.05)}
    assert store.rows("SELECT DISTINCT currency FROM spending") == [("EUR",)]
    assert fold(store, tmp_path, NOW) == 0


def test_cut_anywhere_it_keeps_what_was_written_whole(tmp_path: Path, store: Store) -> None:
    write_journal(tmp_path)
    path = tmp_path / JOURNAL_FILE
    data = path.read_bytes()
    for size in range(0, len(data), 7):
        store.execute("DELETE FROM completions")
        store.execute("DELETE FROM spending")
        path.write_bytes(data[:size])
        fold(store, tmp_path, NOW)
        assert not path.exists()
        whole = data[:size].count(b"\n")
        (spent,) = read_spending(store, "r").values() or (Spent(),)
        assert spent.requests in (min(4, max(0, whole - 1)), min(4, whole))
        assert store.scalar("SELECT count(*) FROM completions") in (int(whole > 5), int(whole > 4))


def test_what_is_no_journal_stays_where_it_is(tmp_path: Path, store: Store) -> None:
    path = tmp_path / JOURNAL_FILE
    path.write_bytes(b"\x00\xff not ours\nnor this\n")
    with pytest.raises(StoreError, match="cannot be read"):
        fold(store, tmp_path, NOW)
    assert path.exists()


def test_without_a_request_there_is_no_file(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "r", "EUR")
    journal.close()
    assert not journal.is_written
    assert not (tmp_path / JOURNAL_FILE).exists()


def test_a_disk_without_room_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written down") as caught:
        Journal(tmp_path / "nowhere", "r", "EUR").sent(1, "d", NOTHING)
    assert "the same command goes on" in caught.value.next
