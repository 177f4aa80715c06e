"""Plan: what the eval set can decide, and what it will cost, before any token is spent.

Reads `eval_set_samples`, past `verdicts` and `completions`, writes nothing but its receipt.
"""

from __future__ import annotations

from collections.abc import Sequence

from tasks.errors import StoreError
from tasks.model.noise import KnownNoise
from tasks.model.receipt import Receipt
from tasks.plan.suite_plans import Past, SuitePlan, headline, ship_probability, suite_plans
from tasks.report.noise import margins_below
from tasks.run import Run
from tasks.scoring.policy import policy
from tasks.scoring.suites import (
    gate_rule,
    guardrail_rules,
    instruments,
    known_prices,
    suite_rules,
)
from tasks.scoring.worth import as_answered
from tasks.settings import Settings
from tasks.store.control import ledger, verdicts
from tasks.store.control.noise import newest_noise
from tasks.store.evals import answers
from tasks.store.evals.samples import read_eval_set

STAGE = "plan"


def plan(run: Run) -> Receipt:
    """Raises StoreError where the run has no eval set, UsageError as `suite_rules`."""
    settings = run.settings
    with run.open_store() as store:
        digest = ledger.run_value(store, run.run_id, "eval_set_digest")
        if digest is None:
            raise StoreError(
                "there is nothing to plan: the run has no eval set", received=run.run_id
            )
        samples = read_eval_set(store, digest)
        past = {
            suite: Past(run_id, result)
            for suite, (run_id, result) in verdicts.newest_results(store, run.run_id).items()
        }
        tokens = {
            role: answers.mean_tokens(store, name) for role, name in run.request.releases.items()
        }
        speed = ledger.newest_note(store, "evaluate", "tokens_per_s")
        noise = newest_noise(store, run.clock(), "release", run.request.champion)
    rules = suite_rules(settings, {sample.suite for sample in samples})
    names = run.request.releases.values()
    is_sampled = any(
        settings.releases[name].is_sampled for name in names if name in settings.releases
    )
    samples = as_answered(samples, is_sampled=is_sampled)
    gate = gate_rule(settings, len(run.request.challengers))
    guardrails = guardrail_rules(settings, run.request.releases)
    plans = suite_plans(samples, rules, gate, past)
    num_answers = len(samples) * len(run.seeds)
    used = {role: mean for role, mean in tokens.items() if mean is not None}
    num_tokens = round(num_answers * sum(map(sum, used.values()))) if used else None
    prices = known_prices(settings, run.request.releases)
    money = sum(num_answers * prices[role].of(*mean) for role, mean in used.items() if prices)
    seconds = round(num_tokens / float(speed), 1) if num_tokens is not None and speed else None
    notes = {
        "headline": headline(plans),
        "policy": policy(rules, gate, guardrails),
        "ship_probability": ship_probability(plans),
        "suites": [suite.to_json() for suite in plans],
        "cautions": [] if noise is None else _below_noise(noise, plans, settings, len(run.seeds)),
        "num_completions": num_answers * len(tokens),
        "num_tokens": num_tokens,
        "seconds": seconds,
        "cost": round(money, 6) if used and prices else None,
        "currency": prices["champion"].currency if prices else None,
    }
    receipt = Receipt(STAGE, digest, rows_in=len(samples), rows_out=len(samples), notes=notes)
    with run.open_store() as store, store.transaction():
        ledger.finish_stage(store, run.run_id, receipt, run.clock())
    return receipt


def _below_noise(
    noise: KnownNoise, plans: Sequence[SuitePlan], settings: Settings, repeats: int
) -> list[str]:
    """Margins that no run of this size could pass, by the newest noise of the champion's name."""
    asked = {plan.suite: (plan.margin, plan.num_samples) for plan in plans if plan.num_samples}
    scorers = instruments(settings, [plan.suite for plan in plans])
    versions = {suite: scorer.version for suite, scorer in scorers.items()}
    return margins_below(noise.applying_to(versions, repeats).values(), asked)
