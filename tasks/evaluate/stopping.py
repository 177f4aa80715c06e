"""While answers come in: whether those that are known decide the run, chunk by chunk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tasks.answering.compute import Work
from tasks.answering.judging import score_all
from tasks.answering.needs import Need
from tasks.answering.reading import read_judged
from tasks.evidence.looks import looks, planned_sizes
from tasks.evidence.stopping import Stop, decided
from tasks.model.answer import Role
from tasks.model.sample import Sample
from tasks.model.verdict import SuiteRule
from tasks.run import Run
from tasks.scoring.suites import gate_rule, instruments
from tasks.store import Store
from tasks.store.control import ledger
from tasks.store.evals import answers as table


@dataclass(slots=True)
class Stopping:
    """`samples` in the order in which they are asked, `wanted` of each; `stops`: what every
    challenger came to, once all of them came to something."""

    run: Run
    stage: str
    keys: ledger.RunKeys
    rules: Sequence[SuiteRule]
    samples: Sequence[Sample]
    wanted: Sequence[Need]
    stops: dict[Role, Stop] = field(default_factory=dict)
    num_asked: int = 0
    _num_scored: int = 0

    def __call__(self, work: Work) -> bool:
        """Whether nothing more need be asked."""
        if not self.stops:
            self._look(work)
        return bool(self.stops)

    @property
    def asked(self) -> Sequence[Sample]:
        """Those of which all answers are known, up to the first of which one is not."""
        return self.samples[: self.num_asked]

    @property
    def may_ship(self) -> bool:
        """Guarded slices and guardrails have to be looked at whole."""
        is_sliced = any(rule.slices for rule in self.rules if rule.is_gating)
        return not is_sliced and not self.run.settings.guardrails

    def _look(self, work: Work) -> None:
        run, keys = self.run, self.keys
        digests = sorted(set(keys.release_digests.values()))
        with run.open_store() as store:
            kept = table.completed_keys(store, keys.eval_set_digest, digests, run.seeds)
        known = kept | work.transient.keys()
        a_sample = len(self.wanted) // len(self.samples)
        num_known = next(
            (place for place, need in enumerate(self.wanted) if need.key not in known),
            len(self.wanted),
        )
        self.num_asked = num_known // a_sample
        if not self.num_asked:
            return
        scorers = instruments(run.settings, [rule.name for rule in self.rules])
        fresh = self.wanted[self._num_scored : self.num_asked * a_sample]
        score_all(run, self.stage, keys.eval_set_digest, fresh, run.seeds, scorers, work)
        self._num_scored = self.num_asked * a_sample
        with run.open_store() as store, store.transaction():
            self._decide(store)

    def _decide(self, store: Store) -> None:
        run, keys = self.run, self.keys
        metrics = {rule.name: rule.metric for rule in self.rules}
        judged, versions = read_judged(store, keys, self.asked, run.seeds, metrics)
        plan = ledger.finished_stage(store, run.run_id, "plan")
        planned = planned_sizes(self.samples, run.settings.gate.planned_samples, plan)
        challengers = [role for role in keys.release_digests if role != "champion"]
        gate = gate_rule(run.settings, len(challengers))
        num_must_pass = sum(sample.must_pass for sample in self.samples)
        stops: dict[Role, Stop] = {}
        for role in challengers:
            pair = keys.release_digests["champion"], keys.release_digests[role]
            pairs = [item.pair(role) for item in judged]
            nights = looks(
                store, pair, self.rules, pairs, gate, versions, planned, len(challengers)
            )
            stop = decided(
                pairs,
                {suite: night for suite, (_, night) in nights.items()},
                self.rules,
                gate,
                num_must_pass=num_must_pass,
                may_ship=self.may_ship,
            )
            if stop is None:
                return
            stops[role] = stop
        self.stops = stops
