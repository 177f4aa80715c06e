from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from expectations.contracts import ALL_TABLES, FEEDBACK, SOURCES
from tasks.errors import StoreBusyError, StoreError
from tasks.interrupts import interrupt_queries
from tasks.model.answer import challenger_role
from tasks.model.receipt import Receipt
from tasks.model.sample import Sample
from tasks.model.served import Served
from tasks.model.window import OPEN
from tasks.store import Store
from tasks.store.control import ledger
from tasks.store.control.verdicts import (
    newest_results,
    read_ranking,
    read_verdicts,
    write_verdict,
)
from tasks.store.db.schema import MIGRATIONS, schema_version
from tasks.store.evals.answers import save_completions
from tasks.store.evals.samples import eval_set_frame, read_eval_set, write_eval_set
from tasks.store.evals.spending import read_spending
from tasks.store.intake import sources
from tests.conftest import REPOSITORY

NOW = datetime.fromisoformat("2026-11-24T12:00:00")  # UTC without a zone, as the store keeps it


def feedback(number: int) -> dict[str, object]:
    return {
        "feedback_id": f"f{number}",
        "request_id": "r",
        "kind": "thumbs",
        "source": "x:1",
        "run_id": "run",
    }


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "flywheel.duckdb"


def test_every_contract_is_a_table_with_its_columns_in_order(path: Path):
    with Store.open(path) as store:
        for contract in ALL_TABLES:
            rows = store.rows(
                "SELECT column_name, data_type, is_nullable FROM duckdb_columns() "
                "WHERE table_name = ? ORDER BY column_index",
                [contract.name],
            )
            assert [row[0] for row in rows] == list(contract.column_names)
            assert [row[1] for row in rows] == [column.sql_type for column in contract.columns]
            assert [row[2] for row in rows] == [
                column.nullable and column.name not in contract.key for column in contract.columns
            ]


def test_calls_lose_the_index_that_they_had_and_nothing_else(path: Path):
    """As the first migration made the table until then."""
    from dataclasses import replace

    from expectations.contracts import REQUESTS
    from tasks.store.db.schema import create_table_sql

    indexed = replace(REQUESTS, has_index=True)
    with Store.open(path) as store:
        store.execute("DROP TABLE requests")
        store.execute(create_table_sql(indexed))
        store.execute(
            "INSERT INTO requests BY NAME SELECT md5(n::VARCHAR) AS request_id, "
            "'[]' AS messages, ['a:' || n] AS sources, 'x' AS format, n::VARCHAR AS content_digest,"
            "'r' AS run_id, TIMESTAMP '2026-11-24' AS ingested_at FROM range(3000) calls(n)"
        )
        store.execute("DELETE FROM requests WHERE content_digest = '7'")
        before = store.rows("SELECT * FROM requests")
        version = [migration.__name__ for migration in MIGRATIONS].index("_calls_without_index")
        store.execute("DELETE FROM schema_migrations WHERE version > ?", [version])
    with Store.open(path) as store:
        assert store.rows("SELECT * FROM requests") == before
        assert store.rows(
            "SELECT table_name FROM duckdb_constraints() WHERE table_name LIKE 'requests%' "
            "AND constraint_type = 'PRIMARY KEY'"
        ) == []  # fmt: skip
        store.execute(f"INSERT INTO requests FROM requests WHERE request_id = '{before[0][0]}'")


def test_what_a_store_without_windows_has_read_counts_as_taken_in_whole(path: Path):
    columns = ("etag", "since", "until", "outside_window", "first_call_at", "last_call_at")
    with Store.open(path) as store:
        old = [c.name for c in SOURCES.columns if c.name not in (*columns, "changed")]
        row = dict.fromkeys(old, 0) | {"path": "a", "digest": "d", "run_id": "r"}
        row |= {"format": "canonical", "parser_version": "1", "read_at": NOW, "rows_in": 7}
        for name in (*columns, "changed"):
            store.execute(f"ALTER TABLE sources DROP COLUMN {name}")
        values = ", ".join("?" for _ in old)
        store.execute(f"INSERT INTO sources ({', '.join(old)}) VALUES ({values})",
                      [row[name] for name in old])  # fmt: skip
        store.execute("DELETE FROM schema_migrations WHERE version >= 4")
    with Store.open(path) as store:
        readings = sources.readings_by_path(store, ["a"])["a"]
        assert sources.took_in(readings, OPEN)
        assert sources.totals(store, "r").rows_in == 7
        assert sources.changed_files(store, "r") == []


