"""A judge by itself: what it is worth on labels of people, without a release or a suite."""

from __future__ import annotations

from dataclasses import replace

from tasks.errors import UsageError
from tasks.judges.asking import ask_all
from tasks.judges.measure import card, why_not
from tasks.judges.people import labels_of
from tasks.judges.resolve import resolve_judge
from tasks.model.failure import Failure
from tasks.model.judge import JudgeCard
from tasks.releases.memory import MEMORY_FILE, Memory
from tasks.run import Run

STAGE = "judge"


def judge_alone(run: Run, name: str, labels_file: str) -> tuple[JudgeCard, list[Failure]]:
    """Its card, and what of its answers is lost for the moment. `labels_file`: instead of its own;
    empty and without one of its own: feedback on logged calls. Raises UsageError where there is no
    label."""
    judge = resolve_judge(name, run.settings, Memory(run.settings.home_path / MEMORY_FILE))
    with run.open_store() as store:
        labels = labels_of(judge, run.settings, store, None, labels_file)
    if not labels:
        raise UsageError(
            f"there is no label to hold judge {name!r} against",
            received="no file of labels"
            + (", and no thumbs or corrections in the store" if judge.kind == "pointwise" else ""),
            next=f"flywheel judge {name} --labels FILE, or set judges.{name}.labels",
        )
    (opinions,), work = ask_all(run, STAGE, [(judge, [label.item for label in labels])])
    found = card(judge, [], list(zip(labels, opinions, strict=True)))
    found = replace(found, why_not=why_not(found, judge.settings))
    return found, list(work.transient.values())
