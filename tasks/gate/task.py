"""Gate: from the scores of a run's releases to a verdict with its reasons.

Reads `eval_set_samples`, `completions` and `scores`, writes `verdicts`. What an answer counts is
decided by tasks/scoring/effective.py, the verdict by verdict.py beside this.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tasks.errors import StoreError
from tasks.gate.nights import Night, night, standing
from tasks.gate.reasons import reasons
from tasks.gate.verdict import decide
from tasks.model.answer import ROLES, JudgedSample
from tasks.model.receipt import Receipt
from tasks.model.verdict import GateRule, SuiteRule
from tasks.run import Run
from tasks.scoring import policy
from tasks.scoring.effective import counted_scorers, judged_samples
from tasks.scoring.suites import gate_rule, suite_rules
from tasks.store import Store
from tasks.store.control import evidence, ledger, verdicts
from tasks.store.control.evidence import EvidenceKey
from tasks.store.control.noise import newest_noise
from tasks.store.evals import answers
from tasks.store.evals.samples import read_eval_set


def gate(run: Run) -> Receipt:
    """Decide. Raises StoreError where the run has no eval set or no releases yet, and UsageError
    where the set has samples of a suite that is not declared."""
    settings = run.settings
    with run.open_store() as store:
        keys = ledger.run_keys(store, run.run_id)
        if keys is None:
            raise StoreError(
                "there is nothing to decide on: this run has no evaluated releases",
                received=f"run {run.run_id}",
                next="flywheel run, which evaluates before it decides",
            )
        digest = keys.release_digests["champion"]
        known_noise = newest_noise(store, run.clock(), "release_digest", digest)
        plan = ledger.finished_stage(store, run.request.scores_of or run.run_id, "plan")
        samples = read_eval_set(store, keys.eval_set_digest)
        stored = {
            role: answers.read_answers(store, keys.eval_set_digest, digest, run.seeds)
            for role, digest in keys.release_digests.items()
        }
    rules = suite_rules(settings, {sample.suite for sample in samples})
    scorers = counted_scorers(samples, stored.values(), {rule.name: rule.metric for rule in rules})
    judged = judged_samples(samples, stored, run.seeds, scorers)
    rule = gate_rule(settings)
    is_same_release = len(set(keys.release_digests.values())) == 1
    nights: dict[str, tuple[EvidenceKey, Night]] = {}
    if rule.early and not is_same_release:
        with run.open_store(read_only=True) as store:
            planned = _planned(plan)
            declared_size = settings.gate.planned_samples
            nights = dict(
                _nights(store, keys, rules, judged, rule, scorers, planned, declared_size)
            )
    decision = decide(
        judged,
        rules,
        rule,
        is_same_release=is_same_release,
        standing={suite: standing(night) for suite, (_, night) in nights.items()},
        noise=known_noise,
    )
    declared = policy.policy(rules, rule)
    planned_by = plan.notes.get("policy") if plan is not None else None
    changes = () if planned_by is None else policy.changes(planned_by, declared)
    receipt = Receipt(
        stage="gate",
        key=run.run_id,
        rows_in=len(judged),
        rows_out=len(judged),
        notes={
            "verdict": decision.verdict,
            "suites": {suite.rule.name: suite.verdict for suite in decision.suites},
            "failed_must_pass": len(decision.must_pass.failed),
            "slices_held": sum(part.holds for part in decision.slices),
            "policy": policy.digest(declared),
            "policy_changes": list(changes),
        },
    )
    with run.open_store() as store, store.transaction():
        verdicts.write_verdict(
            store,
            run.run_id,
            verdict=decision.verdict,
            reasons=reasons(decision, rule, changes),
            suites=decision.suites,
            slices=decision.slices,
            now=run.clock(),
        )
        for key, night in nights.values():
            if night.fed:
                evidence.save_night(
                    store, key, night.evidence, night.fed, run_id=run.run_id, now=run.clock()
                )
        ledger.finish_stage(store, run.run_id, receipt, run.clock())
    return receipt


def _nights(
    store: Store,
    keys: ledger.RunKeys,
    rules: Sequence[SuiteRule],
    judged: Sequence[JudgedSample],
    gate_rule: GateRule,
    scorers: Mapping[str, str],
    planned: Mapping[str, int],
    declared_size: int,
) -> Iterator[tuple[str, tuple[EvidenceKey, Night]]]:
    """Every gating suite with what this look adds to the evidence on this pair of releases."""
    champion, challenger = (keys.release_digests[role] for role in ROLES)
    for rule in rules:
        items = [item for item in judged if item.sample.suite == rule.name]
        counted = sum(item.sample.is_counted for item in items)
        if not rule.is_gating or not counted:
            continue
        key = EvidenceKey(champion, challenger, rule.name, scorers[rule.name], rule.margin)
        before = evidence.read_evidence(store, key)
        fed = evidence.fed_samples(store, key)
        size = declared_size or planned.get(rule.name) or counted
        look = night(before, fed, items, rule, gate_rule, size)
        yield rule.name, (key, look)


def _planned(plan: Receipt | None) -> Mapping[str, int]:
    """Suite → the samples its one look by interval is planned at, where that is not the set.

    A set of hand-written samples is what it is. One that production adds to may be too small today
    and large enough next week: it is looked at when an equal release would pass, but not later than
    at four times its size.
    """
    planned: dict[str, int] = {}
    for suite in plan.notes["suites"] if plan is not None else ():
        size, enough = suite["num_samples"], suite["num_samples_for_80"]
        if suite["grows"] and enough is not None:
            planned[suite["suite"]] = min(max(size, enough), 4 * size)
    return planned
