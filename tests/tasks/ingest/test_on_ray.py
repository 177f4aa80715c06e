"""Logs that workers of Ray read and mask are in the store as one process has them, whoever is
killed meanwhile."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import FlywheelError
from tasks.ingest.task import ingest
from tasks.on_ray import driver
from tasks.redact.task import redact
from tasks.validate.task import validate
from tests.ray_processes import (
    a_cluster,
    done_in_spite_of,
    ended,
    family_of,
    nobody_is_left,
)
from tests.services import s3
from tests.tasks.ingest.everything import (
    COLUMNS,
    begin_home,
    compared,
    differences,
    write_everything,
)
from tests.tasks.logs.builders import call, line, make_run, query, write_lines

pytestmark = [
    pytest.mark.scale,
    pytest.mark.needs("ray", "grpc", "s3fs", "moto"),
    pytest.mark.slow,
    pytest.mark.timeout(1800),
]

_OBJECTS = "s3://store/logs"


def _run(folder: Path, logs: tuple[str, ...], on: str, **ingest_: Any) -> Any:
    """Of one folder always the same."""
    run = make_run(
        folder,
        *logs,
        ingest={"on": on, "max_workers": 2, "columns": COLUMNS, "processes": 1, **ingest_},
        validate={"max_quarantined_ratio": 1.0, "max_garbled_ratio": 1.0,
                  "max_lost_feedback_ratio": 1.0, "data_docs": False},
        redact={"fields": {"tags": "mask"}},
    )  # fmt: skip
    if not run.settings.home_path.exists():
        begin_home(run)
    return run


def _turned(run: Any) -> list[dict[str, Any]]:
    return [compared(stage(run)) for stage in (ingest, validate, redact)]


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ...]]:
    """A folder, and a bucket."""
    import fsspec

    folder = tmp_path_factory.mktemp("logs")
    with s3(folder):
        fs = fsspec.filesystem("s3")
        for name in ("a", "b"):
            lines = [line(call(n, request_id=f"{name}{n}")) for n in range(3_000)]
            fs.pipe_file(f"store/logs/{name}.jsonl", b"\n".join([*lines, b"{cut"]))
        yield str(write_everything(folder / "logs")), _OBJECTS


@pytest.fixture(scope="module")
def alone(logs: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, Any]:
    """One process: its run after ingest and after all, and the receipts."""
    only_read = _run(tmp_path_factory.mktemp("read"), logs, "here")
    read = compared(ingest(only_read))
    run = _run(tmp_path_factory.mktemp("alone"), logs, "here")
    receipts = _turned(run)
    assert receipts[0] == read
    return only_read, run, receipts


@pytest.fixture(scope="module", autouse=True)
def _nobody_is_left() -> Iterator[None]:
    yield from nobody_is_left()


def test_the_store_after_reading_and_masking_is_that_of_one_process(
    tmp_path: Path, logs: tuple[str, ...], alone: Any
) -> None:
    run = _run(tmp_path, logs, "ray")
    told: list[str] = []
    watched = replace(run, progress=lambda *_: told.append(_[3] if len(_) > 3 else ""))
    first = ingest(watched)
    assert first.notes["workers"] == {"num": 2, "files": first.notes["files"]}
    checked, masked = validate(watched), redact(watched)
    assert masked.notes["workers"] == {"num": 2}
    assert [compared(each) for each in (first, checked, masked)] == alone[2]
    assert differences(alone[1], run) == {}
    assert any(note.endswith(" · 2 workers") for note in told)
    assert "2 workers" in told
    assert query(run, "SELECT count(*) FROM requests")[0][0] > 10_000
    assert first.dead_letters > 30
    assert first.duplicates > 150
    assert sum(masked.notes["redactions"].values()) > 20_000
    again = _run(tmp_path, logs, "ray")
    assert ingest(replace(again, run_id="run-2")).notes["new_files"] == 0


class _Killing(threading.Thread):
    """Kills a worker that is at work, some times, each time another process."""

    def __init__(self, times: int) -> None:
        super().__init__(daemon=True)
        self._times = times
        self._has_ended = threading.Event()
        self.killed: set[int] = set()

    def run(self) -> None:
        while len(self.killed) < self._times and not self._has_ended.wait(0.02):
            known = driver.drivers.get("ray")
            for one in () if known is None else family_of(known.process.pid):
                is_at_work = "ray::WorkActor.begin" in one.line or "ray::WorkActor.next" in one.line
                if is_at_work and one.pid not in self.killed:
                    with suppress(OSError):
                        one.kill()
                        self.killed.add(one.pid)
                        break

    def end(self) -> None:
        self._has_ended.set()
        self.join()


@pytest.mark.parametrize("times", [2, 5])
def test_workers_that_are_killed_in_the_middle_change_no_row(
    tmp_path: Path, logs: tuple[str, ...], alone: Any, times: int
) -> None:
    run = _run(tmp_path, logs, "ray")
    killing = _Killing(times)
    killing.start()
    try:
        receipts = _turned(run)
    finally:
        killing.end()
    assert len(killing.killed) >= 2
    assert receipts == alone[2]
    assert differences(alone[1], run) == {}


@pytest.mark.parametrize("part", ["gcs_server", "on_ray.host"])
def test_when_the_head_is_killed_the_same_command_goes_on(
    tmp_path: Path, logs: tuple[str, ...], alone: Any, part: str
) -> None:
    run = _run(tmp_path, logs, "ray")
    receipt, told = done_in_spite_of(part, lambda progress: ingest(replace(run, progress=progress)))
    assert all('ingest.on = "here"' in each for each in told)
    assert compared(receipt) == alone[2][0]
    assert differences(alone[0], run) == {}


_PROGRAM = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from tasks.ingest.task import ingest
from tests.tasks.ingest.test_on_ray import _run
folder, logs = Path(sys.argv[1]), tuple(sys.argv[2:4])

def progress(stage, done, total, note=""):
    if done == 3:
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    ingest(replace(_run(folder, logs, "ray"), progress=progress))
"""


