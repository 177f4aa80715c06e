"""Processes of this machine do a job as this one does it, whatever becomes of them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tasks.workers import here
from tasks.workers.here import WorkHere


@dataclass
class Counting:
    """Of an item n: n answers of some length. `folder`: where it notes what it began."""

    folder: Path
    num_bytes: int = 10
    kills: tuple[int, ...] = ()
    kills_once: tuple[int, ...] = ()
    breaks: tuple[int, ...] = ()
    dies_at_start: bool = False
    waits_s: float = 0.0

    packages = ()

    def begin(self) -> None:
        (self.folder / f"pid-{os.getpid()}").touch()
        if self.dies_at_start:
            os._exit(3)

    def answers(self, item: int) -> Iterator[tuple[int, int, bytes]]:
        began = self.folder / f"item-{item}"
        is_again = began.exists()
        began.touch()
        for number in range(item):
            if number == item // 2:
                if item in self.kills or (item in self.kills_once and not is_again):
                    os.kill(os.getpid(), signal.SIGKILL)
                if item in self.breaks:
                    raise ValueError(item)
            time.sleep(self.waits_s)
            yield item, number, bytes(self.num_bytes)


def told(job: Counting, items: range, num_workers: int = 2) -> dict[int, tuple[list[int], bool]]:
    """Item → its answers, and whether it was given up; in the order of the items."""
    found: dict[int, tuple[list[int], bool]] = {}
    with WorkHere(num_workers, job) as work:
        for each in work.through(items):
            numbers, _ = found.get(each.item, ([], False))
            assert all(answer[0] == each.item for answer in each.answers)
            numbers += [number for _, number, _ in each.answers]
            found[each.item] = numbers, each.is_given_up
    assert list(found) == list(items)
    return found


def are_gone(folder: Path) -> bool:
    deadline = time.monotonic() + 10
    pids = [path.name.removeprefix("pid-") for path in folder.glob("pid-*")]
    assert pids
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


@pytest.mark.parametrize("num_bytes", [10, 300_000])
def test_every_answer_comes_once_and_in_order(
    tmp_path: Path, num_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a few answers fill all the room that there is for what waits."""
    monkeypatch.setattr(here, "_MAX_BYTES", 2**20)
    found = told(Counting(tmp_path, num_bytes), range(40), 3)
    assert found == {item: (list(range(item)), False) for item in range(40)}
    assert are_gone(tmp_path)


def test_what_is_killed_once_is_done_again_and_what_kills_or_breaks_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Counting(tmp_path, kills=(5,), kills_once=(8, 9), breaks=(11,))
    found = told(job, range(16))
    for item, (numbers, is_given_up) in found.items():
        assert is_given_up == (item in (5, 11))
        # a portion that was not full when its worker ended was never told
        assert numbers == ([] if is_given_up else list(range(item)))
    assert are_gone(tmp_path)


def test_where_no_process_can_work_every_item_is_given_up(tmp_path: Path) -> None:
    found = told(Counting(tmp_path, dies_at_start=True), range(1, 9))
    assert found == {item: ([], True) for item in range(1, 9)}


def test_whoever_leaves_in_the_middle_leaves_nobody_at_work(tmp_path: Path) -> None:
    def leave() -> None:
        with WorkHere(2, Counting(tmp_path, waits_s=5.0)) as work:
            for each in work.through([0, 400, 400]):
                raise RuntimeError(each.item)

    started = time.monotonic()
    with pytest.raises(RuntimeError, match="0"):
        leave()
    assert are_gone(tmp_path)
    assert time.monotonic() - started < 60
