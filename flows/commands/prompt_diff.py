"""`flywheel prompt diff`: two versions of prompts, task by task and word by word."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.release_named import release_named
from flows.samples import marked
from flows.terminal import console, print_json, say
from tasks.errors import UsageError
from tasks.model.answer import ROLES
from tasks.model.visible import one_line
from tasks.releases.prompts import DEFAULT, load_prompts, prompt_text
from tasks.report.differences import Piece, word_difference
from tasks.settings import Settings, read_settings

if TYPE_CHECKING:
    from rich.console import Console

#: task → messages, None: as logged
Prompts = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Task:
    """What is asked of a task by both. None: nothing answers for it."""

    task: str
    old: str | None
    new: str | None

    @property
    def pieces(self) -> tuple[Sequence[Piece], Sequence[Piece]]:
        return word_difference(self.old or "", self.new or "")


def diff_prompts(old: str, new: str, *, config: str | None, as_json: bool) -> int:
    settings = read_settings(config)
    before, after = (_prompts(settings, name) for name in (old, new))
    if as_json:
        tasks = list(_tasks(before, after))
        objects = [_to_object(task) for task in tasks]
        print_json({"old": old, "new": new, "tasks": objects})
        return 0
    print_prompts(console(), (old, before), (new, after))
    return 0


def print_prompts(screen: Console, old: tuple[str, Prompts], new: tuple[str, Prompts]) -> None:
    """Each: its name for people, and its prompts."""
    from rich.table import Table
    from rich.text import Text

    tasks = list(_tasks(old[1], new[1]))
    differing = [task for task in tasks if task.old != task.new]
    for task in differing:
        say(screen, f"\n{task.task}", style="bold")
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        texts = (task.old, task.new)
        named = zip(ROLES, (old[0], new[0]), texts, task.pieces, strict=True)
        for role, name, text, pieces in named:
            shown = marked(role, pieces, is_terminal=screen.is_terminal)
            grid.add_row(Text(one_line(name)), Text("(no prompt)") if text is None else shown)
        screen.print(grid)
    num_same = len(tasks) - len(differing)
    say(screen, f"\n{len(differing):,} of {len(tasks):,} prompts differ, {num_same:,} the same")


def _prompts(settings: Settings, named: str) -> Prompts:
    """Of a release that is declared, from its files alone; of a file or a folder; else of a release
    that a run has met."""
    declared = settings.releases.get(named)
    if declared is not None:
        path = settings.path(declared.prompt) if declared.prompt else None
        return {DEFAULT: None} if path is None else load_prompts(path, named).to_value()
    if Path(named).exists():
        return load_prompts(Path(named), named).to_value()
    if "/" in named or "." in named:
        raise UsageError(
            "there is no such file",
            received=named,
            allowed="a release, the beginning of its digest, a prompt file, or a folder of them",
        )
    return release_named(settings, named).prompts


def _tasks(old: Prompts, new: Prompts) -> Iterator[_Task]:
    """Of a task without a prompt of its own the default answers, as it does in a run."""
    for task in sorted({*old, *new}):
        yield _Task(task, _text(old, task), _text(new, task))


def _text(prompts: Prompts, task: str) -> str | None:
    named = task if task in prompts else DEFAULT
    return prompt_text(prompts[named]) if named in prompts else None


def _to_object(task: _Task) -> dict[str, object]:
    old, new = task.pieces
    return {
        "task": task.task,
        "is_same": task.old == task.new,
        "old": task.old,
        "new": task.new,
        "removed": [piece.text for piece in old if piece.is_other],
        "added": [piece.text for piece in new if piece.is_other],
    }
