"""`flywheel backup` and `flywheel restore`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.flows.application import Application, call_record


@pytest.fixture
def application(tmp_path: Path) -> Application:
    (tmp_path / "logs").mkdir()
    (tmp_path / "flywheel.toml").write_text('logs = ["logs/*.jsonl"]\n')
    application = Application(tmp_path)
    application.log("calls.jsonl", [call_record(1)])
    assert application.here("ingest").code == 0
    return application


def num_calls(application: Application) -> object:
    return application.here("sql", "SELECT count(*) FROM landing", "--json").json["rows"][0][0]


def test_there_and_back(application: Application):
    told = application.here("backup")
    assert told.code == 0, told.err
    (path,) = (application.folder / "flywheel-backups").iterdir()
    assert path.stat().st_mode & 0o077 == 0
    assert f"flywheel restore {path}" in told.out.replace("\n", "")
    assert "Prefect" in told.out
    application.log("more.jsonl", [call_record(2)])
    assert application.here("ingest").code == 0
    assert num_calls(application) == 2
    asked = application.here("restore", str(path))
    assert asked.code == 2
    assert "--force" in asked.err
    done = application.here("restore", str(path), "--force", "--json")
    assert done.code == 0, done.err
    assert "flywheel.duckdb" in done.json["restored"]
    assert Path(done.json["kept"]).is_dir()
    assert num_calls(application) == 1
    assert application.here("ingest", "--json").json["rows_out"] == 1


def test_a_damaged_store_is_one_line_whatever_reads_it(application: Application):
    store = application.home / "flywheel.duckdb"
    data = bytearray(store.read_bytes())
    for place in range(9, len(data), 4096):
        data[place] ^= 1
    store.write_bytes(data)
    for command in (["ingest"], ["report"], ["sql", "SELECT 1"], ["backup"], ["purge", "--all"]):
        answer = application.here(*command)
        assert answer.code == 4, command
        line = answer.err.splitlines()[-1]
        assert str(store) in line, command
        assert "rows may be missing" in line
        assert "flywheel restore" in line
        assert "Traceback" not in answer.err


def test_there_is_no_such_backup(application: Application):
    for name in ("no-such.tar", "logs"):
        answer = application.here("restore", name)
        assert answer.code == 2
        assert "no such backup" in answer.err
