"""What was held raw long enough is in no file of the state folder any more."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from tasks.errors import UsageError
from tasks.ingest.task import ingest
from tasks.replay.task import replay
from tasks.run import Run, raw_key
from tasks.safekeeping.purge import Purged, purge
from tasks.store.db.connection import KEPT
from tasks.store.held import quarantine
from tasks.store.held.raw_key import find_raw_key
from tasks.validate.task import validate
from tests.tasks.logs.builders import append, call, make_run, query, write_lines

#: in a line that is no JSON, in a call that fails a rule, in feedback that fails one, in a
#: piped-in log that nobody has read, in what an error quotes, in the value that a rule saw, and in
#: a call that is fine
LETTER, HELD, SIGNAL, PIPED, QUOTED, SEEN, FINE = (f"planted-{n}-3f9ac" for n in range(7))
RAW = (LETTER, HELD, SIGNAL, PIPED, QUOTED, SEEN)
KEY = Fernet.generate_key().decode()


def run_of(folder: Path, run_id: str, *logs: Path) -> Run:
    return make_run(folder, *logs, run_id=run_id,
                    validate={"data_docs": False, "max_quarantined_ratio": 1.0})  # fmt: skip


def take_in(folder: Path, run_id: str = "run-1") -> Run:
    """One of everything; the log it came from is gone."""
    late = {"kind": "thumbs", "value": 1, "comment": SIGNAL, "given_at": "2031-01-01T00:00:00Z"}
    log = write_lines(
        folder / "calls.jsonl",
        call(1, output_tokens=-5, response=f"broken {HELD} {'x' * 300}"),
        call(2, response=f"fine {FINE}", feedback=late),
        f'{{"broken": "{LETTER}" {"y" * 300}'.encode(),
        call(3, output_tokens=QUOTED),
    )  # fmt: skip
    run = run_of(folder, run_id, log)
    ingest(run)
    validate(run)
    with run.open_store() as store:
        store.execute("UPDATE quarantine SET observed = ?", [SEEN])
    log.unlink()
    spool = run.settings.home_path / "spool"
    spool.mkdir(exist_ok=True)
    (spool / "stdin-abc").write_text(PIPED)
    stamp = datetime.fromisoformat("2026-11-24T00:00:00Z").timestamp()
    os.utime(spool / "stdin-abc", (stamp, stamp))
    return run


def purged(run: Run, days: float, *, later_days: float = 1.0, dry_run: bool = False) -> Purged:
    """What `flywheel purge` does that many days after it came in."""
    return purge(
        run.settings,
        raw_key(run.settings),
        run.clock() + timedelta(later_days),
        raw_days=days,
        kept_days=0.0,
        always_compact=True,
        dry_run=dry_run,
    )


def files_with(run: Run, text: str) -> list[str]:
    """As a person would look, in whatever file there is; and, since DuckDB compresses columns, in
    every row of every table."""
    home = run.settings.home_path
    with run.open_store() as store:
        names = [name for (name,) in store.rows("SELECT table_name FROM duckdb_tables()")]
        if any(
            store.scalar(f"SELECT count(*) FROM {name} AS t WHERE contains(t::VARCHAR, ?)", [text])
            for name in names
        ):
            return ["flywheel.duckdb"]
    found = subprocess.run(
        ["grep", "-rlaF", text, str(home)], capture_output=True, text=True, check=False
    )
    return sorted(str(Path(line).relative_to(home)) for line in found.stdout.splitlines())


def test_after_a_purge_no_file_holds_what_was_purged(tmp_path: Path):
    run = take_in(tmp_path)
    kept = run.settings.home_path / KEPT
    kept.mkdir()
    (kept / "flywheel-schema-1.duckdb").write_text(LETTER)
    os.utime(kept / "flywheel-schema-1.duckdb", (1, 1))
    assert all(files_with(run, text) for text in RAW)
    would = purged(run, 0, dry_run=True)
    assert all(files_with(run, text) for text in RAW)
    did = purged(run, 0)
    assert [files_with(run, text) for text in RAW] == [[]] * 6
    assert (did.dead_letters, did.quarantined, did.piped_logs) == (2, 2, 1)
    assert did.copies == ("flywheel-schema-1.duckdb",)
    assert {**would.to_dict(), "bytes_after": 0} == {**did.to_dict(), "bytes_after": 0}
    # what happened is still told, and what passed is still there
    assert query(run, "SELECT state, error FROM dead_letters ORDER BY 2") == [
        ("dead", "not JSON"), ("dead", "output_tokens"),
    ]  # fmt: skip
    assert query(run, "SELECT DISTINCT state, request_id FROM quarantine ORDER BY 2") == [
        ("purged", "r1"), ("purged", "r2"),
    ]  # fmt: skip
    assert files_with(run, FINE) == ["flywheel.duckdb"]
    assert not purged(run, 0).anything
    assert replay(run_of(tmp_path, "run-2")).notes["held"] == 0


def test_what_is_younger_stays(tmp_path: Path):
    run = take_in(tmp_path)
    assert not purged(run, 11, later_days=10).anything
    assert all(files_with(run, text) for text in RAW)
    assert purged(run, 9, later_days=10).quarantined == 2
    assert not any(files_with(run, text) for text in RAW)


def test_replayed_rows_lose_their_raw_bytes_too(tmp_path: Path):
    run = take_in(tmp_path)
    with run.open_store() as store:
        store.execute("UPDATE quarantine SET state = 'replayed'")
        store.execute("UPDATE dead_letters SET state = 'replayed'")
    purged(run, 0)
    assert not any(files_with(run, text) for text in RAW)
    assert query(run, "SELECT DISTINCT state FROM quarantine") == [("replayed",)]


def test_deleted_feedback_is_in_no_free_block(tmp_path: Path):
    run = take_in(tmp_path)
    purged(run, 0)
    with run.open_store() as store:
        store.execute(f"UPDATE requests SET response = '{FINE}'")
        store.execute("DELETE FROM landing")
    purged(run, 0)
    assert not files_with(run, FINE)


def test_a_purged_letter_is_read_from_its_log_while_that_is_there(tmp_path: Path):
    log = write_lines(tmp_path / "a.jsonl", call(1), call(2, messages=[{"role": "user",
                                                  "content": "x" * 500}]))  # fmt: skip
    short = {"max_line_bytes": 400}
    ingest(make_run(tmp_path, log, ingest=short))
    run = run_of(tmp_path, "run-2")
    purged(run, 0)
    assert query(run, "SELECT octet_length(raw) FROM dead_letters") == [(0,)]
    assert replay(run).notes["letters_read"] == 1
    append(log, b"{broken\n")
    ingest(run_of(tmp_path, "run-3", log))
    purged(run, 0)
    log.unlink()
    notes = replay(run_of(tmp_path, "run-4")).notes
    assert (notes["letters"], notes["letters_read"]) == (1, 0)


def test_a_purged_call_that_comes_again_is_held_again(tmp_path: Path):
    run = take_in(tmp_path)
    purged(run, 0)
    log = write_lines(tmp_path / "again.jsonl", call(1, output_tokens=-5, response=HELD))
    again = run_of(tmp_path, "run-2", log)
    ingest(again)
    validate(again)
    assert query(run, "SELECT count(*) FROM quarantine WHERE state = 'held'") == [(1,)]


def test_with_a_key_all_that_is_held_is_sealed_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FLYWHEEL_RAW_KEY", KEY)
    run = take_in(tmp_path)
    purged(run, 100)  # landing, which was judged, held it until it is compacted
    assert [files_with(run, text) for text in (LETTER, HELD, SIGNAL, QUOTED, KEY)] == [[]] * 5
    sealed = query(run, "SELECT \"row\"->>'$.sealed' FROM quarantine")
    rows = [json.loads(Fernet(KEY).decrypt(token)) for (token,) in sealed]
    assert {row.get("request_id") for row in rows} == {"r1", "r2"}
    letters = query(run, "SELECT raw FROM dead_letters ORDER BY line_number")
    assert LETTER.encode() in Fernet(KEY).decrypt(letters[0][0])

    monkeypatch.setenv("FLYWHEEL_RAW_KEY", Fernet.generate_key().decode())
    notes = replay(run_of(tmp_path, "run-2")).notes
    assert (notes["letters"], notes["letters_read"], notes["held"]) == (2, 0, 0)
    assert notes["sealed"].startswith("4 held rows are sealed under a key that is not here")

    monkeypatch.setenv("FLYWHEEL_RAW_KEY", KEY)
    with run.open_store() as store:  # as if the rules had been mended
        store.execute("UPDATE quarantine SET expectation = 'mended'")
    third = run_of(tmp_path, "run-3")
    notes = replay(third).notes
    assert (notes["held"], notes["sealed"]) == (2, "")


def test_a_sealed_row_goes_home_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Against the same row that was held in the clear."""
    found = []
    for name, key in (("clear", ""), ("sealed", KEY)):
        monkeypatch.setenv("FLYWHEEL_RAW_KEY", key)
        (tmp_path / name).mkdir()
        log = write_lines(tmp_path / "a.jsonl", call(1, output_tokens=-5, tags={"é": "ü\0\n"}))
        run = run_of(tmp_path / name, "run-1", log)
        ingest(run)
        validate(run)
        with run.open_store() as store:
            quarantine.look_again(store, quarantine.CALLS, ())
            found.append(store.rows("SELECT * EXCLUDE (quarantine_id) FROM held"))
    strip = [[value for value in row if not isinstance(value, datetime)] for (row,) in found]
    assert strip[0] == strip[1]


