"""Shared stores of earlier and of newer builds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import sqlalchemy as sa

from expectations.contracts import SHARED_TABLES, SOURCES
from tasks.errors import StoreError
from tasks.settings import Settings
from tasks.store.db import schema
from tasks.store.opening import open_store, truth_of
from tasks.store.shared import changes, store, truth
from tasks.store.shared.database import _LAYOUTS, LAYOUTS
from tests.tasks.store.shared.rows import NOW, change, content, runs

Machine = Callable[[str], Settings]
#: the last column that a migration added
_OLD_SOURCES = replace(SOURCES, columns=SOURCES.columns[:-1])


@contextmanager
def earlier_build(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    tables = tuple(_OLD_SOURCES if table is SOURCES else table for table in SHARED_TABLES)
    migrations = schema.MIGRATIONS[: schema.MIGRATIONS.index(schema._unread_keys)]
    with monkeypatch.context() as patch:
        for module in (schema, store, truth):
            patch.setattr(module, "MIGRATIONS", migrations)
        for module in (store, truth):
            patch.setattr(module, "SHARED_TABLES", tables)
        patch.setattr(changes, "_BY_NAME", {table.name: table for table in tables})
        yield


def source(path: str) -> dict[str, object]:
    row = {column.name: None for column in _OLD_SOURCES.columns}
    for column in _OLD_SOURCES.columns:
        if not column.nullable:
            of_type = {"VARCHAR": "x", "BIGINT": 1, "TIMESTAMP": NOW}
            row[column.name] = of_type[column.sql_type]
    return {**row, "path": path}


def test_an_earlier_one_is_brought_up_to_date_and_then_refused_by_the_earlier_build(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
):
    a, b = machine("a"), machine("b")
    with earlier_build(monkeypatch):
        with open_store(a) as opened:
            change(opened, "run")
            opened.insert(_OLD_SOURCES, [source("one")])
        assert len(content(b)["sources"][0]) == len(_OLD_SOURCES.columns)
    # a reader changes nothing
    with pytest.raises(StoreError, match="earlier flywheel"):
        content(b)
    with pytest.raises(StoreError, match="earlier flywheel"):
        content(machine("new"))
    with open_store(b) as opened:
        opened.insert(SOURCES, [{**source("two"), "unread_keys": "{}"}])
    told = [(row[0], row[-1]) for row in content(a)["sources"]]
    assert told == [("one", None), ("two", "{}")]
    assert content(a) == content(b) == content(machine("another"))
    assert runs(a) == {"run"}
    with earlier_build(monkeypatch):
        with pytest.raises(StoreError, match="newer flywheel"):
            content(a)
        with pytest.raises(StoreError, match="newer flywheel"), open_store(a):
            raise AssertionError


def test_a_database_of_a_newer_layout_is_refused(machine: Machine):
    a = machine("a")
    with open_store(a) as opened:
        change(opened, "run")
    newer = _LAYOUTS.insert().values(number=len(LAYOUTS) + 1)
    truth_of(a).database.run(lambda connection: connection.execute(newer))
    with pytest.raises(StoreError, match="made by a newer flywheel"):
        content(a)
    with pytest.raises(StoreError, match="made by a newer flywheel"), open_store(a):
        raise AssertionError
    gone = sa.delete(_LAYOUTS).where(_LAYOUTS.c.number > len(LAYOUTS))
    truth_of(a).database.run(lambda connection: connection.execute(gone))
    assert runs(a) == {"run"}
