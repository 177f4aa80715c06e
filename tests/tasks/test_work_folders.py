"""A folder of one process stays while that lives, whoever looks, and goes when it is gone."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tasks.work_folders import work_folder
from tests.conftest import REPOSITORY

_HOLDS = """
import sys, time
from pathlib import Path
from tasks.work_folders import work_folder
with work_folder(Path(sys.argv[1]), "work-") as folder:
    (folder / "half").write_text("x")
    print(folder.name, flush=True)
    time.sleep(600)
"""


def _names(parent: Path) -> set[str]:
    return {path.name for path in parent.iterdir()}


def _another(parent: Path) -> str:
    """The name of a folder that is made and gone again; whatever is left goes first."""
    with work_folder(parent, "work-") as folder:
        return folder.name


def test_it_is_its_owners_alone_and_gone_after_it(tmp_path: Path) -> None:
    with work_folder(tmp_path, "work-") as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "deep").mkdir()
        (folder / "deep" / "file").touch()
    assert _names(tmp_path) == set()


def test_another_process_leaves_it_until_its_owner_is_killed(tmp_path: Path) -> None:
    (tmp_path / "work-of-yours").write_text("a file")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "work-link").symlink_to(tmp_path / "elsewhere")
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDS, str(tmp_path)],
        cwd=REPOSITORY, stdout=subprocess.PIPE, text=True,
    ) as owner:  # fmt: skip
        assert owner.stdout is not None
        name = owner.stdout.readline().strip()
        others = {"work-of-yours", "work-link", "elsewhere"}
        assert _another(tmp_path) != name
        assert _names(tmp_path) == {name, *others}
        os.kill(owner.pid, signal.SIGKILL)
    _another(tmp_path)
    assert _names(tmp_path) == others
    assert _names(tmp_path / "elsewhere") == set()


def test_two_of_one_number_do_not_take_it_from_each_other(tmp_path: Path) -> None:
    """As in two containers that share the place, where both may be process 1."""
    with work_folder(tmp_path, "work-") as one, work_folder(tmp_path, "work-") as other:
        assert one != other
        assert _names(tmp_path) == {one.name, other.name}


def test_many_at_once_each_keep_theirs(tmp_path: Path) -> None:
    lost: list[str] = []

    def work() -> None:
        for number in range(50):
            with work_folder(tmp_path, "work-") as folder:
                file = folder / "file"
                file.write_text(str(number))
                if file.read_text() != str(number):
                    lost.append(folder.name)

    def caught() -> None:
        try:
            work()
        except OSError as error:
            lost.append(str(error))

    threads = [threading.Thread(target=caught) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lost == []
    assert _names(tmp_path) == set()


def test_where_no_lock_tells_what_was_touched_within_a_day_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with work_folder(tmp_path, "work-") as folder:
        (folder / "file").touch()
        _another(tmp_path)
        assert _names(tmp_path) == {folder.name}
        for path in (*folder.iterdir(), folder):
            os.utime(path, (0, 0))
        _another(tmp_path)
        assert _names(tmp_path) == set()


def test_what_an_earlier_build_made_stays_for_a_day(tmp_path: Path) -> None:
    """It holds no lock while it is at work."""
    theirs = tmp_path / "work-999999999"
    theirs.mkdir()
    _another(tmp_path)
    assert _names(tmp_path) == {theirs.name}
    os.utime(theirs, (0, 0))
    _another(tmp_path)
    assert _names(tmp_path) == set()
