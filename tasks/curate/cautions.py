"""What a set cannot do, told before anything is generated. Pure: values in, sentences out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date

from tasks.curate.frame import UNJUDGED, Uncovered
from tasks.model.sample import Sample
from tasks.model.verdict import SuiteRule
from tasks.scoring.worth import worth_of
from tasks.settings import SuiteSettings

_MAX_SHOWN_CHARS = 60
_WHAT_PEOPLE_SAID = {"failed": "failed", "liked": "were liked", "unjudged": "were not judged"}


def cautions(
    samples: Sequence[Sample],
    rules: Iterable[SuiteRule],
    alpha: float,
    uncovered: Iterable[Uncovered],
    applications: Mapping[str, int],
) -> list[str]:
    """Sentences that name the suite or the session they speak of."""
    told = [_not_counted(stratum, samples) for stratum in uncovered]
    for rule in rules:
        if rule.is_gating:
            told += _of_suite(rule, [s for s in samples if s.suite == rule.name], alpha)
    for session, number in applications.items():
        told.append(
            f"session {session[:_MAX_SHOWN_CHARS]!r} holds {number:,} calls, more than half of "
            "all: the id of an application rather than of a conversation, so it ties no samples "
            "together; log a session id for each conversation"
        )
    return told


def reviews_due(suites: Mapping[str, SuiteSettings], today: date) -> list[str]:
    """Of suites whose day of review has come."""
    return [
        f"suite {name} was to be reviewed by {suite.review_by}: its owner "
        f"{suite.owner or '(nobody)'} looks at it and sets another day"
        for name, suite in suites.items()
        if suite.review_by is not None and suite.review_by <= today
    ]


def min_clusters(alpha: float, margin: float, samples_a_cluster: float = 1.0) -> int:
    """Clusters without any difference that it takes to exclude a loss of the margin.

    Such a loss could lie in clusters of a kind that none of these showed, which lose at least one
    of their samples each: in a share margin · samples_a_cluster of all. That none of n is of them
    has a chance of at most alpha / 2 from this n on.
    """
    share = margin * samples_a_cluster
    return 2 if share >= 1 else max(2, math.ceil(math.log(alpha / 2) / math.log1p(-share)))


def _of_suite(rule: SuiteRule, samples: Sequence[Sample], alpha: float) -> Iterator[str]:
    counted = [sample for sample in samples if sample.is_counted]
    #: what was drawn often is no single chance find
    clusters: dict[str, list[float]] = {}
    for sample in counted:
        single = sample.weight / math.sqrt(sample.num_draws)
        clusters.setdefault(sample.cluster_id, []).append(single)
    worth = worth_of(counted).effective_clusters if len(clusters) > 1 else float(len(clusters))
    num_samples = len(counted)
    needed = min_clusters(alpha, rule.margin, num_samples / len(clusters) if clusters else 1.0)
    if round(worth, 6) < needed:
        yield (
            f"suite {rule.name}: {num_samples:,} samples count, worth {worth:,.0f} independent "
            f"ones of equal weight, and even if all answers are identical it takes {needed:,} to "
            f"exclude a loss of {rule.margin:g} (alpha {alpha:g}): an equal challenger cannot "
            f"pass; add samples, or widen suites.{rule.name}.margin"
        )
    total = math.fsum(sample.weight for sample in counted)
    if len(clusters) < 2:
        return
    heavy = [name for name, singles in clusters.items() if math.fsum(singles) >= total / 2]
    for name in sorted(heavy):
        held = math.fsum(sample.weight for sample in counted if sample.cluster_id == name) / total
        yield (
            f"suite {rule.name}: {name} ({len(clusters[name]):,} of its samples) holds "
            f"{held:.0%} of the weight: they hang together, so the suite says little more than "
            "one sample would"
        )


def _not_counted(stratum: Uncovered, samples: Sequence[Sample]) -> str:
    shown = sum(s.suite == stratum.suite and not s.is_counted for s in samples)
    why = "there was no place for any" if stratum.num_candidates else "none has a known answer"
    text = (
        f"suite {stratum.suite}: {stratum.num_calls:,} of {stratum.num_calls_of_suite:,} calls "
        f"{_WHAT_PEOPLE_SAID[stratum.stratum]} and {why}, so the {shown:,} samples of the others, "
        "selected by outcome, do not gate: "
    )
    if stratum.num_candidates:
        return text + "raise [curate] max_samples"
    if stratum.stratum == UNJUDGED:
        return text + (
            "answer some of those calls, drawn at random (feedback of kind audit), or declare "
            "[curate] judged_represent_all"
        )
    return text + "correct some of those calls (feedback of kind correction)"
