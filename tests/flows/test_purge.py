"""`flywheel purge`, and what every ingest does of it."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from cryptography.fernet import Fernet

from tests.flows.application import Application, call_record


@pytest.fixture
def application(tmp_path: Path) -> Application:
    (tmp_path / "logs").mkdir()
    (tmp_path / "flywheel.toml").write_text('logs = ["logs/*.jsonl"]\n')
    return Application(tmp_path)


def take_in_a_letter(application: Application, **environment: str) -> None:
    log = application.log("calls.jsonl", [call_record(1)])
    log.write_text(log.read_text() + '{"broken": "planted-3f9ac"\n')
    answer = application.here("ingest", **environment)
    assert answer.code == 0, answer.err


def is_planted(application: Application) -> bool:
    files = [path for path in application.home.rglob("*") if path.is_file()]
    return any(b"planted-3f9ac" in path.read_bytes() for path in files)


def age(application: Application, days: float) -> None:
    with duckdb.connect(str(application.home / "flywheel.duckdb")) as store:
        store.execute("UPDATE dead_letters SET created_at = created_at - ?", [timedelta(days)])


def test_purge_says_what_it_took_and_takes_it(application: Application):
    take_in_a_letter(application)
    assert application.here("purge").code == 0
    assert is_planted(application)
    tried = application.here("purge", "--all", "--dry-run")
    assert "1 would lose their raw bytes" in tried.out
    assert is_planted(application)
    done = application.here("purge", "--all", "--json")
    assert done.json["dead_letters"] == 1
    assert done.json["bytes_after"] <= done.json["bytes_before"]
    assert not is_planted(application)


def test_purge_has_to_know_how_old(application: Application):
    answer = application.here("purge", FLYWHEEL_RETENTION__RAW_DAYS="0")
    assert answer.code == 2
    assert "--older-than DAYS, or --all" in answer.err
    assert application.here("purge", "--all", "--older-than", "1").code == 2


def test_every_ingest_keeps_the_retention(application: Application):
    take_in_a_letter(application)
    age(application, 31)
    assert application.here("ingest", FLYWHEEL_RETENTION__RAW_DAYS="0").code == 0
    assert application.here("ingest", FLYWHEEL_RETENTION__RAW_DAYS="32").code == 0
    assert is_planted(application)
    assert application.here("ingest").code == 0
    assert not is_planted(application)


def test_what_was_piped_in_long_ago_is_read_by_the_next_and_by_it_alone(application: Application):
    take_in_a_letter(application)
    spool = application.home / "spool"
    spool.mkdir(mode=0o700)
    for name, is_read in (("stdin-a", True), ("stdin-b", False)):
        (spool / name).write_text(json.dumps(call_record(7 if is_read else 8)) + "\n")
        os.utime(spool / name, (1, 1))
        logs = ("--logs", "-") if is_read else ()
        answer = application.call("ingest", "--json", *logs)
        assert answer.json["rows_out"] == int(is_read), answer.err
        assert not (spool / name).exists()


def test_a_lost_key_stops_nothing_else_and_is_told(application: Application):
    take_in_a_letter(application, FLYWHEEL_RAW_KEY=Fernet.generate_key().decode())
    application.log("more.jsonl", [call_record(9)])
    answer = application.here("ingest", "--json")
    assert answer.json["rows_out"] == 1
    (line,) = [line for line in answer.err.splitlines() if "sealed" in line]
    assert "1 held rows" in line
    assert "not encrypted" in line
    assert application.here("purge", "--all").code == 0
    assert "sealed" not in application.here("ingest").err


def test_what_is_no_key_is_told_before_anything_is_done(application: Application):
    answer = application.here("ingest", FLYWHEEL_RAW_KEY="secret-but-no-key")
    assert answer.code == 2
    assert "FLYWHEEL_RAW_KEY" in answer.err
    assert "secret" not in answer.err
    assert not application.home.exists()


def test_purge_waits_for_no_run_that_holds_the_folder(application: Application):
    from flows.turn import hold_home

    with hold_home(application.home):
        answer = application.call("purge", "--all")
    assert answer.code == 4
    assert "another flywheel run" in answer.err