def test_of_a_set_made_before_weights_hand_written_samples_count_one_each(path: Path):
    """Those of production were taken by outcome."""
    set_of_two = [
        Sample(name, "s", None, ({"role": "user", "content": name},), None, "t", "gold", origin)
        for name, origin in (("a", "suite"), ("b", "traffic"))
    ]
    with Store.open(path) as store:
        write_eval_set(
            store, "d", set_of_two, created_at=NOW, run_id="r", parent_digest=None, rule="{}"
        )
        for name in ("weight", "stratum", "is_counted"):
            store.execute(f"ALTER TABLE eval_set_samples DROP COLUMN {name}")
        store.execute("DELETE FROM schema_migrations WHERE version >= 7")
    with Store.open(path) as store:
        assert read_eval_set(store, "d") == [
            set_of_two[0], replace(set_of_two[1], is_counted=False)
        ]  # fmt: skip
        assert eval_set_frame(store, "d")["weight"].tolist() == [1.0, 1.0]


def test_of_a_set_made_before_only_messages_were_kept_nothing_else_is_told(path: Path):
    tool = {"type": "function", "function": {"name": "find"}}
    plain = Sample("a", "s", None, ({"role": "user", "content": "a"},), None, "t", "gold", "suite")
    served = Served((tool,), {"thinking": True}, True)
    told = replace(plain, sample_id="b", served=served, session="x", step=2)
    with Store.open(path) as store:
        write_eval_set(
            store, "d", [plain, told], created_at=NOW, run_id="r", parent_digest=None, rule="{}"
        )
        assert read_eval_set(store, "d") == [plain, told]
        version = [migration.__name__ for migration in MIGRATIONS].index("_served")
        for name in ("served", "session", "step"):
            store.execute(f"ALTER TABLE samples DROP COLUMN {name}")
        store.execute("DELETE FROM schema_migrations WHERE version > ?", [version])
    with Store.open(path) as store:
        assert read_eval_set(store, "d") == [plain, replace(plain, sample_id="b")]


def test_a_run_of_before_there_could_be_several_challengers_is_read(path: Path):
    verdict = {"verdict": "better", "reasons": '["won"]', "suites": '[{"suite": "s"}]',
               "slices": "[]", "created_at": NOW}  # fmt: skip
    with Store.open(path) as store:
        ledger.begin_run(store, "r", '{"challenger": "b"}', "d", NOW)
        ledger.annotate_run(
            store, "r", eval_set_digest="set", champion_digest="old", challenger_digest="new"
        )
        for change in (
            "DROP TABLE verdicts", "DROP TABLE rankings",
            "CREATE TABLE verdicts (run_id VARCHAR NOT NULL, verdict VARCHAR NOT NULL, "
            "reasons JSON NOT NULL, suites JSON NOT NULL, slices JSON NOT NULL, "
            "created_at TIMESTAMP NOT NULL, PRIMARY KEY (run_id))",
            "ALTER TABLE runs DROP COLUMN more_challengers",
            "ALTER TABLE evidence DROP COLUMN num_challengers",
        ):  # fmt: skip
            store.execute(change)
        store.execute(f"INSERT INTO verdicts (run_id, {', '.join(verdict)}) "
                      "VALUES ('r', ?, ?, ?, ?, ?)", list(verdict.values()))  # fmt: skip
        version = [migration.__name__ for migration in MIGRATIONS].index("_challengers")
        store.execute("DELETE FROM schema_migrations WHERE version > ?", [version])
    with Store.open(path) as store:
        found = read_verdicts(store, "r")
        assert [(role, one.verdict, one.reasons) for role, one in found.items()] == [
            ("challenger", "better", ("won",))
        ]
        assert newest_results(store, "s")["s"][0] == "r"
        assert read_ranking(store, "r") == ()
        keys = ledger.run_keys(store, "r")
        assert keys == ledger.RunKeys("set", {"champion": "old", "challenger": "new"})
    with Store.open(path) as store:
        more = {challenger_role(n): f"new {n}" for n in range(12)}
        ledger.set_run_keys(store, "r", ledger.RunKeys("set", {"champion": "old", **more}))
        keys = ledger.run_keys(store, "r")
        assert keys is not None
        assert list(keys.release_digests.values()) == ["old", *more.values()]
        write_verdict(store, "r", "challenger_2", verdict="worse", reasons=(), suites=(),
                      slices=(), guardrails=(), now=NOW,
                      is_leading=False)  # fmt: skip
        assert list(read_verdicts(store, "r")) == ["challenger", "challenger_2"]