def test_the_same_sealed_call_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FLYWHEEL_RAW_KEY", KEY)
    bad = call(1, output_tokens=-5)
    first = run_of(tmp_path, "run-1", write_lines(tmp_path / "a.jsonl", bad))
    ingest(first)
    validate(first)
    second = run_of(tmp_path, "run-2", write_lines(tmp_path / "b.jsonl", bad, call(2)))
    assert ingest(second).duplicates == 1


@pytest.mark.parametrize("key", ["short", "x" * 44, "é" * 44, "="])
def test_what_is_no_key_is_refused_without_being_shown(tmp_path: Path, key: str):
    with pytest.raises(UsageError, match="FLYWHEEL_RAW_KEY") as caught:
        find_raw_key(None, tmp_path, {"FLYWHEEL_RAW_KEY": key})
    assert f"characters in {key}" not in caught.value.line()
    assert key == "=" or key not in caught.value.line()


def test_a_key_file_lies_outside_the_state_folder(tmp_path: Path):
    (tmp_path / "home").mkdir()
    for folder, is_fine in ((tmp_path / "home", False), (tmp_path, True)):
        (folder / "raw.key").write_text(f"{KEY}\n")
        if is_fine:
            assert find_raw_key(folder / "raw.key", tmp_path / "home", {}) is not None
        else:
            with pytest.raises(UsageError, match="outside the state folder"):
                find_raw_key(folder / "raw.key", tmp_path / "home", {})
    (tmp_path / "raw.key").write_bytes(b"\xff")
    with pytest.raises(UsageError, match="cannot be read"):
        find_raw_key(tmp_path / "raw.key", tmp_path / "home", {})
    assert find_raw_key(None, tmp_path, {}) is None
