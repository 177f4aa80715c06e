"""What actors wrote down comes into the store once, whoever was killed when."""

from __future__ import annotations

import stat
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tasks.answering.journal import fold, recover
from tasks.answering.spool import SPOOL_FOLDER, begin_spool, put_away
from tasks.backends.base import Reply
from tasks.backends.pool.spool import write_shard
from tasks.model.answer import CompletionKey
from tasks.model.failure import Failure
from tasks.settings import parse_settings
from tasks.store import Store

NOW = datetime(2026, 11, 24, 12, 0, 0)  # noqa: DTZ001 - the store keeps UTC without a zone
LATER = datetime(2026, 11, 25, 12, 0, 0)  # noqa: DTZ001
KEYS = [CompletionKey("d", f"s{number}", 0) for number in range(4)]
LONG = Reply(None, "error", 5, 0, 0, Failure("too_long", "too long", "release", False))
AWAY = Reply(None, "error", 5, 0, 0, Failure("device", "no memory", "harness", True))


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with Store.open(tmp_path / "flywheel.duckdb") as opened:
        yield opened


def kept(store: Store) -> list[tuple[Any, ...]]:
    return store.rows(
        "SELECT sample_id, text, error, fault, run_id, created_at FROM completions ORDER BY 1"
    )


def test_shards_that_were_written_whole_come_into_the_store_once(
    tmp_path: Path, store: Store
) -> None:
    folder = begin_spool(tmp_path, "r", KEYS, NOW)
    plain = Reply("text \n é", "stop", 5, 2, 3)
    assert write_shard(folder, "a", (2, 0), (plain, LONG))
    assert write_shard(folder, "a", (2, 0), (plain, LONG))  # the actor was asked again
    assert write_shard(folder, "b", (0, 1), (LONG, AWAY))  # a half of a shard that came after all
    (folder / "c.7.partial").write_text('{"place": 3, "rep')
    files = [path for path in folder.iterdir() if path.suffix == ".jsonl"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert fold(store, tmp_path, LATER) == 2
    assert kept(store) == [
        ("s0", None, "too long", "release", "r", NOW),
        ("s2", "text \n é", None, None, "r", NOW),
    ]
    assert not (tmp_path / SPOOL_FOLDER).exists()
    assert fold(store, tmp_path, LATER) == 0


def test_what_is_damaged_is_left_out(tmp_path: Path, store: Store) -> None:
    folder = begin_spool(tmp_path, "r", KEYS, NOW)
    write_shard(folder, "a", (0,), (LONG,))
    (folder / "b.jsonl").write_text('{"place": 1, "reply": {}}\n{"pla\n{"place": 9}\n[]\n')
    begin_spool(tmp_path, "r", KEYS, NOW).joinpath("places.json").write_text("{")
    assert fold(store, tmp_path, LATER) == 1
    assert [row[0] for row in kept(store)] == ["s0"]


def test_a_chunk_that_is_kept_leaves_nothing(tmp_path: Path) -> None:
    folder = begin_spool(tmp_path, "r", KEYS, NOW)
    write_shard(folder, "a", (0,), (LONG,))
    other = begin_spool(tmp_path, "r", KEYS, NOW)
    put_away(folder)
    assert [path.name for path in (tmp_path / SPOOL_FOLDER).iterdir()] == [other.name]
    put_away(other)
    assert not (tmp_path / SPOOL_FOLDER).exists()


def test_an_actor_without_the_folder_says_so(tmp_path: Path) -> None:
    assert not write_shard(tmp_path / "elsewhere", "a", (0,), (LONG,))
    assert not (tmp_path / "elsewhere").exists()


def test_who_erases_has_it_in_the_store_before(tmp_path: Path) -> None:
    settings = parse_settings({"home": "home"}, base=str(tmp_path))
    folder = begin_spool(settings.home_path, "r", KEYS, NOW)
    write_shard(folder, "a", (0,), (LONG,))
    recover(settings, LATER)
    with Store.open(settings.store_path) as store:
        assert [row[0] for row in kept(store)] == ["s0"]
    assert not (settings.home_path / SPOOL_FOLDER).exists()
