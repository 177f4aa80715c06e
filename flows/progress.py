"""Progress on standard error: bars on a terminal, one line a stage elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flows.stages import stage_named
from tasks.run import Progress

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

_LINE_EVERY_S = 15.0


@contextmanager
def shown() -> Iterator[Progress]:
    """A progress callback for the length of a run."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.fields[stage]:>9}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        yield _Bars(bars)


class _Lines:
    def __init__(self) -> None:
        self._started: dict[str, float] = {}
        self._told: dict[str, float] = {}

    def __call__(self, stage: str, done: int, total: int | None, note: str = "") -> None:
        now = time.monotonic()
        if stage not in self._started:
            self._started[stage] = self._told[stage] = now
            self._say(f"{stage}: {stage_named(stage).title} …")
        elif note == "finished":
            self._say(f"{stage}: done in {now - self._started[stage]:.1f} s")
        elif now - self._told[stage] >= _LINE_EVERY_S:
            self._told[stage] = now
            self._say(f"{stage}: {done}{f' of {total}' if total else ''} {note}".rstrip())

    @staticmethod
    def _say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)


class _Bars:
    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._ids: dict[str, TaskID] = {}

    def __call__(self, stage: str, done: int, total: int | None, note: str = "") -> None:
        if stage not in self._ids:
            title = stage_named(stage).title
            self._ids[stage] = self._bars.add_task(title, total=total, stage=stage)
        number = self._ids[stage]
        if note == "finished":
            known = self._bars.tasks[self._bars.task_ids.index(number)].total or 1
            self._bars.update(number, completed=known, total=known)
            return
        text = f"{stage_named(stage).title} · {note}" if note else stage_named(stage).title
        self._bars.update(number, completed=done, total=total, description=text)
