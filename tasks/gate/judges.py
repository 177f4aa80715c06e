"""What the cards of judges mean for a decision: who may decide, and what must hold besides. Pure.

A judge that is not good enough informs: its suite is decided as one of role report, and its samples
that must pass block nothing. One that is good enough decides, and where people labelled answers of
the run, the interval by judge and labels together must lie above the margin too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tasks.model.answer import Role
from tasks.model.comparison import Interval
from tasks.model.judge import JudgeCard
from tasks.model.receipt import Receipt
from tasks.model.sample import Sample
from tasks.model.verdict import Decision, SuiteRule
from tasks.scoring.judged import is_judged


@dataclass(frozen=True, slots=True)
class Judges:
    """Suite → the card of its judge in the run that evaluated."""

    cards: Mapping[str, JudgeCard]

    @classmethod
    def of(cls, evaluated: Receipt | None, rules: Sequence[SuiteRule]) -> Judges:
        """A suite whose judge is another one now than in that run has a card that says so."""
        kept = evaluated.notes.get("judges", {}) if evaluated is not None else {}
        cards = {}
        for rule in rules:
            if not is_judged(rule.metric):
                continue
            card = JudgeCard.from_json(kept[rule.name]) if rule.name in kept else None
            if card is None or card.version.partition("@")[0] != rule.metric:
                why = "the run was not judged by it"
                card = JudgeCard(
                    rule.metric.partition(":")[2], "", rule.metric, (),
                    declared_role=rule.role, why_not=(why,),
                )  # fmt: skip
            cards[rule.name] = card
        return cls(cards)

    def rules(self, rules: Sequence[SuiteRule]) -> tuple[SuiteRule, ...]:
        return tuple(replace(r, role="report") if r.name in self._informing else r for r in rules)

    def samples(self, samples: Sequence[Sample]) -> list[Sample]:
        return [
            replace(one, must_pass=False) if one.suite in self._informing else one
            for one in samples
        ]

    def metrics(self, rules: Sequence[SuiteRule]) -> dict[str, str]:
        """Suite → its scorer, of a judge in the version that judged the run."""
        of_cards = {suite: card.version for suite, card in self.cards.items()}
        return {rule.name: of_cards.get(rule.name, rule.metric) for rule in rules}

    def besides(self, role: Role) -> dict[str, Interval]:
        """Suite → the interval by judge and labels, of those that decide."""
        return {
            suite: card.predicted[role].interval
            for suite, card in self.cards.items()
            if card.can_gate and role in card.predicted
        }

    def told(self, decision: Decision) -> Decision:
        """The decision with the card of every suite that has one."""
        suites = (
            replace(suite, judge=self.cards.get(suite.rule.name)) for suite in decision.suites
        )
        return replace(decision, suites=tuple(suites))

    @property
    def _informing(self) -> set[str]:
        return {suite for suite, card in self.cards.items() if not card.can_gate}
