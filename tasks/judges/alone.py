"""A judge by itself: what it is worth on labels of people, without a release or a suite."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from tasks.errors import UsageError
from tasks.judges.asking import ask_all
from tasks.judges.labels import Label
from tasks.judges.measure import card, why_not
from tasks.judges.people import labels_of
from tasks.judges.resolve import Judge, resolve_judge
from tasks.model.canonical import canonical_json
from tasks.model.failure import Failure
from tasks.model.judge import JudgeCard
from tasks.releases.memory import MEMORY_FILE, Memory
from tasks.run import Run

STAGE = "judge"


@dataclass(frozen=True, slots=True)
class Measured:
    """`lost`: answers that are not known for the moment. `about`: what the judge is and what it was
    held against, as JSON, without a text that was judged."""

    card: JudgeCard
    lost: tuple[Failure, ...]
    about: dict[str, Any]


def judge_alone(run: Run, name: str, labels_file: str) -> Measured:
    """`labels_file`: instead of its own; empty and without one of its own: feedback on logged
    calls. Raises UsageError where there is no label."""
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
    return Measured(found, tuple(work.transient.values()), _about(judge, labels, labels_file))


def _about(judge: Judge, labels: Sequence[Label], labels_file: str) -> dict[str, Any]:
    told = [asdict(label) for label in labels]
    return {
        "digest": judge.digest,
        "settings": judge.settings.model_dump(mode="json"),
        "members": {
            str(place): {
                "release": member.release.name,
                "release_digest": member.release.digest,
                "model": member.release.model,
                "rubric_digest": hashlib.sha256(member.rubric.encode()).hexdigest(),
            }
            for place, member in enumerate(judge.members, 1)
        },
        "labels": {
            "file": labels_file or judge.settings.labels or "feedback on logged calls",
            "num": len(labels),
            "digest": hashlib.sha256(canonical_json(told).encode()).hexdigest(),
        },
    }
