"""Which suites and guardrails a run judges by, each with its scorer or measure, role and margin.

The one place that knows what the suite of logged answers is, and that refuses a suite that nobody
declared: evaluate, gate and the check before a run read its result.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from tasks.errors import UsageError, did_you_mean
from tasks.model.answer import Role
from tasks.model.guardrail import GuardrailRule, Price
from tasks.model.verdict import GateRule, SuiteRule
from tasks.scoring.instrument import Instrument, instrument
from tasks.scoring.judged import judged_instrument
from tasks.scoring.registry import KINDS
from tasks.settings import CONFIG_NAME, Settings
from tasks.settings.sections import Scorer

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
        metric = suite_instrument(settings, name).metric
        also = tuple(one.metric for one in also_instruments(settings, name))
        margin = settings.margin(name)
        slices = dict(suite.slices)
        rules.append(SuiteRule(name, suite.role, margin, metric, suite.owner, slices, also))
    if LOGGED_SUITE in present and LOGGED_SUITE not in settings.suites:
        rules.append(
            SuiteRule(LOGGED_SUITE, "report", settings.margin(LOGGED_SUITE), LOGGED_SCORER)
        )
    return tuple(rules)


def suite_instrument(settings: Settings, suite: str) -> Instrument:
    """What a suite's answers are judged by. Raises UsageError as `instrument`."""
    declared = settings.suites.get(suite)
    if declared is None:
        return instrument(LOGGED_SCORER)
    if isinstance(declared.scorer, dict) and "judge" in declared.scorer:
        judged = judged_instrument(settings, suite, declared.scorer)
        return _of_mode(judged, suite, declared.mode, f"suites.{suite}.scorer")
    return _declared(declared.scorer, settings, suite, "scorer")


def _declared(scorer: Scorer, settings: Settings, suite: str, key: str) -> Instrument:
    """Raises UsageError as `instrument`, and on one that cannot read what the suite asks for."""
    key = f"suites.{suite}.{key}"
    made = instrument(
        scorer, key, Path(settings.base or "."), allow_code=settings.allow_code_execution
    )
    return _of_mode(made, suite, settings.suites[suite].mode, key)


def _of_mode(made: Instrument, suite: str, mode: str, key: str) -> Instrument:
    if made.mode != mode:
        fit = sorted(kind.name for kind in KINDS.values() if kind.mode == mode)
        raise UsageError(
            f'the suite {suite!r} has mode = "{mode}", and {made.metric} reads answers of '
            f'mode = "{made.mode}"',
            received=key,
            allowed=", ".join(fit),
            next=f"correct {key}, or suites.{suite}.mode",
        )
    return made


def also_instruments(settings: Settings, suite: str) -> tuple[Instrument, ...]:
    """What its answers are judged by besides. Raises UsageError as `instrument`, and on one that is
    named twice."""
    declared = settings.suites.get(suite)
    if declared is None or not declared.also:
        return ()
    key = f"suites.{suite}.also"
    also = tuple(_declared(one, settings, suite, "also") for one in declared.also)
    versions = [suite_instrument(settings, suite).version]
    for one in also:
        if one.version in versions:
            raise UsageError(
                f"the suite {suite!r} has the scorer {one.metric} twice",
                received=key,
                next=f"name it once, in `suites.{suite}.scorer` or in `{key}`",
            )
        versions.append(one.version)
    return also


def instruments(settings: Settings, suites: Iterable[str]) -> dict[str, Instrument]:
    """Suite → what its answers are judged by."""
    return {suite: suite_instrument(settings, suite) for suite in suites}


def guardrail_rules(settings: Settings, releases: Mapping[Role, str]) -> tuple[GuardrailRule, ...]:
    """Every declared guardrail; `releases`: role → name. Raises UsageError as `guardrail_rule`."""
    return tuple(guardrail_rule(name, settings, releases) for name in settings.guardrails)


def guardrail_rule(name: str, settings: Settings, releases: Mapping[Role, str]) -> GuardrailRule:
    """Raises UsageError on a suite that is not declared, and on a cost that cannot be told: a
    release without a price, or two currencies."""
    guardrail = settings.guardrails[name]
    undeclared = sorted(set(guardrail.suites) - {*settings.suites, LOGGED_SUITE})
    if undeclared:
        raise UsageError(
            f"guardrail {name!r} is of a suite that {CONFIG_NAME} does not declare"
            + did_you_mean(undeclared[0], settings.suites),
            received=", ".join(undeclared),
            allowed=", ".join(sorted({*settings.suites, LOGGED_SUITE})),
            next=f"correct guardrails.{name}.suites",
        )
    prices = prices_of(settings, releases) if guardrail.measure == "cost" else {}
    return GuardrailRule(
        name, guardrail.measure, guardrail.margin, guardrail.suites, guardrail.owner, prices
    )


def prices_of(settings: Settings, releases: Mapping[Role, str]) -> dict[Role, Price]:
    """Raises UsageError where one has none, or they are in two currencies."""
    prices: dict[Role, Price] = {}
    for role, name in releases.items():
        if not name:  # a plan needs no releases yet
            continue
        declared = settings.release(name).price
        prices[role] = Price(declared.input, declared.output, declared.currency)
        if not prices[role].is_known:
            raise UsageError(
                f"what release {name!r} costs is not known",
                received=f"no price of {name}",
                next=f"set input and output in [releases.{name}.price], of a million tokens",
            )
    currencies = {price.currency for price in prices.values()}
    if len(currencies) > 1:
        raise UsageError(
            "the prices of the releases are in two currencies, so their costs cannot be compared",
            received=", ".join(f"{releases[r]}: {price.currency}" for r, price in prices.items()),
            next="give all prices in one currency",
        )
    return prices


def known_prices(settings: Settings, releases: Mapping[Role, str]) -> dict[Role, Price]:
    """The same where they are known, of every release and in one currency; else none."""
    if not all(name in settings.releases for name in releases.values()):
        return {}
    try:
        return prices_of(settings, releases)
    except UsageError:
        return {}


def gate_rule(settings: Settings, num_challengers: int = 1) -> GateRule:
    """What [gate] declares, for each of the challengers of a run: they share the error rate, since
    to pick one of them is to pick among many (Bonferroni)."""
    gate = settings.gate
    alpha = gate.alpha / max(num_challengers, 1)
    return GateRule(
        alpha, gate.early, gate.max_missing_ratio, gate.unseen_loss, gate.must_pass_reliability
    )
