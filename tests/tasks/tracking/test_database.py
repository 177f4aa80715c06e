from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from tasks.errors import StoreBusyError, StoreError
from tasks.settings import parse_settings
from tasks.tracking import database
from tasks.tracking.database import prepare_database, write_anew
from tasks.tracking.session import open_session
from tests.mlflow_home import home_with_mlflow

_PREPARE = """
import sys
from pathlib import Path
from tasks.tracking.environment import prepare_environment
prepare_environment()
from tasks.tracking.database import prepare_database
prepare_database(Path(sys.argv[1]), Path(sys.argv[1] + ".kept"))
"""


def test_two_processes_make_one_database_over_what_a_killed_one_left(tmp_path: Path) -> None:
    path = tmp_path / "state" / "mlflow.db"
    path.parent.mkdir()
    (path.parent / "mlflow.db.new").write_bytes(b"half a database")
    both = [
        subprocess.Popen([sys.executable, "-c", _PREPARE, str(path)], stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    for process in both:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("SELECT count(*) FROM experiments").fetchone() is not None
    assert not list(path.parent.glob("*.new*"))


def _older(folder: Path) -> Path:
    """A database as the MLflow of one schema before wrote it, with a run in it."""
    from alembic import command
    from mlflow.store.db.utils import _get_alembic_config

    made = home_with_mlflow(folder / "made")
    with open_session(parse_settings({"home": str(made)}, base=str(folder))) as session:
        session.client.create_run(session.experiment_id, run_name="before")
    path = folder / "mlflow.db"  # the other stays open in this process as long as MLflow likes
    database._copy(made / "mlflow.db", path)
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config = _get_alembic_config(f"sqlite:///{path}")
        config.attributes["connection"] = connection
        command.downgrade(config, "-1")
    engine.dispose()
    return path


def _schema(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])


def test_a_database_of_an_older_mlflow_is_copied_upgraded_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _older(tmp_path)
    newest, older = database._known_revisions()[:2]
    assert _schema(path) == older
    settings = parse_settings({"home": str(tmp_path)}, base=str(tmp_path))
    with open_session(settings) as session:
        (run,) = session.client.search_runs([session.experiment_id])
        assert run.info.run_name == "before"
    (copy,) = (tmp_path / "kept").iterdir()
    assert (_schema(path), _schema(copy)) == (newest, older)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert str(copy) in capsys.readouterr().err
    with open_session(settings):
        pass
    assert (len([*(tmp_path / "kept").iterdir()]), capsys.readouterr().err) == (1, "")


def test_an_upgrade_that_dies_midway_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _older(tmp_path)
    before = _schema(path)

    def dies(engine: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("mlflow.store.db.utils._upgrade_db", dies)
        with pytest.raises(KeyboardInterrupt):
            prepare_database(path, tmp_path / "kept")
    assert _schema(path) == before
    prepare_database(path, tmp_path / "kept")
    assert _schema(path) != before


def test_a_database_that_somebody_has_open_is_not_upgraded_under_them(tmp_path: Path) -> None:
    path = _older(tmp_path)
    before = _schema(path)
    with closing(sqlite3.connect(path)) as server:
        server.execute("PRAGMA journal_mode=WAL")
        server.execute("SELECT count(*) FROM runs").fetchone()
        with pytest.raises(StoreBusyError, match="is in use") as caught:
            prepare_database(path, tmp_path / "kept")
        assert "flywheel ui" in caught.value.line()
    assert _schema(path) == before
    assert not (tmp_path / "kept").exists()


def test_a_database_of_a_newer_mlflow_is_refused_by_name_and_left_alone(tmp_path: Path) -> None:
    path = home_with_mlflow(tmp_path) / "mlflow.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'fffffffffff0'")
        connection.commit()
    with pytest.raises(StoreError, match="written by a newer MLflow") as caught:
        prepare_database(path, tmp_path / "kept")
    assert "fffffffffff0" in caught.value.line()
    assert "install the MLflow that wrote it" in caught.value.line()
    assert _schema(path) == "fffffffffff0"
    assert not (tmp_path / "kept").exists()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.write_bytes(b"not a database, but long enough to look at" * 20)
    with pytest.raises(StoreError, match="runs may be missing"):
        prepare_database(path, tmp_path / "kept")


def test_a_flipped_page_names_the_file_and_how_to_restore(tmp_path: Path) -> None:
    path = home_with_mlflow(tmp_path) / "mlflow.db"
    settings = parse_settings({"home": str(path.parent)}, base=str(tmp_path))
    with open_session(settings):
        pass
    data = bytearray(path.read_bytes())
    page = 4096
    for start in range(page, len(data) - page, page):  # the first one has the schema
        data[start : start + 16] = b"\xff" * 16
    path.write_bytes(data)
    with pytest.raises(StoreError, match="runs may be missing") as caught, open_session(settings):
        pass
    assert str(path) in caught.value.line()
    assert "flywheel restore" in caught.value.line()


def test_what_a_killed_run_was_about_to_send_is_cleared(tmp_path: Path) -> None:
    home = home_with_mlflow(tmp_path)
    left = home / "recording" / "tmpf0lumgnk" / "samples.json"
    left.parent.mkdir(parents=True)
    left.write_text("an answer")
    before = tempfile.gettempdir()
    with open_session(parse_settings({"home": str(home)}, base=str(tmp_path))) as session:
        assert not left.parent.exists()
        written = []
        real = session.client.log_artifact

        def watched(run_id: str, path: str, *others: object) -> None:
            written.append(path)
            real(run_id, path, *others)

        session.client.log_artifact = watched
        run = session.client.create_run(session.experiment_id)
        session.client.log_text(run.info.run_id, "another answer", "answer.txt")
        assert written
        assert all(Path(path).is_relative_to(home) for path in written)
    assert not (home / "recording").exists()
    assert tempfile.gettempdir() == before


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="cannot be made"):
        prepare_database(tmp_path / "file" / "mlflow.db", tmp_path / "kept")


def _with_a_deleted_row(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute("CREATE TABLE said (text)")
        connection.executemany("INSERT INTO said VALUES (?)", [["annxylograph"], ["bobxylograph"]])
        connection.commit()
        connection.execute("DELETE FROM said WHERE text LIKE 'ann%'")
        connection.commit()


def _is_in(path: Path, text: bytes) -> bool:
    return any(text in file.read_bytes() for file in path.parent.glob(f"{path.name}*"))


def test_written_anew_a_database_and_its_log_have_no_byte_of_what_was_deleted(tmp_path: Path):
    path = tmp_path / "mlflow.db"
    _with_a_deleted_row(path)
    assert _is_in(path, b"annxylograph"), "SQLite leaves it in its pages"
    with closing(sqlite3.connect(path)) as open_elsewhere:
        assert open_elsewhere.execute("SELECT count(*) FROM said").fetchall() == [(1,)]
        write_anew(path)
        assert not _is_in(path, b"annxylograph")
        assert open_elsewhere.execute("SELECT text FROM said").fetchall() == [("bobxylograph",)]


def test_while_somebody_reads_it_it_is_told_that_the_bytes_may_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "mlflow.db"
    _with_a_deleted_row(path)
    monkeypatch.setattr(database, "_WRITE_TIMEOUT_S", 0.05)
    for statement in ("SELECT * FROM said", "INSERT INTO said VALUES ('x')"):
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute(statement).fetchall()
            with pytest.raises(StoreBusyError, match="may hold what was deleted") as caught:
                write_anew(path)
        assert "stop the process" in caught.value.line()
