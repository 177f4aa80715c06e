"""`flywheel status` over a store with some runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from flows.commands.status import show_status
from tasks.errors import UsageError
from tasks.model.alias import Alias
from tasks.record.pages import index_of, pages_of, runs_with_page, write_pages
from tasks.store.control.aliases import point
from tests.conftest import REPOSITORY
from tests.tasks.record.turns import HOSTILE, NOW, RUN_ID, fill, make_run


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("status")
    run = make_run(folder / ".flywheel")
    fill(run)
    fill(make_run(folder / ".flywheel", run_id=f"{RUN_ID}-b", seed=1))
    write_pages(pages_of(run.settings, RUN_ID), {"report.html": b"page"})
    (folder / "flywheel.toml").write_text("")
    return folder


def test_what_stands_where(home: Path, capsys):
    assert show_status(10, config=str(home / "flywheel.toml"), as_json=False) == 0
    told = capsys.readouterr().out
    assert "candidate against prod, WORSE: the challenger must not ship" in told
    assert "40 samples" in told
    assert "decided 2 runs" in told
    assert "tickets" in told
    assert "−25.5 [−42.0 to −9.0]" in told
    assert "all reports" not in told  # no run was recorded
    assert "\x1b" not in told
    assert HOSTILE.splitlines()[0] in told


def test_as_one_object_with_the_pages_that_are_there(home: Path, capsys):
    assert show_status(10, config=str(home / "flywheel.toml"), as_json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["num_runs"], told["last_verdict"]) == (2, f"{RUN_ID}-b")
    pages = [run["page"] and Path(run["page"]).read_text() for run in told["runs"]]
    assert pages == ["page", None]
    assert told["runs"][0]["suites"][0]["suite"] == "tickets"


def test_who_is_champion_since_when_and_on_which_run(home: Path, capsys):
    run = make_run(home / ".flywheel")
    with run.open_store() as store:
        point(store, [Alias("champion", "prod", "ab" * 32, RUN_ID, NOW)])
    (home / "flywheel.toml").write_text('[releases.prod]\nmodel = "m.gguf"\n')
    show_status(10, config=str(home / "flywheel.toml"), as_json=False)
    assert "champion      prod (abababababab), since" in capsys.readouterr().out
    show_status(10, config=str(home / "flywheel.toml"), as_json=True)
    told = json.loads(capsys.readouterr().out)["aliases"]["champion"]
    assert (told["release"], told["run_id"]) == ("prod", RUN_ID)


def test_only_so_many_runs(home: Path, capsys):
    show_status(1, config=str(home / "flywheel.toml"), as_json=True)
    assert [run["run_id"] for run in json.loads(capsys.readouterr().out)["runs"]] == [f"{RUN_ID}-b"]


def test_nothing_has_run(tmp_path: Path):
    (tmp_path / "flywheel.toml").write_text("")
    with pytest.raises(UsageError, match="nothing has run yet"):
        show_status(10, config=str(tmp_path / "flywheel.toml"), as_json=False)


def test_the_index_lies_beside_the_folders_of_the_runs(home: Path):
    settings = make_run(home / ".flywheel").settings
    assert index_of(settings).parent == pages_of(settings, RUN_ID).parent
    assert runs_with_page(settings) == {RUN_ID}


def test_it_starts_without_what_a_turn_needs():
    """Which takes a second, and it is asked for every morning."""
    told = (
        "import sys, flows.commands.status\n"
        "heavy = {'torch', 'mlflow', 'matplotlib', 'prefect', 'scipy', 'pandas', 'flows.turn'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", told], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    assert done.stdout == "[]\n"
