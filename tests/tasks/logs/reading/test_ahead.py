"""Files that workers elsewhere read come into the store as if they had been read here.

The workers of these tests are this process; those of Ray: tests/tasks/ingest/test_on_ray.py.
"""

from __future__ import annotations

import pickle
import random
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from tasks.errors import FlywheelError
from tasks.ingest import task
from tasks.ingest.task import ingest
from tasks.logs.files import spool
from tasks.logs.files.sources import find_files
from tasks.logs.reading import ahead, elsewhere, reader
from tasks.logs.reading.ahead import Giving
from tasks.logs.reading.made_by import MadeBy
from tasks.logs.reading.reader import LogReader
from tasks.model.window import OPEN
from tasks.settings import IngestSettings
from tasks.workers.work import Told
from tests.tasks.ingest.everything import (
    COLUMNS,
    begin_home,
    compared,
    differences,
    write_everything,
)
from tests.tasks.logs.builders import call, clock, line, make_run, query, write_lines

ON_RAY = {"on": "ray", "columns": COLUMNS, "processes": 1}
HERE = {"columns": COLUMNS, "processes": 1}


class Workers:
    """Work in this process. `gives_up`: items, by their number, and after how many answers."""

    gives_up: dict[int, int]
    gone_at: int | None
    told: list[Any]
    num_pieces = 0

    def __init__(self, place: Any, job: Any) -> None:
        assert place.on == "ray"
        self._job = pickle.loads(pickle.dumps(job))
        self._job.begin()
        self.num_workers = 2

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self._job._reader.__exit__()  # a worker's processes end with it

    def through(self, items: Iterable[Any]) -> Iterator[Told[Any]]:
        draw = random.Random(1)
        for number, item in enumerate(items):
            if number == self.gone_at:
                raise FlywheelError("Ray has ended")
            at_most = self.gives_up.get(number)
            type(self).num_pieces += isinstance(item, elsewhere.Piece)
            some: list[Any] = []
            for place, answer in enumerate(self._job.answers(pickle.loads(pickle.dumps(item)))):
                if place == at_most:
                    break
                self.told.append(answer)
                some.append(pickle.loads(pickle.dumps(answer)))
                if draw.random() < 0.5:
                    yield Told(item, some, False, False)
                    some = []
            yield Told(item, some, True, at_most is not None)


@pytest.fixture(autouse=True)
def workers(monkeypatch: pytest.MonkeyPatch) -> type[Workers]:
    made: Any = type("Made", (Workers,), {"gives_up": {}, "gone_at": None, "told": []})
    monkeypatch.setattr(task, "work_at", lambda place, _, job: made(place, job))
    monkeypatch.setattr(task, "_MIN_BYTES_ELSEWHERE", 1)
    return made


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_everything(tmp_path_factory.mktemp("everything") / "logs", 400)


