"""Whose labels a judge is held against, and which of them are of the answers of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tasks.judges.asked import Item
from tasks.judges.labels import Label, labels_of_calls, read_labels
from tasks.judges.resolve import Judge
from tasks.model.answer import CompletionKey
from tasks.settings import Settings
from tasks.store import Store
from tasks.store.evals.logged_calls import read_judged


def labels_of(
    judge: Judge, settings: Settings, store: Store, task: str | None, file: str = ""
) -> tuple[Label, ...]:
    """Of the file, else of the judge's own, else of feedback on calls of the task (None: of all),
    which only a pointwise judge can use. Raises UsageError on a file that cannot be used."""
    path = file or judge.settings.labels
    if path:
        scale = judge.members[0].scale
        found = read_labels(settings.path(path), judge.name, judge.kind, scale)
    else:
        most = settings.curate.max_calls or None
        found = (
            labels_of_calls(read_judged(store, task, most), task)
            if judge.kind == "pointwise"
            else ()
        )
    return found[: judge.settings.max_labels]


def people_of(
    labels: Sequence[Label], items: Mapping[CompletionKey, tuple[Item, bool]]
) -> dict[CompletionKey, float]:
    """What people said of the suite's own answers."""
    said = {label.item: label.value for label in labels}
    said |= {
        replace(label.item, answers=label.item.answers[::-1]): 1 - label.value
        for label in labels
        if len(label.item.answers) == 2
    }
    people = {}
    for key, (item, is_second) in items.items():
        value = said.get(item)
        if value is not None:
            people[key] = 1 - value if len(item.answers) == 2 and not is_second else value
    return people
