"""Where every release of a run stands among all of them, and which challenger the run came to.

Estimator: the weighted mean over the samples that count, of each gating suite and of all of them
taken together. For every ordered pair of releases the p value of "the second is at least as good"
is that of the gate's own interval, at the extreme of what nobody knows that speaks most for the
second; all ordered pairs are one family (Holm). A release's rank then lies between 1 + the number
of releases certainly better and N - the number certainly worse: all ranks of a suite hold together
with probability 1 - alpha, ties and equal releases included. It is of this run's samples alone, so
who looks every night and picks the best night is not covered; what may ship is verdict.py's to say.
Pure.
Source: Mogstad, Romano, Shaikh & Wilhelm, "Inference for Ranks", Review of Economic Studies (2024).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, combinations

from tasks.evidence.arrays import evidence_of
from tasks.model.answer import JudgedSample, Role
from tasks.model.verdict import SHIPS, Rank, SuiteRule, Verdict
from tasks.statistics.families import holm


def ranking(
    judged: Sequence[JudgedSample], rules: Sequence[SuiteRule], alpha: float, unseen_loss: float
) -> tuple[Rank, ...]:
    """Of all gating suites together (`suite` empty), then of each; none without a sample that
    counts. The releases are those that the samples have answers of. Raises ValueError as
    `evidence_of`."""
    by_suite: dict[str, list[JudgedSample]] = {rule.name: [] for rule in rules if rule.is_gating}
    for item in judged:
        if item.sample.is_counted and item.sample.suite in by_suite:
            by_suite[item.sample.suite].append(item)
    parts = {name: items for name, items in by_suite.items() if items}
    together = list(_ranks("", list(chain(*parts.values())), alpha, unseen_loss))
    if len(parts) == 1:
        (name,) = parts
        return (*together, *(replace(rank, suite=name) for rank in together))
    for name, items in parts.items():
        together += _ranks(name, items, alpha, unseen_loss)
    return tuple(together)


def leading(verdicts: Mapping[Role, Verdict], ranked: Sequence[Rank]) -> Role:
    """The challenger that the run came to: of those that may ship, else of all, the one with the
    highest mean over all gating suites; of equal ones the first named."""
    means = {rank.role: rank.mean for rank in ranked if not rank.suite}
    may_ship = [role for role, verdict in verdicts.items() if verdict in SHIPS]

    def height(role: Role) -> float:
        mean = means.get(role)
        return -1.0 if mean is None else mean

    return max(may_ship or verdicts, key=height)


def _ranks(
    suite: str, items: Sequence[JudgedSample], alpha: float, unseen_loss: float
) -> Iterator[Rank]:
    if not items:
        return
    means: dict[Role, float | None] = {}
    worse_than: list[tuple[Role, Role]] = []  # the second is worse than the first
    p_values: list[float] = []
    roles = list(items[0].answers)
    for one, other in combinations(roles, 2):
        evidence = evidence_of([item.pair(other, one) for item in items])
        means |= {one: evidence.mean("champion"), other: evidence.mean("challenger")}
        worse_than += [(one, other), (other, one)]
        p_values += [
            evidence.p_value_of_loss(0.0, unseen_loss),
            evidence.p_value_of_gain(0.0, unseen_loss),
        ]
    adjusted = holm(p_values)
    certain = [pair for pair, p in zip(worse_than, adjusted, strict=True) if p <= alpha]
    for role in roles:
        num_better = sum(worse == role for _, worse in certain)
        num_worse = sum(better == role for better, _ in certain)
        yield Rank(suite, role, means[role], 1 + num_better, len(roles) - num_worse, len(items))