def test_a_command_that_was_killed_goes_on_when_it_is_given_again(
    tmp_path: Path, logs: tuple[str, ...], alone: Any
) -> None:
    command = [sys.executable, "-c", _PROGRAM, str(tmp_path), *logs]
    code, told = ended(command)
    assert code == -signal.SIGKILL, told
    run = _run(tmp_path, logs, "ray")
    assert 0 < query(run, "SELECT count(*) FROM sources")[0][0] <= 3
    assert compared(ingest(run)) == alone[2][0]
    assert differences(alone[0], run) == {}


def test_what_a_file_does_to_the_process_that_parses_it_is_its_dead_letter(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "b.json").write_bytes(b"[\n" + b"[],\n" * 20_000_000 + b"[]\n]")
    for name, number in (("a", 1), ("c", 2)):
        write_lines(folder / f"{name}.jsonl", call(number))
    found = []
    for on in ("here", "ray"):
        run = _run(tmp_path / on, (str(folder),), on, max_parser_bytes=2**30)
        receipt = ingest(run)
        assert receipt.rows_out == 2
        ((error,),) = query(run, "SELECT error FROM dead_letters")
        assert "it takes more than 1073741824 bytes" in error
        found.append((run, receipt))
    assert found[1][1].notes["workers"]["files"] == 3
    assert differences(found[0][0], found[1][0]) == {}
    assert compared(found[0][1]) == compared(found[1][1])


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    yield from a_cluster(monkeypatch)


def test_workers_of_a_cluster_read_the_same(
    tmp_path: Path, logs: tuple[str, ...], alone: Any, cluster: str
) -> None:
    run = _run(tmp_path, logs, cluster)
    assert _turned(run) == alone[2]
    assert differences(alone[1], run) == {}


def test_another_program_on_the_nodes_is_refused(
    tmp_path: Path, logs: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks.on_ray import work

    made: Callable[..., dict[str, str]] = work.build
    monkeypatch.setattr(work, "build", lambda names: {**made(names), "pyarrow": "1.0"})
    with pytest.raises(FlywheelError, match=r"pyarrow is .* there and 1\.0 here") as refused:
        ingest(_run(tmp_path, logs, "ray"))
    assert refused.value.exit_code == 2
    assert "on all nodes" in refused.value.allowed
