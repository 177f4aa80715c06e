"""Eval sets by content: what makes a sample and a set the one they are.

A sample's id covers everything in it but where it came from, so a stored sample never changes and
a cached completion always belongs to what was asked. A set's digest covers its samples, how they
fall into clusters and what each counts; clusters are named by their smallest sample id, so the
digest depends on nothing that is not in the set. Pure.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tasks.curate.select import thinned, to_mean_one
from tasks.model.canonical import canonical_json
from tasks.model.logged_call import Conversation
from tasks.model.sample import Sample


@dataclass(frozen=True, slots=True)
class Draft:
    """A sample before its set is known; `cluster` is what its author declares. `weight`,
    `num_draws`, `stratum` and `is_counted` as in a Sample."""

    suite: str
    task: str | None
    conversation: Conversation
    target: str
    target_kind: str
    origin: str
    slices: Mapping[str, str]
    must_pass: bool = False
    request_id: str | None = None
    cluster: str | None = None
    weight: float = 1.0
    num_draws: float = 1.0
    stratum: str = ""
    is_counted: bool = True
    session: str | None = None
    step: int | None = None

    @property
    def sample_id(self) -> str:
        """sha256 over what is asked and how it is judged: not `request_id` (provenance) nor what
        it is in a set. Of messages alone it is what it was before there was more."""
        more = self.conversation.served.to_value()
        if self.session is not None:
            more |= {"session": self.session, "step": self.step}
        return _sha256(
            [
                self.suite,
                self.task,
                self.conversation.system,
                self.conversation.messages,
                self.target,
                self.target_kind,
                self.origin,
                self.slices,
                self.must_pass,
                *([more] if more else []),
            ]
        )


@dataclass(frozen=True, slots=True)
class EvalSet:
    """An immutable list of samples in the order they are stored, with its digest."""

    digest: str
    samples: tuple[Sample, ...]


def eval_set(drafts: Sequence[Draft], clusters: Sequence[int]) -> EvalSet:
    """The set of these samples; `clusters[i]` is any label that equal clusters share.

    Raises ValueError when two drafts are one sample: duplicates leave before this.
    """
    ids = [draft.sample_id for draft in drafts]
    if len(set(ids)) < len(ids):
        raise ValueError("two drafts are the same sample")
    smallest: dict[int, str] = {}
    for sample_id, cluster in zip(ids, clusters, strict=True):
        smallest[cluster] = min(sample_id, smallest.get(cluster, sample_id))
    samples = sorted(
        (
            _sample(draft, sample_id, smallest[cluster])
            for draft, sample_id, cluster in zip(drafts, ids, clusters, strict=True)
        ),
        key=lambda sample: (sample.suite, sample.task or "", sample.sample_id),
    )
    return EvalSet(digest_of(samples), tuple(samples))


def without(whole: EvalSet, sample_ids: Container[str]) -> EvalSet:
    """The set that the other samples make; of the drawn ones, those of a suite's stratum that are
    left stand for those that leave. Where none is left, none of the suite's drawn ones counts."""
    kept = [sample for sample in whole.samples if sample.sample_id not in sample_ids]
    smallest: dict[str, str] = {}
    for sample in kept:
        named = smallest.get(sample.cluster_id, sample.sample_id)
        smallest[sample.cluster_id] = min(sample.sample_id, named)
    before, after = _drawn_weights(whole.samples), _drawn_weights(kept)
    lost = {suite for suite, stratum in before.keys() - after.keys()}
    stretched = []
    for sample in kept:
        changes: dict[str, Any] = {"cluster_id": _cluster_id(smallest[sample.cluster_id])}
        if _is_drawn(sample):
            key = sample.suite, sample.stratum
            changes["weight"] = sample.weight * (before[key] / after[key])
            changes["num_draws"] = thinned(sample.num_draws, after[key] / before[key])
            changes["is_counted"] = sample.is_counted and sample.suite not in lost
        stretched.append(replace(sample, **changes))
    samples = _on_one_scale(stretched)
    return EvalSet(digest_of(samples), samples)


def _is_drawn(sample: Sample) -> bool:
    return sample.request_id is not None


def _drawn_weights(samples: Iterable[Sample]) -> dict[tuple[str, str], float]:
    """(suite, stratum) → weight of its drawn samples."""
    weights: dict[tuple[str, str], list[float]] = {}
    for sample in samples:
        if _is_drawn(sample):
            weights.setdefault((sample.suite, sample.stratum), []).append(sample.weight)
    return {key: math.fsum(values) for key, values in weights.items()}


def _on_one_scale(samples: Sequence[Sample]) -> tuple[Sample, ...]:
    """Weights 1 on average over the samples of a suite that production asks and that count, and
    over those that do not."""
    scales: dict[tuple[str, bool], list[Sample]] = {}
    for sample in samples:
        if sample.stratum:
            scales.setdefault((sample.suite, sample.is_counted), []).append(sample)
    weights: dict[str, float] = {}
    for scale in scales.values():
        scaled = to_mean_one([sample.weight for sample in scale])
        weights |= {sample.sample_id: weight for sample, weight in zip(scale, scaled, strict=True)}
    return tuple(
        replace(sample, weight=weights.get(sample.sample_id, sample.weight)) for sample in samples
    )


def draft_of(sample: Sample) -> Draft:
    """A sample apart from any set; its `sample_id` is by its content, whatever id it has."""
    return Draft(
        suite=sample.suite,
        task=sample.task,
        conversation=Conversation(sample.system, sample.messages, sample.served),
        target=sample.target,
        target_kind=sample.target_kind,
        origin=sample.origin,
        slices=sample.slices,
        must_pass=sample.must_pass,
        session=sample.session,
        step=sample.step,
    )


def digest_of(samples: Iterable[Sample]) -> str:
    """Of a set of these samples, in whatever order."""
    return _sha256(
        sorted(
            [s.sample_id, s.cluster_id, s.weight, s.num_draws, s.stratum, s.is_counted]
            for s in samples
        )
    )


def _cluster_id(smallest_sample_id: str) -> str:
    return f"cluster-{smallest_sample_id[:16]}"


def _sample(draft: Draft, sample_id: str, cluster: str) -> Sample:
    return Sample(
        sample_id=sample_id,
        suite=draft.suite,
        task=draft.task,
        messages=draft.conversation.messages,
        system=draft.conversation.system,
        target=draft.target,
        target_kind=draft.target_kind,
        origin=draft.origin,
        slices=draft.slices,
        must_pass=draft.must_pass,
        request_id=draft.request_id,
        cluster_id=_cluster_id(cluster),
        weight=draft.weight,
        num_draws=draft.num_draws,
        stratum=draft.stratum,
        is_counted=draft.is_counted,
        served=draft.conversation.served,
        session=draft.session,
        step=draft.step,
    )


def _sha256(value: Any) -> str:
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
