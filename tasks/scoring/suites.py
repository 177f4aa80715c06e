"""Which suites a run judges by, each with its scorer, role and margin.

The one place that knows what the suite of logged answers is, and that refuses a suite that nobody
declared: evaluate, gate and the check before a run read its result.
"""

from __future__ import annotations

from collections.abc import Collection

from tasks.errors import UsageError
from tasks.model.verdict import GateRule, SuiteRule
from tasks.scoring import scorer_version
from tasks.settings import CONFIG_NAME, Settings

#: calls for which only the logged answer is known, and how those are judged: they never gate
LOGGED_SUITE, LOGGED_SCORER = "logged", "token_f1"


def refuse_logged_gate(settings: Settings) -> None:
    """Raises UsageError where the suite of logged answers is declared to decide."""
    logged = settings.suites.get(LOGGED_SUITE)
    if logged is not None and logged.role != "report":
        raise UsageError(
            f"the suite {LOGGED_SUITE!r} cannot gate: its targets are production's own answers, so "
            "another wording would count as a loss",
            received=f'suites.{LOGGED_SUITE}.role = "{logged.role}"',
            allowed='role = "report"',
            next=f"set suites.{LOGGED_SUITE}.role, or gate by a suite with known right answers",
        )


def suite_rules(settings: Settings, present: Collection[str]) -> tuple[SuiteRule, ...]:
    """Every declared suite, and `logged` where it is `present` in the eval set.

    Raises UsageError on a present suite that is not declared, on a scorer that is not known, and
    where `logged` shall gate.
    """
    refuse_logged_gate(settings)
    undeclared = sorted(set(present) - {*settings.suites, LOGGED_SUITE})
    if undeclared:
        raise UsageError(
            f"the eval set has samples of a suite that {CONFIG_NAME} does not declare",
            received=", ".join(undeclared),
            allowed=", ".join(sorted({*settings.suites, LOGGED_SUITE})),
            next=f"add [suites.{undeclared[0]}], or `flywheel curate` for a new eval set",
        )
    rules = []
    for name, suite in settings.suites.items():
        scorer_version(suite.scorer, key=f"suites.{name}.scorer")
        margin = settings.margin(name)
        rules.append(
            SuiteRule(name, suite.role, margin, suite.scorer, suite.owner, dict(suite.slices))
        )
    if LOGGED_SUITE in present and LOGGED_SUITE not in settings.suites:
        rules.append(
            SuiteRule(LOGGED_SUITE, "report", settings.margin(LOGGED_SUITE), LOGGED_SCORER)
        )
    return tuple(rules)


def gate_rule(settings: Settings, num_challengers: int = 1) -> GateRule:
    """What [gate] declares, for each of the challengers of a run: they share the error rate, since
    to pick one of them is to pick among many (Bonferroni)."""
    gate = settings.gate
    alpha = gate.alpha / max(num_challengers, 1)
    return GateRule(
        alpha, gate.early, gate.max_missing_ratio, gate.unseen_loss, gate.must_pass_reliability
    )
