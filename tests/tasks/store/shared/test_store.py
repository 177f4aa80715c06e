"""Machines that work on one store see the same rows, and one at a time writes them."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlalchemy as sa

from expectations.contracts import FEEDBACK, REQUESTS
from tasks.errors import StoreBusyError, StoreError, StoreFencedError, StoreUnreachableError
from tasks.settings import Settings
from tasks.store import Store
from tasks.store.folder import MARKER
from tasks.store.opening import open_store, store_exists, truth_of
from tasks.store.shared import changes, pulling
from tasks.store.shared.database import LEASES, LITTER, PARTS
from tests.services import Services
from tests.tasks.store.shared.killing import changed, written_and_killed
from tests.tasks.store.shared.rows import NOW, change, content, runs, signals

Machine = Callable[[str], Settings]
#: forked: what it needs is imported, and no database is open
forked = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")


def in_another_process(work: Callable[..., None], *arguments: object) -> int:
    """Its exit code."""
    child = os.fork()
    if child == 0:
        try:
            work(*arguments)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_what_one_machine_writes_the_others_read(machine: Machine):
    a, b = machine("a"), machine("b")
    assert not store_exists(a)
    with pytest.raises(StoreError, match="no store yet"):
        content(b)
    for number in range(6):
        with open_store((a, b)[number % 2]) as store:
            change(store, f"run-{number}")
        one, other = content(a), content(b)
        assert one == other
        assert len(one["runs"]) == number + 1
        assert len(one["feedback"]) == 4 * (number + 1)
        assert len(one["met_again"]) == 1
    assert one["runs"][0][one_of("error")] == "gone \x00 on"
    assert content(machine("new")) == one
    assert store_exists(b)


def one_of(column: str) -> int:
    from expectations.contracts import RUNS

    return RUNS.column_names.index(column)


def test_it_holds_what_a_store_of_one_machine_holds(machine: Machine, tmp_path: Path):
    a, b, alone = machine("a"), machine("b"), Settings(home=str(tmp_path / "alone"))
    for number in range(3):
        for settings in ((a, b)[number % 2], alone):
            with open_store(settings) as store:
                change(store, f"run-{number}")
    assert content(a) == content(b) == content(alone)


def test_what_fails_is_in_no_copy(machine: Machine):
    a = machine("a")
    with open_store(a) as store:
        change(store, "run")
        before = content_of(store)
        with pytest.raises(ZeroDivisionError):
            failing(store)
        assert content_of(store) == before
        store.insert(FEEDBACK, signals("later", 1))
    assert content(machine("b")) == content(a)
    assert runs(a) == {"run"}


def failing(store: Store) -> None:
    with store.transaction():
        store.insert(FEEDBACK, signals("more", 3))
        store.execute("DELETE FROM runs")
        raise ZeroDivisionError


def content_of(store: Store) -> list[list[tuple[Any, ...]]]:
    return [store.rows("FROM runs"), store.rows("FROM feedback")]


def test_only_what_changed_travels(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, services: Services
):
    monkeypatch.setattr(changes, "PART_ROWS", 100)
    a, b = machine("a"), machine("b")
    with open_store(a) as store:
        store.insert(FEEDBACK, signals("first", 350))
    assert sizes(a) == [100, 100, 100, 50]
    first = keys(a)
    content(b)
    with open_store(a) as store:
        store.insert(FEEDBACK, signals("second", 10))
    assert (sizes(a), keys(a)[:4]) == ([100, 100, 100, 50, 10], first)
    with open_store(a) as store:
        store.execute("UPDATE feedback SET comment = 'x' WHERE feedback_id = 'first-120'")
        store.execute("DELETE FROM feedback WHERE feedback_id = 'first-250'")
        store.execute("UPDATE feedback SET comment = 'x' WHERE false")
    assert sizes(a) == [100, 100, 99, 50, 10]
    now = keys(a)
    assert [now[place] == first[place] for place in range(4)] == [True, False, False, True]
    # small ones at the end become one, so that they never are many
    for number in range(12):
        with open_store(a) as store:
            store.insert(FEEDBACK, signals(f"one-{number}", 1))
    assert sum(sizes(a)) == 371
    assert len(sizes(a)) < 10
    assert content(a) == content(b)
    # and what no table consists of is not kept
    truth = truth_of(a)
    listed = set(truth.objects.fs.find(truth.objects.root))
    assert len(listed) == len(keys(a))
    assert truth.database.run(lambda connection: connection.execute(sa.select(LITTER)).all()) == []


def sizes(settings: Settings) -> list[int]:
    return [rows for _, rows in _parts(settings)]


def keys(settings: Settings) -> list[str]:
    return [key for key, _ in _parts(settings)]


def _parts(settings: Settings) -> list[tuple[str, int]]:
    wanted = sa.select(PARTS.c.part_key, PARTS.c.num_rows).order_by(PARTS.c.ordinal)
    database = truth_of(settings).database
    return [tuple(row) for row in database.run(lambda connection: connection.execute(wanted).all())]


def test_a_part_that_lost_a_few_rows_is_not_read_anew_with_all_others(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(changes, "PART_ROWS", 100)
    monkeypatch.setattr(pulling, "_MAX_REPLACED_ROWS", 20)
    thinned: list[bool] = []

    def seen(*arguments: object) -> bool:
        thinned.append(thin(*arguments))
        return thinned[-1]

    thin = pulling._thinned
    monkeypatch.setattr(pulling, "_thinned", seen)
    a, b = machine("a"), machine("b")
    with open_store(a) as store:
        store.insert(REQUESTS, [call(number) for number in range(350)])
    content(b)
    with open_store(a) as store, store.transaction():
        # DuckDB puts a row at the end whose list changes
        store.execute(
            "UPDATE requests SET sources = list_append(sources, 'again') "
            "WHERE request_id IN ('r7', 'r8', 'r120')"
        )
        store.execute("DELETE FROM requests WHERE request_id = 'r250'")
    assert content(b) == content(a) == content(machine("new"))
    assert thinned == [True, True, True]
    # what changed in its place is read anew
    with open_store(a) as store:
        store.execute("UPDATE requests SET status = 'error' WHERE request_id = 'r1'")
    assert content(b) == content(a)
    assert thinned == [True, True, True, False]


def call(number: int) -> dict[str, Any]:
    return {"request_id": f"r{number}", "sources": [f"a:{number}"], "format": "x",
            "content_digest": f"d{number}", "run_id": "run", "ingested_at": NOW}  # fmt: skip


def test_a_table_may_be_emptied_and_filled_again(machine: Machine):
    a, b = machine("a"), machine("b")
    for number in range(3):
        with open_store(a) as store:
            store.insert(FEEDBACK, signals(f"run-{number}", 3))
            assert len(content_of(store)[1]) == 3
            with store.transaction():
                store.execute("DELETE FROM feedback")
                store.execute("DELETE FROM landing")
        assert content(a) == content(b)
        assert keys(a) == []


def test_a_second_machine_waits_and_then_tells_who_holds_it(machine: Machine):
    a, b = machine("a"), machine("b")
    with open_store(a) as store:
        change(store, "run")
        with (
            pytest.raises(StoreBusyError, match=r"held by process \d+ on "),
            open_store(b, lock_timeout_s=0.3),
        ):
            raise AssertionError
        assert runs(b) == {"run"}  # readers are not held up
        ended = threading.Timer(0.5, lambda: None)
        ended.start()
    with open_store(b, lock_timeout_s=5.0) as store:
        change(store, "another")
    assert runs(a) == {"run", "another"}


@forked
def test_a_holder_that_fell_silent_is_fenced(machine: Machine):
    a, b = machine("a"), machine("b")
    with open_store(a) as store:
        change(store, "run")
        expire(a)
        in_another_process(changed, b, "another")
        with pytest.raises(StoreFencedError, match="took it over"):
            change(store, "late")
        assert store.rows("SELECT run_id FROM runs") == [("run",)]
    assert runs(a) == runs(b) == {"run", "another"}
    assert content(a) == content(b)


def expire(settings: Settings) -> None:
    """As if its holder had been away for as long, and renewed nothing."""
    database = truth_of(settings).database
    gone = LEASES.update().values(expires_at=0, home_id="")
    database.run(lambda connection: connection.execute(gone))


def test_a_lease_is_renewed_while_it_is_held(services: Services, tmp_path: Path):
    short = Services(services.database, services.objects, lease_s=1.0)
    a, b = short.machine(tmp_path / "a"), short.machine(tmp_path / "b")
    with open_store(a) as store:
        time.sleep(2.5)
        with pytest.raises(StoreBusyError), open_store(b, lock_timeout_s=0.0):
            raise AssertionError
        change(store, "run")
    assert runs(b) == {"run"}


@forked
@pytest.mark.slow
def test_killed_at_any_step_of_a_commit_all_of_it_is_there_or_nothing(
    services: Services, tmp_path: Path
):
    a, b = services.machine(tmp_path / "a"), services.machine(tmp_path / "b")
    with open_store(a) as store:
        change(store, "first")
    outcomes, before = [], content(b)
    for moment in range(1, 200):
        name = f"run-{moment}"
        exit_code = in_another_process(written_and_killed, a, name, moment)
        after = content(b)
        is_there = name in {row[0] for row in after["runs"]}
        assert is_there or after == before
        outcomes.append(is_there)
        if exit_code == 0:
            break
        assert exit_code == -signal.SIGKILL
        before = after
    assert exit_code == 0
    # nobody waited for a process that is dead
    with open_store(a) as store:
        assert len(store.rows("FROM feedback")) == 4 * len(store.rows("FROM runs"))
    assert content(a) == after
    # kills before the commit of the database, and behind it, in this order
    assert outcomes == sorted(outcomes)
    assert outcomes.count(False) > 10
    assert outcomes.count(True) > 3
    truth = truth_of(a)
    with open_store(a) as store:
        change(store, "last")
    assert len(truth.objects.fs.find(truth.objects.root)) == len(keys(a))


def test_a_copy_that_is_damaged_foreign_or_of_another_past_is_made_anew(
    machine: Machine, tmp_path: Path
):
    a, b = machine("a"), machine("b")
    with open_store(a) as store:
        change(store, "run")
    content(b)
    b.store_path.write_bytes(b"no database" * 1000)
    assert content(b) == content(a)
    # of another store
    foreign = Settings(
        home=str(tmp_path / "b"),
        store=a.store.model_copy(
            update={
                "database": f"sqlite:///{tmp_path}/other.sqlite",
                "objects": f"file://{tmp_path}/other",
            }
        ),
    )
    with open_store(foreign) as store:
        change(store, "of another store")
    assert runs(foreign) == {"of another store"}
    assert content(b) == content(a)
    # ahead: the database went back to a backup, and on from there
    with open_store(a) as store:
        change(store, "lost")
    content(b)
    with duckdb.connect(str(a.store_path)) as connection:
        connection.execute("UPDATE working_copy SET commit_id = 'lost'")
        connection.execute("DELETE FROM runs WHERE run_id = 'lost'")
    with open_store(b) as store:
        change(store, "next")
    assert content(a) == content(b)
    assert runs(a) == {"run", "lost", "next"}


def test_a_store_of_its_own_is_neither_taken_nor_lost(machine: Machine, tmp_path: Path):
    alone = Settings(home=str(tmp_path / "a"))
    with open_store(alone) as store:
        change(store, "alone")
    a = machine("a")
    with pytest.raises(StoreError, match="a store of its own"), open_store(a):
        raise AssertionError
    assert runs(alone) == {"alone"}
    # and a working copy is no store
    b = machine("b")
    with open_store(b) as store:
        change(store, "run")
    with pytest.raises(StoreError, match="copy of one that machines share"):
        open_store(Settings(home=str(tmp_path / "b")))
    assert b.store_path.with_name(MARKER).exists()


def test_machines_with_different_keys_of_pseudonyms_do_not_share(machine: Machine, tmp_path: Path):
    a, b = machine("a"), machine("b")
    with open_store(a) as store:
        change(store, "run")
    (tmp_path / "b" / "pseudonym.key").write_bytes(b"x" * 32)
    with pytest.raises(StoreError, match="key of the pseudonyms"), open_store(b):
        raise AssertionError


def test_threads_take_turns_and_a_reader_beside_a_writer_has_what_was_committed(machine: Machine):
    a = machine("a")
    failed: list[BaseException] = []

    def write(name: str) -> None:
        try:
            with open_store(a, lock_timeout_s=60.0) as store:
                change(store, name)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(f"run-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert runs(a) == {f"run-{number}" for number in range(4)}


def test_an_object_that_was_changed_or_is_gone_is_told(services: Services, tmp_path: Path):
    short = Services(services.database, services.objects, lease_s=1.0)
    a, b = short.machine(tmp_path / "a"), short.machine(tmp_path / "b")
    with open_store(a) as store:
        change(store, "run")
    objects = truth_of(a).objects
    key = keys(a)[0]
    kept = tmp_path / "kept"
    objects.fs.get_file(objects._path(key), str(kept))
    objects.fs.pipe_file(objects._path(key), b"other bytes")
    with pytest.raises(StoreUnreachableError, match="other bytes than were put"):
        content(b)
    objects.fs.rm_file(objects._path(key))
    with pytest.raises(StoreUnreachableError, match="not where it was put"):
        content(b)
    objects.put(kept, key)
    assert content(b) == content(a)


def test_tables_written_to_are_known_from_the_statement():
    written = changes.written_tables
    assert written("INSERT INTO runs VALUES (1)") == {"runs": False}
    assert written('INSERT OR IGNORE INTO "runs" SELECT 1') == {"runs": False}
    assert written('insert or replace into "runs" select 1') == {"runs": True}
    assert written("INSERT INTO runs VALUES (1) ON CONFLICT DO UPDATE SET pid = 1") == {
        "runs": True
    }
    assert written('UPDATE "requests" AS kept SET sources = s') == {"requests": True}
    assert written("DELETE FROM scores USING completions c WHERE true") == {"scores": True}
    assert written("WITH x AS (SELECT 1) DELETE FROM scores") == {"scores": True}
    assert written("CREATE OR REPLACE TEMP TABLE noted AS FROM requests") == {}
    assert written(f"SELECT * FROM {REQUESTS.name}") == {}


def test_no_password_is_told(tmp_path: Path):
    pytest.importorskip("psycopg")
    services = Services("postgresql+psycopg://me:secret@127.0.0.1:1/x", f"file://{tmp_path}", 1.0)
    with pytest.raises(StoreUnreachableError) as told, open_store(services.machine(tmp_path)):
        raise AssertionError
    assert "secret" not in told.value.line()
    assert "127.0.0.1" in told.value.line()
    assert "secret" not in repr(services.machine(tmp_path).store)


def test_a_home_may_be_thrown_away(machine: Machine, tmp_path: Path):
    a = machine("a")
    with open_store(a) as store:
        change(store, "run")
    before = content(a)
    shutil.rmtree(tmp_path / "a")
    assert content(machine("a")) == before
