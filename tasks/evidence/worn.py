"""Which suites of an eval set have decided too often, by all verdicts in the store."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from tasks.evidence.reuse import reuse_of, worn_sentence
from tasks.model.sample import Sample
from tasks.store import Store
from tasks.store.evals.reuse import read_decided_suites, shares_of_sets


def worn_suites(
    store: Store, samples: Sequence[Sample], gating: Collection[str], alpha: float
) -> Iterator[str]:
    """A sentence each, as of `flywheel suite list`: the items of a suite's file count, or, without
    one, those that were drawn."""
    decided = read_decided_suites(store)
    if not decided:
        return
    for suite in sorted(gating):
        own = [sample for sample in samples if sample.suite == suite and not sample.is_pinned]
        written = [sample.sample_id for sample in own if sample.origin == "suite"]
        items = written or [sample.sample_id for sample in own]
        if items:
            reuse = reuse_of(suite, decided, shares_of_sets(store, items), alpha)
            if reuse.is_worn:
                yield worn_sentence(suite, reuse, alpha)
