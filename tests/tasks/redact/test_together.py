"""Calls that several processes mask are masked as one masks them."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from tasks.ingest.task import ingest
from tasks.processes import OtherProcess
from tasks.redact import task
from tasks.redact.masks import Masks
from tasks.redact.task import redact
from tasks.redact.together import mask_all
from tasks.store.intake import landing
from tasks.workers.work import Told
from tests.tasks.logs.builders import call, make_run, query, write_lines
from tests.tasks.redact.test_task import personal

KEY = b"k" * 32
CALLS = [personal(n) if n % 3 else call(n) for n in range(40)]


@pytest.fixture(autouse=True)
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task, "_BATCH_ROWS", 6)
    monkeypatch.setattr(task, "_MAX_ROWS_HERE", 20)


def masked_by(folder: Path, count: int, key: bytes) -> Any:
    path = write_lines(folder / "a.jsonl", *CALLS)
    run = make_run(folder, path, ingest={"processes": count}, redact={"fields": {"tags": "drop"}})
    run.settings.home_path.mkdir()
    (run.settings.home_path / "pseudonym.key").write_bytes(key)
    ingest(run)
    notes = redact(run).notes["redactions"]
    rows = query(run, "SELECT * EXCLUDE (ingested_at, sources) FROM requests ORDER BY rowid")
    return notes, rows, query(run, "SELECT corrected, comment FROM feedback ORDER BY ALL")


@pytest.mark.parametrize("killed", [0, 1, 3])
def test_any_number_of_processes_masks_the_same(
    killed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, three = tmp_path / "1", tmp_path / "3"
    one.mkdir()
    three.mkdir()
    expected = masked_by(one, 1, b"k" * 32)
    started: list[OtherProcess] = []
    start = OtherProcess.__init__

    def counted(self: OtherProcess, module: str, *arguments: object, **environment: str) -> None:
        start(self, module, *arguments, **environment)
        started.append(self)
        if len(started) <= killed:
            self._process.send_signal(signal.SIGKILL)

    monkeypatch.setattr(OtherProcess, "__init__", counted)
    assert masked_by(three, 3, b"k" * 32) == expected
    assert 3 <= len(started) <= 3 + killed  # another comes in the place of one that died
    assert expected[0]["email"] > 26
    assert [process._process.returncode for process in started] == [-signal.SIGKILL] * len(started)
    assert b"k" * 32 not in b"".join(str(each._process.args).encode() for each in started)


class _Workers:
    """Tables in any way that workers answer: at once, in two parts, given up before and behind."""

    def __init__(self, masks: Masks) -> None:
        self._masks = masks

    def through(self, items: Any) -> Any:
        for number, table in enumerate(items):
            answers = list(self._masks.answers(table)) if number % 4 != 2 else []
            if number % 4:
                yield Told(table, answers, False, False)
                answers = []
            yield Told(table, answers, True, number % 4 >= 2)


def test_every_table_is_masked_once_whatever_workers_elsewhere_leave(tmp_path: Path) -> None:
    run = make_run(tmp_path, write_lines(tmp_path / "a.jsonl", *CALLS))
    ingest(run)
    masks = Masks(("email",), KEY, "", {})
    with run.open_store() as store:
        tables = list(landing.batches(store, 6))
    alone = [masks.mask(table) for table in tables]
    told = list(mask_all(iter(tables), masks, _Workers(masks)))  # type: ignore[arg-type]
    assert len(told) == 7
    assert [(each.table.to_pylist(), each.counts) for each in told] == [
        (each.table.to_pylist(), each.counts) for each in alone
    ]
    assert all(each.counts["email"] for each in told)