def test_a_verdict_of_before_guardrails_has_none(path: Path):
    with Store.open(path) as store:
        store.execute("ALTER TABLE verdicts DROP COLUMN guardrails")
        store.execute(
            "INSERT INTO verdicts (run_id, role, verdict, reasons, suites, slices, created_at, "
            "is_leading) VALUES ('r', 'challenger', 'worse', '[]', '[]', '[]', ?, true)",
            [NOW],
        )
        version = [migration.__name__ for migration in MIGRATIONS].index("_guardrails")
        store.execute("DELETE FROM schema_migrations WHERE version > ?", [version])
    with Store.open(path) as store:
        kept = read_verdicts(store, "r")["challenger"]
        assert (kept.verdict, kept.guardrails) == ("worse", ())


def test_what_a_sample_counts_is_of_its_set(path: Path):
    sample = Sample("a", "s", None, ({"role": "user", "content": "a"},), None, "t", "gold", "suite")
    with Store.open(path) as store:
        for digest, weight, stratum, is_counted in (
            ("d", 2.5, "failed", True), ("e", 0.5, "liked", False),
        ):  # fmt: skip
            drawn = replace(sample, weight=weight, stratum=stratum, is_counted=is_counted)
            write_eval_set(
                store, digest, [drawn], created_at=NOW, run_id="r", parent_digest=None, rule="{}"
            )
            assert read_eval_set(store, digest) == [drawn]
            assert eval_set_frame(store, digest)["weight"].tolist() == [weight]


def test_rows_go_in_and_out_unchanged(path: Path):
    with Store.open(path) as store:
        row = {**feedback(1), "value": -1.0, "comment": "naïve 🙂 \0 '; DROP", "given_at": NOW}
        assert store.insert(FEEDBACK, [row]) == 1
        columns = ", ".join(row)
        assert store.one(f"SELECT {columns} FROM feedback") == tuple(row.values())


def test_row_with_an_unknown_column_or_type_is_refused(path: Path):
    with Store.open(path) as store:
        with pytest.raises(KeyError, match="colour"):
            store.insert(FEEDBACK, [{**feedback(1), "colour": "red"}])
        with pytest.raises(pa.ArrowInvalid):
            store.insert(FEEDBACK, [{**feedback(1), "value": "high"}])
        assert store.scalar("SELECT count(*) FROM feedback") == 0


def test_known_key_is_skipped_only_where_asked(path: Path):
    with Store.open(path) as store:
        store.insert(FEEDBACK, [feedback(1)])
        store.insert(FEEDBACK, [feedback(1), feedback(2)], existing="keep")
        assert store.scalar("SELECT count(*) FROM feedback") == 2


def test_known_key_is_replaced_only_where_asked(path: Path):
    with Store.open(path) as store:
        store.insert(FEEDBACK, [{**feedback(1), "value": 1.0}, {**feedback(2), "value": 1.0}])
        store.insert(FEEDBACK, [{**feedback(1), "value": -1.0}], existing="replace")
        values = store.rows("SELECT feedback_id, value FROM feedback ORDER BY feedback_id")
        assert values == [("f1", -1.0), ("f2", 1.0)]


def insert_two_and_fail(store: Store) -> None:
    with store.transaction():
        store.insert(FEEDBACK, [feedback(1)])
        with store.transaction():  # joins the outer one
            store.insert(FEEDBACK, [feedback(2)])
        raise RuntimeError("midway")


def test_failed_transaction_leaves_nothing(path: Path):
    with Store.open(path) as store:
        with pytest.raises(RuntimeError, match="midway"):
            insert_two_and_fail(store)
        assert store.scalar("SELECT count(*) FROM feedback") == 0
        with store.transaction():
            store.insert(FEEDBACK, [feedback(3)])
    with Store.open(path, read_only=True) as store:
        assert store.rows("SELECT feedback_id FROM feedback") == [("f3",)]


