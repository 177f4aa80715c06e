"""Progress on standard error: bars on a terminal, lines elsewhere; both with rate and time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.stages import stage_named
from tasks.model.visible import one_line
from tasks.run import Progress

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import Task, TaskID
    from rich.text import Text

#: between two lines of a stage at first; the longer it takes, the rarer they come
_LINE_EVERY_S = 15.0
_SHARE_OF_ELAPSED = 0.1


@contextmanager
def shown() -> Iterator[Progress]:
    """A progress callback for the length of a run."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console

    with _bars_on(Console(stderr=True)) as bars:
        yield _Bars(bars)


def _bars_on(console: Console) -> Bars:
    from rich import progress
    from rich.text import Text

    class Rate(progress.ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:,.1f}/s" if task.speed and task.total else "")

    return progress.Progress(
        progress.TextColumn("{task.fields[stage]:>9}", markup=False),
        progress.BarColumn(bar_width=24),
        progress.MofNCompleteColumn(),
        Rate(),
        progress.TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        progress.TextColumn("{task.description}", markup=False),
        console=console,
    )


@dataclass(slots=True)
class _Pace:
    """How a stage gets on: since when it works, when that was last said, from where it counts."""

    began_s: float
    said_s: float
    from_s: float | None = None
    from_done: int = 0

    def rate_and_left(self, done: int, total: int | None, now_s: float) -> str:
        """Where they can be said. What was done before the first count is not of this pace."""
        if self.from_s is None or done < self.from_done:
            self.from_s, self.from_done = now_s, done
        if done == self.from_done or now_s == self.from_s:
            return ""
        rate = (done - self.from_done) / (now_s - self.from_s)
        left = f", about {_duration((total - done) / rate)} left" if total else ""
        return f", {rate:,.1f}/s{left}"


class _Lines:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stages: dict[str, _Pace] = {}

    def __call__(self, stage: str, done: int, total: int | None, note: str = "") -> None:
        now = self._clock()
        if stage not in self._stages:
            self._stages[stage] = _Pace(now, now)
            self._say(f"{stage}: {stage_named(stage).title} …")
            return
        pace = self._stages[stage]
        if note == "finished":
            self._say(f"{stage}: done in {now - pace.began_s:.1f} s")
            return
        rate_and_left = pace.rate_and_left(done, total, now)
        if now - pace.said_s >= max(_LINE_EVERY_S, _SHARE_OF_ELAPSED * (now - pace.began_s)):
            pace.said_s = now
            of_total = f" of {total:,}" if total else ""
            of_what = f" ({note})" if note else ""
            self._say(f"{stage}: {done:,}{of_total}{rate_and_left}{of_what}")

    @staticmethod
    def _say(text: str) -> None:
        print(one_line(text), file=sys.stderr, flush=True)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


class _Bars:
    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._ids: dict[str, TaskID] = {}

    def __call__(self, stage: str, done: int, total: int | None, note: str = "") -> None:
        title = stage_named(stage).title
        if stage not in self._ids:
            self._ids[stage] = self._bars.add_task(title, total=total, stage=stage)
        number = self._ids[stage]
        if note == "finished":
            known = self._bars.tasks[self._bars.task_ids.index(number)].total or 1
            self._bars.update(number, completed=known, total=known)
            return
        text = one_line(f"{title} · {note}") if note else title
        self._bars.update(number, completed=done, total=total, description=text)
