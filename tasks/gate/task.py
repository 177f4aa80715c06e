"""Gate: from the scores of a run's releases to a verdict with its reasons.

Reads `eval_set_samples`, `completions` and `scores`, writes `verdicts`. What an answer counts is
decided by tasks/scoring/effective.py, the verdict by verdict.py beside this.
"""

from __future__ import annotations

from tasks.errors import StoreError
from tasks.gate.reasons import reasons
from tasks.gate.verdict import decide
from tasks.model.receipt import Receipt
from tasks.run import Run
from tasks.scoring.effective import counted_scorers, judged_samples
from tasks.scoring.suites import gate_rule, suite_rules
from tasks.store.control import ledger, verdicts
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
    decision = decide(judged, rules, rule, is_same_release=is_same_release)
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
        },
    )
    with run.open_store() as store, store.transaction():
        verdicts.write_verdict(
            store,
            run.run_id,
            verdict=decision.verdict,
            reasons=reasons(decision, rule),
            suites=decision.suites,
            slices=decision.slices,
            now=run.clock(),
        )
        ledger.finish_stage(store, run.run_id, receipt, run.clock())
    return receipt
