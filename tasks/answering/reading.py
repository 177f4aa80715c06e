"""What the releases of a run said to its samples, read from the store with what each counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tasks.model.answer import JudgedSample
from tasks.model.sample import Sample
from tasks.scoring.effective import also_scorers, counted_scorers, judged_samples
from tasks.store import Store
from tasks.store.control.ledger import RunKeys
from tasks.store.evals.answers import read_answers


def read_judged(
    store: Store,
    keys: RunKeys,
    samples: Sequence[Sample],
    seeds: range,
    metrics: Mapping[str, str],
    also: Mapping[str, Sequence[str]] = {},
) -> tuple[tuple[JudgedSample, ...], dict[str, str]]:
    """The samples with the answers of every release, and suite → version of the scorer by which
    they count. `metrics`: suite → scorer, in one version or in the newest there is; `also`: suite →
    those that it has besides."""
    stored = {
        role: read_answers(store, keys.eval_set_digest, digest, seeds)
        for role, digest in keys.release_digests.items()
    }
    scorers = counted_scorers(samples, stored.values(), metrics)
    more = also_scorers(samples, stored.values(), also)
    return judged_samples(samples, stored, seeds, scorers, more), scorers
