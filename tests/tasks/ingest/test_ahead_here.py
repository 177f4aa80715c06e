"""Files that processes of this machine read ahead come into the store as one process reads them."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from tasks.ingest import task
from tasks.ingest.task import ingest
from tasks.logs.reading import ahead as reading
from tasks.processes import OtherProcess
from tests.tasks.ingest.everything import (
    COLUMNS,
    begin_home,
    compared,
    differences,
    write_everything,
)
from tests.tasks.logs.builders import make_run


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_everything(tmp_path_factory.mktemp("everything") / "logs", 400)


@pytest.fixture(scope="module")
def alone(logs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    run = make_run(
        tmp_path_factory.mktemp("alone"), logs, ingest={"columns": COLUMNS, "processes": 1}
    )
    begin_home(run)
    return run, compared(ingest(run))


@pytest.mark.parametrize("num_killed", [0, 2])
def test_a_folder_of_everything(
    num_killed: int, tmp_path: Path, logs: Path, alone: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task, "_MIN_BYTES_ELSEWHERE", 1)
    monkeypatch.setattr(reading, "_PARCEL_FILES", 3)
    ahead: list[OtherProcess] = []
    hear = OtherProcess.hear
    heard = 0

    def counted(self: OtherProcess) -> Any:
        """The first workers end behind their third portion."""
        nonlocal heard
        said = hear(self)
        if "tasks.workers.process" in self._process.args:
            heard += 1
            ahead.append(self)
            if heard in (3, 6)[:num_killed]:
                self._process.send_signal(signal.SIGKILL)
        return said

    monkeypatch.setattr(OtherProcess, "hear", counted)
    run = make_run(tmp_path, logs, ingest={"columns": COLUMNS, "processes": 2})
    begin_home(run)
    receipt = ingest(run)
    assert compared(receipt) == alone[1]
    assert differences(alone[0], run) == {}
    assert "workers" not in receipt.notes
    assert len(set(map(id, ahead))) >= 2 + (num_killed > 0)