def test_second_process_is_told_who_holds_the_store(path: Path):
    script = (
        "import sys, pathlib\n"
        "from tasks.store import Store\n"
        "with Store.open(pathlib.Path(sys.argv[1])) as store:\n"
        "    print('open', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with (
            pytest.raises(StoreBusyError, match=f"held by process {holder.pid}") as caught,
            Store.open(path, lock_timeout_s=0.3),
        ):
            pass
        assert caught.value.transient
        assert caught.value.exit_code == 4
        holder.communicate("")
    with Store.open(path):
        pass


def test_file_that_is_no_database_is_one_clear_line(tmp_path: Path):
    path = tmp_path / "flywheel.duckdb"
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreError, match="not a valid DuckDB database file"), Store.open(path):
        pass


def test_reading_where_nothing_is_yet_says_so(path: Path):
    with pytest.raises(StoreError, match="no store yet"), Store.open(path, read_only=True):
        pass
    assert not path.parent.exists()


def test_state_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(StoreError, match="FLYWHEEL_HOME"),
        Store.open(tmp_path / "file" / "flywheel.duckdb"),
    ):
        pass


def test_store_of_a_newer_version_is_refused(path: Path):
    with Store.open(path) as store:
        assert schema_version(store.connection) == len(MIGRATIONS)
        store.execute("INSERT INTO schema_migrations VALUES (99, now()::TIMESTAMP)")
    with pytest.raises(StoreError, match="newer flywheel"), Store.open(path):
        pass


def test_reading_changes_no_store_of_another_schema(path: Path):
    with Store.open(path) as store:
        store.execute("INSERT INTO schema_migrations VALUES (99, now()::TIMESTAMP)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="newer flywheel"), Store.open(path, read_only=True):
        pass
    assert path.read_bytes() == before
    with duckdb.connect(str(path)) as connection:
        connection.execute("DELETE FROM schema_migrations WHERE version > 10")
    before = path.read_bytes()
    with (
        pytest.raises(StoreError, match=r"schema 10 .* next: flywheel validate"),
        Store.open(path, read_only=True),
    ):
        pass
    assert path.read_bytes() == before


def test_a_copy_is_kept_before_a_migration(path: Path):
    with Store.open(path) as store:
        store.insert(FEEDBACK, [feedback(1)])
        store.execute("ALTER TABLE verdicts DROP COLUMN guardrails")
        store.execute("DELETE FROM schema_migrations WHERE version > 11")
    with Store.open(path):
        pass
    (copy,) = (path.parent / "kept").iterdir()
    assert copy.name.startswith("flywheel-schema-11-")
    with duckdb.connect(str(copy), read_only=True) as old:
        assert old.execute("SELECT feedback_id FROM feedback").fetchall() == [("f1",)]
        assert schema_version(old) == 11
    with Store.open(path):
        pass
    assert list((path.parent / "kept").iterdir()) == [copy]


def test_without_a_copy_nothing_is_migrated(path: Path, monkeypatch: pytest.MonkeyPatch):
    with Store.open(path) as store:
        store.execute("DELETE FROM schema_migrations WHERE version > 11")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tasks.store.db.connection.copy_tables", full)
    with pytest.raises(OSError, match="No space"), Store.open(path):
        pass
    with duckdb.connect(str(path), read_only=True) as old:
        assert schema_version(old) == 11


def test_only_the_newest_killed_run_of_the_same_request_is_taken_up(path: Path):
    with Store.open(path) as store:
        ledger.begin_run(store, "1", "{}", "digest", NOW)
        assert ledger.find_killed(store, "digest") == "1"
        assert ledger.find_killed(store, "other") is None
        ledger.begin_run(store, "2", "{}", "digest", NOW)
        ledger.abandon_others(store, "2", NOW)
        assert ledger.run_value(store, "1", "state") == "abandoned"
        ledger.finish_run(store, "2", "failed", NOW, error="why")
        assert ledger.find_killed(store, "digest") is None


def test_stage_recorded_twice_counts_once(path: Path):
    with Store.open(path) as store:
        ledger.begin_run(store, "1", "{}", "digest", NOW)
        assert ledger.finished_stage(store, "1", "ingest") is None
        ledger.finish_stage(store, "1", Receipt("ingest", "1", 1, 1), NOW)
        ledger.finish_stage(store, "1", Receipt("ingest", "1", 2, 2), NOW)
        assert [receipt.rows_in for receipt in ledger.receipts(store, "1")] == [2]
        ledger.annotate_run(store, "1", report="page.html")
        assert ledger.run_value(store, "1", "report") == "page.html"
        with pytest.raises(KeyError):
            ledger.annotate_run(store, "1", colour="red")


def test_a_signal_in_the_middle_of_a_query_interrupts(path):
    def stop(*_: object) -> None:
        interrupt_queries()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, stop)
    interrupt = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    try:
        with Store.open(path) as store:
            interrupt.start()
            with pytest.raises(KeyboardInterrupt):
                store.rows("SELECT count(*) FROM range(1_000_000_000) a, range(1_000_000_000) b")
            assert store.one("SELECT 1") == (1,)
    finally:
        interrupt.cancel()
        signal.signal(signal.SIGINT, before)


