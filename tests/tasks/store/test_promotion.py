"""Aliases and audit in the store."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from tasks.errors import StoreError
from tasks.model.alias import Alias
from tasks.model.audit import first_fault
from tasks.settings import Settings
from tasks.store import Store
from tasks.store.control.aliases import aliases_at, point, read_aliases
from tasks.store.control.audit import append, read_audit

NOW = datetime(2026, 11, 30, 21, 0, 0, 123)  # noqa: DTZ001 - as the store keeps it
CHAMPION = Alias("champion", "new", "d1", "run", NOW)
PREVIOUS = Alias("previous", "old", "d0", None, NOW)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=str(tmp_path / "home"))


@pytest.fixture
def path(settings: Settings) -> Path:
    return settings.store_path


def test_aliases_are_moved_and_read_back(settings: Settings, path: Path):
    assert aliases_at(settings) == {}
    with Store.open(path) as store:
        assert read_aliases(store) == {}
        point(store, [CHAMPION, PREVIOUS])
        point(store, [Alias("champion", "newer", "d2", "run-2", NOW + timedelta(days=1))])
        moved = read_aliases(store)
    assert moved["champion"].release == "newer"
    assert moved["previous"] == PREVIOUS
    assert aliases_at(settings) == moved


def test_a_store_that_had_no_aliases_is_read_as_it_is(settings: Settings, path: Path):
    with Store.open(path) as store:
        store.execute("DROP TABLE aliases")
        store.execute("DROP TABLE audit")
        store.execute("DELETE FROM schema_migrations WHERE version >= 17")
    before = path.read_bytes()
    assert aliases_at(settings) == {}
    assert path.read_bytes() == before
    with Store.open(path) as store:
        point(store, [CHAMPION])
    # one of an earlier schema that has them is asked, too
    with duckdb.connect(str(path)) as connection:
        connection.execute("DELETE FROM schema_migrations WHERE version >= 17")
    assert aliases_at(settings) == {"champion": CHAMPION}
    with duckdb.connect(str(path)) as connection:
        connection.execute("INSERT INTO schema_migrations VALUES (99, now()::TIMESTAMP)")
    with pytest.raises(StoreError, match="newer flywheel"):
        aliases_at(settings)


def test_rows_follow_each_other_through_the_store(path: Path):
    with Store.open(path) as store:
        assert read_audit(store) == []
        written = [
            append(store, by="ada", action="promote", subject="new", details={"n": n, "é": None},
                   now=NOW + timedelta(seconds=n))
            for n in range(3)
        ]  # fmt: skip
    with Store.open(path, read_only=True) as store:
        read = read_audit(store)
    assert read == written
    assert first_fault(read) is None
    assert [row.seq for row in read] == [1, 2, 3]
    assert read[1].previous_hash == read[0].hash


def test_a_move_that_fails_leaves_neither_alias_nor_row(path: Path):
    def move(store: Store) -> None:
        with store.transaction():
            point(store, [CHAMPION])
            append(store, by="ada", action="promote", subject="new", details={}, now=NOW)
            raise ValueError("no")

    with Store.open(path) as store, pytest.raises(ValueError, match="no"):
        move(store)
    with Store.open(path) as store:
        assert (read_aliases(store), read_audit(store)) == ({}, [])
