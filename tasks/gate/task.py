"""Gate: from the scores of a run's releases to a verdict on every challenger, with its reasons.

Reads `eval_set_samples`, `completions` and `scores`, writes `verdicts` and `rankings`. What an
answer counts is decided by tasks/scoring/effective.py, a verdict by verdict.py beside this, and
which challenger the run came to by ranking.py.
"""

from __future__ import annotations

from tasks.answering.reading import read_judged
from tasks.errors import StoreError
from tasks.evidence.looks import looks, planned_sizes
from tasks.evidence.nights import Night, standing
from tasks.gate.also import with_also
from tasks.gate.judges import Judges
from tasks.gate.ranking import leading, ranking
from tasks.gate.reasons import reasons
from tasks.gate.verdict import decide
from tasks.model.answer import Role
from tasks.model.profile import of_pair
from tasks.model.receipt import Receipt
from tasks.model.verdict import Decision
from tasks.run import Run
from tasks.scoring import policy
from tasks.scoring.profile import profiles, usage
from tasks.scoring.suites import gate_rule, guardrail_rules, known_prices, suite_rules
from tasks.scoring.trajectory import departures, summary, trajectories
from tasks.scoring.worth import as_answered
from tasks.store.control import evidence, ledger, verdicts
from tasks.store.control.evidence import EvidenceKey
from tasks.store.control.noise import newest_noise
from tasks.store.evals.releases import read_release
from tasks.store.evals.samples import read_eval_set, samples_of_run


def gate(run: Run) -> Receipt:
    """Decide. Raises StoreError where the run has no eval set or no releases yet, and UsageError
    where the set has samples of a suite that is not declared."""
    settings = run.settings
    with run.open_store() as store:
        evaluated = run.request.scores_of or run.run_id
        keys = ledger.run_keys(store, run.run_id)
        if keys is None:
            raise StoreError(
                "there is nothing to decide on: this run has no evaluated releases",
                received=f"run {run.run_id}",
                next="flywheel run, which evaluates before it decides",
            )
        champion = keys.release_digests["champion"]
        known_noise = newest_noise(store, run.clock(), "release_digest", champion)
        plan = ledger.finished_stage(store, evaluated, "plan")
        receipt = ledger.finished_stage(store, evaluated, "evaluate")
        stopped = None if receipt is None else receipt.notes.get("stopped")
        releases = [read_release(store, digest) for digest in keys.release_digests.values()]
        is_sampled = any(release.is_sampled for release in releases if release)
        whole = as_answered(read_eval_set(store, keys.eval_set_digest), is_sampled=is_sampled)
        samples = samples_of_run(store, evaluated, whole)
        rules = suite_rules(settings, {sample.suite for sample in samples})
        judges = Judges.of(receipt, rules)
        declared_rules, rules, samples = rules, judges.rules(rules), judges.samples(samples)
        judged, scorers = read_judged(
            store,
            keys,
            samples,
            run.seeds,
            judges.metrics(rules),
            {rule.name: rule.also for rule in rules},
        )
    challengers = [role for role in keys.release_digests if role != "champion"]
    rule = gate_rule(settings, len(challengers))
    planned = planned_sizes(whole, settings.gate.planned_samples, plan)
    decisions: dict[Role, Decision] = {}
    guardrails = guardrail_rules(settings, run.request.releases)
    nights: dict[Role, dict[str, tuple[EvidenceKey, Night]]] = {}
    for role in challengers:
        pairs = [item.pair(role) for item in judged]
        digests = keys.release_digests["champion"], keys.release_digests[role]
        with run.open_store(read_only=True) as store:
            look = verdicts.number_of_look(store, run.run_id, *digests)
            nights[role] = looks(
                store, digests, rules, pairs, rule, scorers, planned, len(challengers)
            )
        decided = decide(
            pairs,
            rules,
            rule,
            is_same_release=digests[0] == digests[1],
            standing={suite: standing(night) for suite, (_, night) in nights[role].items()},
            guardrails=[guardrail.pair(role) for guardrail in guardrails],
            look=look,
            noise=known_noise,
            besides=judges.besides(role),
        )
        decisions[role] = judges.told(with_also(decided, pairs, rule))
    ranked = ranking(judged, rules, settings.gate.alpha, rule.unseen_loss)
    leader = leading({role: each.verdict for role, each in decisions.items()}, ranked)
    decision = decisions[leader]
    prices = known_prices(settings, run.request.releases)
    answered = profiles(judged, prices)
    walked = trajectories(judged)
    declared = policy.policy(declared_rules, rule, guardrails)
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
            "guardrails": {part.rule.name: part.verdict for part in decision.guardrails},
            "slices_held": sum(part.holds for part in decision.slices),
            "policy": policy.digest(declared),
            "policy_changes": list(changes),
            "challengers": {role: each.verdict for role, each in decisions.items()},
            "answers": [profile.to_json() for profile in answered],
            "usage": {role: used.to_json() for role, used in usage(judged, prices).items()},
            **({"sessions": summary(walked)} if walked else {}),
        },
    )
    with run.open_store() as store, store.transaction():
        for role, each in decisions.items():
            verdicts.write_verdict(
                store,
                run.run_id,
                role,
                verdict=each.verdict,
                reasons=reasons(
                    each,
                    rule,
                    changes,
                    len(challengers),
                    stopped and {**stopped, "why": stopped["challengers"][role]},
                    of_pair(answered, role),
                    departures(walked, role),
                ),
                suites=each.suites,
                slices=each.slices,
                guardrails=each.guardrails,
                now=run.clock(),
                is_leading=role == leader,
            )
        verdicts.write_ranking(store, run.run_id, ranked)
        for key, night in (look for of_role in nights.values() for look in of_role.values()):
            if night.fed:
                evidence.save_night(
                    store, key, night.evidence, night.fed, run_id=run.run_id, now=run.clock()
                )
        ledger.finish_stage(store, run.run_id, receipt, run.clock())
    return receipt