def test_a_store_that_could_not_be_made_whole_is_made_the_next_time(path):
    script = (
        "import resource, sys, pathlib\n"
        "from tasks.store import Store\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (6_000, 6_000))\n"
        "with Store.open(pathlib.Path(sys.argv[1])): pass\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], cwd=REPOSITORY, capture_output=True, check=False
    )
    assert done.returncode == 1
    assert list(path.parent.iterdir()) == []
    with Store.open(path) as store:
        assert store.scalar("SELECT count(*) FROM runs") == 0


def test_what_was_left_of_a_store_under_creation_is_removed(path):
    left = path.with_name(f".unfinished-1-{path.name}")
    left.parent.mkdir(exist_ok=True)
    left.write_bytes(b"cut off")
    with Store.open(path):
        pass
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_file_system_without_hard_links_holds_a_store_too(path, monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with Store.open(path) as store:
        assert store.scalar("SELECT count(*) FROM runs") == 0
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_store_of_before_apis_takes_their_answers(path: Path):
    row = {
        "release_digest": "d", "sample_id": "s", "seed": 0, "text": "t", "finish_reason": "stop",
        "run_id": "r", "created_at": NOW,
    }  # fmt: skip
    with Store.open(path) as store:
        for column in ("ttft_s", "latency_s", "served_by"):
            store.execute(f"ALTER TABLE completions DROP COLUMN {column}")
        store.execute("DROP TABLE spending")
        store.execute(f"INSERT INTO completions ({', '.join(row)}) VALUES (?, ?, ?, ?, ?, ?, ?)",
                      list(row.values()))  # fmt: skip
        version = [migration.__name__ for migration in MIGRATIONS].index("_hosted")
        store.execute("DELETE FROM schema_migrations WHERE version > ?", [version])
    with Store.open(path) as store:
        save_completions(store, [{**row, "sample_id": "new", "ttft_s": 0.5, "served_by": "m"}])
        assert store.rows("SELECT sample_id, ttft_s, served_by FROM completions ORDER BY 1") == [
            ("new", 0.5, "m"), ("s", None, None),
        ]  # fmt: skip
        assert read_spending(store, "r") == {}


def test_a_store_from_before_anything_could_be_erased_has_nothing_erased(path: Path):
    row = {c.name: 0 for c in SOURCES.columns if c.name not in ("since", "until", "forgotten")}
    row |= dict.fromkeys(("path", "digest", "format", "parser_version", "run_id"), "r")
    row |= dict.fromkeys(("read_at", "first_call_at", "last_call_at"), NOW)
    row |= {"etag": None, "unread_keys": None}
    with Store.open(path) as store:
        store.insert(SOURCES, [{**row, "changed": False}])
        store.execute("ALTER TABLE sources DROP COLUMN forgotten")
        for table in ("forgotten", "erasures"):
            store.execute(f"DROP TABLE {table}")
        version = [migration.__name__ for migration in MIGRATIONS].index("_forgotten")
        store.execute("DELETE FROM schema_migrations WHERE version > ?", [version])
    with Store.open(path) as store:
        assert sources.totals(store, "r").forgotten == 0
        assert store.rows(
            "SELECT (SELECT count(*) FROM forgotten), (SELECT count(*) FROM erasures)"
        ) == [(0, 0)]
