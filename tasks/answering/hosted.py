"""What a receipt tells of releases that an API answered for: what was spent, who answered, and why
some answers are not there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from tasks.answering.compute import Work
from tasks.releases.resolve import ResolvedRelease
from tasks.run import Run
from tasks.store import Store
from tasks.store.evals.spending import Spent, builds, read_spending


def hosted_notes(
    store: Store, run: Run, eval_set: str, releases: Iterable[ResolvedRelease], work: Work
) -> dict[str, Any]:
    """Release → its notes, of those of an API. `spent` is of the whole run, over its attempts;
    `unfinished` says how many answers failed for the moment, by what it was."""
    spent = read_spending(store, run.run_id)
    hosted = {
        release.digest: release for release in releases if not release.source.is_deterministic
    }
    served = builds(store, eval_set, list(hosted))
    notes: dict[str, Any] = {}
    for digest, release in hosted.items():
        why = Counter(
            failure.message for key, failure in work.transient.items()
            if key.release_digest == digest
        )  # fmt: skip
        notes[release.name] = {
            "spent": asdict(spent.get(digest, Spent())),
            "currency": release.price.currency if release.price.is_known else None,
            "served_by": served.get(digest, {}),
            "unfinished": dict(why.most_common(5)),
            "num_unfinished": sum(why.values()),
        }
    return notes