@pytest.fixture(scope="module")
def here(logs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    run = make_run(tmp_path_factory.mktemp("here"), logs, ingest=HERE)
    begin_home(run)
    return run, compared(ingest(run))


def not_read(workers: Any) -> list[str]:
    return [each.reason for each in workers.told if isinstance(each, elsewhere.NotRead)]


def test_a_folder_of_everything(
    tmp_path: Path, logs: Path, here: Any, workers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "_PARCEL_FILES", 7)
    notes: list[str] = []
    run = make_run(tmp_path, logs, ingest=ON_RAY)
    begin_home(run)
    watched = replace(run, progress=lambda _, __, ___, note="": notes.append(note))
    receipt = ingest(watched)
    num_files = len(find_files([str(logs)]).files)
    assert receipt.notes["workers"] == {"num": 2, "files": num_files}
    assert not_read(workers) == []
    assert "calls-0.jsonl · 2 workers" in notes
    assert compared(receipt) == here[1]
    assert differences(here[0], run) == {}
    # nothing of this says nothing
    for table, least in (("landing", 1500), ("feedback", 600), ("dead_letters", 30)):
        assert query(run, f"SELECT count(*) FROM {table}")[0][0] > least
    assert receipt.duplicates > 150
    assert receipt.notes["forgotten"] >= 4
    assert query(run, "SELECT count(*) FROM landing WHERE len(sources) > 1")[0][0] > 100
    assert query(run, "SELECT count(*) FROM landing WHERE messages->0->>'content' LIKE "
                 "'question b%'") == [(30,)]  # fmt: skip


@pytest.mark.parametrize("after", [0, 1, 2, 5, 10])
def test_what_the_workers_give_up_is_read_here(
    tmp_path: Path, logs: Path, here: Any, workers: Any, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    monkeypatch.setattr(ahead, "_PARCEL_FILES", 7)
    workers.gives_up = dict.fromkeys(range(0, 40, 2), after)
    run = make_run(tmp_path, logs, ingest=ON_RAY)
    begin_home(run)
    receipt = ingest(run)
    assert compared(receipt) == here[1]
    assert differences(here[0], run) == {}
    num_files = len(find_files([str(logs)]).files)
    assert 0 < receipt.notes["workers"]["files"] < num_files


@pytest.mark.parametrize("after", [None, 0, 1])
def test_large_files_of_lines_go_in_pieces(
    tmp_path: Path, logs: Path, here: Any, workers: Any, monkeypatch: pytest.MonkeyPatch, after: Any
) -> None:
    monkeypatch.setattr(reader, "_MIN_BYTES_FOR_PROCESSES", 2**18)
    monkeypatch.setattr(reader, "_STRETCH_BYTES", 2**16)
    if after is not None:
        workers.gives_up = dict.fromkeys(range(3, 40, 7), after)
    run = make_run(tmp_path, logs, ingest=ON_RAY)
    begin_home(run)
    receipt = ingest(run)
    assert compared(receipt) == here[1]
    assert differences(here[0], run) == {}
    assert workers.num_pieces > 8


def test_what_the_workers_see_otherwise_is_read_here(
    tmp_path: Path, logs: Path, here: Any, workers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    same, unseen = elsewhere._is_same, ("in.jsonl", "000.json", "calls-1.jsonl.gz")

    def is_same(file: Any) -> bool:
        return file.path.name not in unseen and same(file)

    monkeypatch.setattr(elsewhere, "_is_same", is_same)
    run = make_run(tmp_path, logs, ingest=ON_RAY)
    begin_home(run)
    receipt = ingest(run)
    assert compared(receipt) == here[1]
    assert differences(here[0], run) == {}
    assert sorted(not_read(workers)) == [
        *["another file lies there, or none"] * 3,
        "other files lie beside it there",  # the batch whose questions are in another file
    ]


def test_when_ray_is_gone_what_was_taken_in_stays_and_the_next_run_goes_on(
    tmp_path: Path, logs: Path, here: Any, workers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "_PARCEL_FILES", 1)
    monkeypatch.setattr(ahead, "_PARCEL_BYTES", 1)
    workers.gone_at = 6
    run = make_run(tmp_path, logs, ingest=ON_RAY)
    begin_home(run)
    with pytest.raises(FlywheelError, match="Ray has ended"):
        ingest(run)
    ((read,),) = query(run, "SELECT count(*) FROM sources")
    assert read == 6
    workers.gone_at = None
    receipt = ingest(run)
    assert receipt.notes["workers"]["files"] == len(find_files([str(logs)]).files) - read
    assert compared(receipt) == here[1]
    assert differences(here[0], run) == {}


def test_a_file_that_grew_is_read_here_and_a_new_one_elsewhere(
    tmp_path: Path, workers: Any
) -> None:
    write_lines(tmp_path / "a.jsonl", call(1))
    run = make_run(tmp_path, tmp_path / "*.jsonl", ingest=ON_RAY)
    assert ingest(run).notes["workers"]["files"] == 1
    with (tmp_path / "a.jsonl").open("ab") as file:
        file.write(line(call(2)) + b"\n")
    write_lines(tmp_path / "b.jsonl", call(3))
    again = make_run(tmp_path, tmp_path / "*.jsonl", run_id="run-2", ingest=ON_RAY)
    receipt = ingest(again)
    assert (receipt.rows_out, receipt.notes["workers"]["files"]) == (2, 1)
    third = make_run(tmp_path, tmp_path / "*.jsonl", run_id="run-3", ingest=ON_RAY)
    assert "workers" not in ingest(third).notes


def test_objects_are_fetched_where_they_are_read(
    tmp_path: Path, workers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fs = MemoryFileSystem()
    fs.store.clear()
    for name in ("a", "b"):
        fs.pipe_file(f"/logs/{name}.jsonl", b"".join(line(call(n)) + b"\n" for n in range(5)))
    homes: list[Path] = []
    fetch = spool.on_this_machine

    def fetched(file: Any, home: Path) -> Any:
        homes.append(home)
        return fetch(file, home)

    monkeypatch.setattr(spool, "on_this_machine", fetched)
    run = make_run(tmp_path, "memory://logs", ingest=ON_RAY)
    receipt = ingest(run)
    assert (receipt.rows_out, receipt.duplicates) == (5, 5)
    assert len(homes) == 2
    assert run.settings.home_path not in homes
    assert not any(home.exists() for home in homes)
    fs.store.clear()


def test_where_little_is_new_no_worker_is_started(
    tmp_path: Path, workers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task, "_MIN_BYTES_ELSEWHERE", 8 * 2**20)
    write_lines(tmp_path / "a.jsonl", call(1))
    receipt = ingest(make_run(tmp_path, tmp_path / "a.jsonl", ingest=ON_RAY))
    assert receipt.rows_out == 1
    assert "workers" not in receipt.notes
    assert workers.told == []


def test_parcels_hold_every_file_once_in_order(tmp_path: Path) -> None:
    for number, size in enumerate([1, 5, 2**22, 2**22 + 9, 1, 0, 2**21, 2**21, 2**21]):
        (tmp_path / f"{number}").write_bytes(b"x" * size)
    files = find_files([str(tmp_path)]).files
    limits = IngestSettings()
    with LogReader(limits) as opener:
        job = elsewhere.ReadFiles(limits, MadeBy("r", OPEN, None), ())
        made = list(Giving(opener, job, clock).items(files))
    assert [file for parcel in made for file in parcel.files] == list(files)
    assert [len(parcel.files) for parcel in made] == [2, 1, 1, 3, 2]
