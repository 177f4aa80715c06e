"""Gate: from the scores of champion and challenger to a verdict with its reasons.

Reads `eval_set_samples`, `completions` and `scores`, writes `verdicts`. The know-how is in the
modules beside this one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from tasks.errors import StoreError
from tasks.gate.answers import MISSING, UNSCORED, Answer, PairedSample
from tasks.gate.reasons import reasons
from tasks.gate.slices import slice_results
from tasks.gate.verdict import Decision, GateRule, Role, SuiteResult, SuiteRule, decide
from tasks.model.receipt import Receipt
from tasks.run import Run
from tasks.settings import Settings
from tasks.store import Store
from tasks.store.control import ledger, verdicts
from tasks.store.evals import samples

#: the suite of calls without a target of their own, and the scorer it is judged by
_LOGGED, _LOGGED_SCORER = "logged", "token_f1"


def gate(run: Run) -> Receipt:
    """Decide. Raises StoreError where the run has no eval set or no releases yet."""
    settings = run.settings
    with run.open_store() as store:
        keys = verdicts.read_run_keys(store, run.run_id)
        if not (keys.eval_set_digest and keys.champion_digest and keys.challenger_digest):
            raise StoreError(
                "there is nothing to decide on: this run has no evaluated releases",
                received=f"run {run.run_id}",
                next="flywheel run, which evaluates before it decides",
            )
        paired = _read_pairs(
            store, run, keys.eval_set_digest, keys.champion_digest, keys.challenger_digest
        )
    rules = _suite_rules(settings, {sample.suite for sample in paired})
    decision = decide(
        paired,
        rules,
        GateRule(settings.gate.alpha, settings.gate.max_missing_ratio),
        is_same_release=keys.champion_digest == keys.challenger_digest,
    )
    receipt = Receipt(
        stage="gate",
        key=run.run_id,
        rows_in=len(paired),
        rows_out=len(paired),
        notes={
            "verdict": decision.verdict,
            "suites": {suite.rule.name: suite.verdict for suite in decision.suites},
            "failed_must_pass": len(decision.failed_must_pass),
        },
    )
    with run.open_store() as store, store.transaction():
        _write(store, run, decision, paired)
        ledger.finish_stage(store, run.run_id, receipt, run.clock())
    return receipt


def _suite_rules(settings: Settings, found: set[str]) -> list[SuiteRule]:
    """Every declared suite, with samples or without, and `logged` where it has samples."""
    rules = [
        SuiteRule(name, suite.role, settings.margin(name), suite.scorer, suite.owner)
        for name, suite in settings.suites.items()
    ]
    if _LOGGED in found and _LOGGED not in settings.suites:
        role: Role = "report" if settings.suites else "primary"
        rules.append(SuiteRule(_LOGGED, role, settings.margin(_LOGGED), _LOGGED_SCORER))
    # a suite taken out of the settings between the stages informs, but was not asked to gate
    for name in sorted(found - {rule.name for rule in rules}):
        rules.append(SuiteRule(name, "report", settings.margin(name), _LOGGED_SCORER))
    return rules


def _read_pairs(
    store: Store, run: Run, eval_set: str, champion: str, challenger: str
) -> list[PairedSample]:
    seeds = [run.request.seed + repeat for repeat in range(run.settings.evaluate.repeats)]
    scorers = {name: suite.scorer for name, suite in run.settings.suites.items()}
    rows = samples.read_eval_set(store, eval_set)
    scorer_of = {row.sample_id: scorers.get(row.suite, _LOGGED_SCORER) for row in rows}
    old, new = (
        _answers(verdicts.read_answers(store, eval_set, digest, seeds), scorer_of)
        for digest in (champion, challenger)
    )
    return [
        PairedSample(
            sample_id=row.sample_id,
            suite=row.suite,
            cluster_id=row.cluster_id,
            champion=tuple(old.get((row.sample_id, seed), MISSING) for seed in seeds),
            challenger=tuple(new.get((row.sample_id, seed), MISSING) for seed in seeds),
            must_pass=row.must_pass,
            slices=json.loads(row.slices),
            is_known_failure=row.origin == "failure",
        )
        for row in rows
    ]


def _answers(
    rows: Sequence[verdicts.AnswerRow], scorer_of: dict[str, str]
) -> dict[tuple[str, int], Answer]:
    """One answer a completion: by the suite's scorer, in its newest version."""
    found: dict[tuple[str, int], Answer] = {}
    newest: dict[tuple[str, int], int] = {}
    for row in rows:
        key = (row.sample_id, row.seed)
        if not row.is_complete:
            found[key] = MISSING
            continue
        found.setdefault(key, UNSCORED)
        name, _, version = (row.scorer or "").partition("@")
        number = int(version) if version.isdigit() else 0
        if name == scorer_of[row.sample_id].partition("@")[0] and number >= newest.get(key, -1):
            newest[key] = number
            found[key] = Answer(row.value)
    return found


def _write(store: Store, run: Run, decision: Decision, paired: Sequence[PairedSample]) -> None:
    gate_settings = run.settings.gate
    verdicts.write_verdict(
        store,
        run.run_id,
        verdict=decision.verdict,
        reasons=reasons(decision, gate_settings.max_missing_ratio),
        suites=[suite_json(suite) for suite in decision.suites],
        slices=[asdict(part) for part in slice_results(paired, gate_settings.alpha)],
        now=run.clock(),
    )


def suite_json(suite: SuiteResult) -> dict[str, Any]:
    """A suite's result with the keys others rely on; None where a number is not defined."""
    comparison, rule = suite.comparison, suite.rule
    interval = None if comparison is None else comparison.interval
    old, new = suite.champion_interval, suite.challenger_interval
    return {
        "suite": rule.name,
        "metric": rule.metric,
        "num_samples": suite.num_samples,
        "champion": suite.champion,
        "challenger": suite.challenger,
        "difference": None if comparison is None else comparison.difference,
        "ci_low": None if interval is None else interval.low,
        "ci_high": None if interval is None else interval.high,
        "margin": rule.margin,
        "verdict": suite.verdict,
        "role": rule.role,
        "owner": rule.owner,
        "confidence": 1 - suite.level,
        "champion_ci": None if old is None else [old.low, old.high],
        "challenger_ci": None if new is None else [new.low, new.high],
        "num_clusters": suite.num_clusters,
        "num_scored_champion": suite.champion_tally.num_scored,
        "num_scored_challenger": suite.challenger_tally.num_scored,
        "num_missing_champion": suite.champion_tally.num_missing,
        "num_missing_challenger": suite.challenger_tally.num_missing,
        "num_unscored_champion": suite.champion_tally.num_unscored,
        "num_unscored_challenger": suite.challenger_tally.num_unscored,
        "num_unscored": suite.num_unscored,
        "known_failures": asdict(suite.known_failures),
        "correlation": None if comparison is None else comparison.correlation,
        "num_won": None if suite.discordant is None else suite.discordant[0],
        "num_lost": None if suite.discordant is None else suite.discordant[1],
        "p_value": None if comparison is None else comparison.p_value,
        "min_detectable_effect": None if comparison is None else comparison.min_detectable_effect,
        "method": "" if comparison is None else comparison.method,
    }
