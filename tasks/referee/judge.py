"""From paired runs to a verdict on every challenger: the gate, its sentences and the turn that the
report shows. Each judgement is one look by itself, at the gate's whole error rate."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from tasks.gate.ranking import leading, ranking
from tasks.gate.reasons import reasons
from tasks.gate.verdict import decide
from tasks.model.answer import JudgedSample, Role, challenger_role
from tasks.model.canonical import canonical_json
from tasks.model.guardrail import GuardrailRule
from tasks.model.health import SetHealth
from tasks.model.profile import AnswerProfile, of_pair
from tasks.model.receipt import Receipt
from tasks.model.release import Release
from tasks.model.turn import EvalSet, LogFile, Turn
from tasks.model.verdict import Decision, GateRule, RecordedVerdict, SuiteRole, SuiteRule
from tasks.referee.pairing import Paired, paired
from tasks.referee.values import Reading, Results
from tasks.scoring.policy import Policy, policy
from tasks.scoring.profile import profiles
from tasks.scoring.suites import gate_rule, guardrail_rule
from tasks.settings import Settings

STAGE = "gate"


@dataclass(frozen=True, slots=True)
class Asked:
    """What was said besides the runs; None: the settings say it. `command`: that judges again."""

    reading: Reading = field(default_factory=Reading)
    margin: float | None = None
    alpha: float | None = None
    role: SuiteRole | None = None
    command: tuple[str, ...] = ()


def judge(
    runs: Sequence[Results],
    asked: Asked,
    settings: Settings,
    now: datetime,
    versions: Mapping[str, str],
) -> Turn:
    """The champion first. Raises UsageError as `paired`."""
    roles: list[Role] = ["champion", *(challenger_role(place) for place in range(len(runs) - 1))]
    named = dict(zip(roles, _named_apart(runs), strict=True))
    reading = replace(asked.reading, max_missing_ratio=settings.gate.max_missing_ratio)
    found = paired(named, reading)
    rules = suite_rules(found.metrics, asked, settings)
    declared = settings if asked.alpha is None else _with_alpha(settings, asked.alpha)
    gate = replace(gate_rule(declared, len(runs) - 1), early=0.0)
    guardrails = _guardrails(settings, found)
    decisions = {
        role: decide(
            [item.pair(role) for item in found.judged],
            rules,
            gate,
            is_same_release=named[role].digest == named["champion"].digest,
            guardrails=guardrails,
        )
        for role in roles[1:]
    }
    ranked = ranking(found.judged, rules, declared.gate.alpha, gate.unseen_loss)
    answered = profiles(found.judged, {})
    leader = leading({role: each.verdict for role, each in decisions.items()}, ranked)
    verdicts = {
        role: _recorded(decisions[role], gate, found, of_pair(answered, role), len(runs) - 1, now)
        for role in sorted(decisions, key=lambda role: role != leader)
    }
    return Turn(
        run_id=_run_id(named, found, policy(rules, gate, guardrails)),
        started_at=now,
        request={"command": list(asked.command), "challengers": [run.name for run in runs[1:]]},
        releases={role: _release(run, found.judged, role) for role, run in named.items()},
        eval_set=_eval_set(found, now),
        verdicts=verdicts,
        ranking=ranked,
        judged=found.judged,
        receipts=tuple(_receipts(named, found, decisions, answered)),
        quarantined_by_reason={},
        log_files=tuple(
            LogFile(run.source, run.digest, run.format, len(run.rows), True)
            for run in named.values()
        ),
        versions=versions,
        health=SetHealth((), (), ()),
        profiles=answered,
    )


def suite_rules(
    metrics: Mapping[str, str], asked: Asked, settings: Settings
) -> tuple[SuiteRule, ...]:
    """Of every suite in the runs: what was said, else what flywheel.toml declares of a suite of
    that name, else primary with the gate's margin."""
    rules = []
    for suite, metric in metrics.items():
        declared = settings.suites.get(suite)
        rules.append(
            SuiteRule(
                name=suite,
                role=asked.role or (declared.role if declared else "primary"),
                margin=settings.margin(suite) if asked.margin is None else asked.margin,
                metric=metric,
                owner=declared.owner if declared else "",
                slices=dict(declared.slices) if declared else {},
            )
        )
    return tuple(rules)


def _named_apart(runs: Sequence[Results]) -> list[Results]:
    """Runs of one name, such as two prompts on one model, by their files too."""
    names = [run.name for run in runs]
    told = [
        f"{name} ({Path(run.source).name})" if names.count(name) > 1 else name
        for name, run in zip(names, runs, strict=True)
    ]
    return [
        replace(run, name=f"{name} {place}" if told.count(name) > 1 else name)
        for place, (name, run) in enumerate(zip(told, runs, strict=True), 1)
    ]


def _with_alpha(settings: Settings, alpha: float) -> Settings:
    gate = settings.gate.model_copy(update={"alpha": alpha})
    return settings.model_copy(update={"gate": gate})


def _guardrails(settings: Settings, found: Paired) -> list[GuardrailRule]:
    """Those of flywheel.toml that the runs can be judged by: of tokens, where they are told, on
    suites that are there. What a run cost is not known here."""
    answers = [a for item in found.judged for given in item.answers.values() for a in given]
    rules = []
    for name, declared in settings.guardrails.items():
        if declared.measure == "cost" or not set(declared.suites) <= found.metrics.keys():
            continue
        if any(getattr(answer, declared.measure) is not None for answer in answers):
            rules.append(guardrail_rule(name, settings, {}))
    return rules


def _recorded(
    decision: Decision,
    gate: GateRule,
    found: Paired,
    answered: Sequence[AnswerProfile],
    num_challengers: int,
    now: datetime,
) -> RecordedVerdict:
    first, *others = reasons(
        decision, gate, num_challengers=num_challengers, profiles=answered, tells_noise=False
    )
    return RecordedVerdict(
        verdict=decision.verdict,
        reasons=(first, *found.sentences, *others),
        suites=decision.suites,
        slices=decision.slices,
        decided_at=now,
        guardrails=decision.guardrails,
    )  # fmt: skip


def _run_id(runs: Mapping[Role, Results], found: Paired, declared: Policy) -> str:
    """The same scores judged by the same rules have the same id."""
    scores = [[item.score(role) for role in runs] for item in found.judged]
    told = [[run.digest, run.name] for run in runs.values()]
    text = canonical_json([told, dict(declared), scores])
    return f"referee-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _release(run: Results, judged: Sequence[JudgedSample], role: Role) -> Release:
    sizes = {len(answers) for item in judged for answers in item.answers.values()}
    is_repeated = len(sizes) == 1 and sizes.pop() > 1
    return Release(
        name=run.name,
        digest=run.digest,
        model=run.name,
        model_digest=run.digest,
        prompt_digest="",
        prompts={},
        sampling={},
        engine={"results": run.format, **({"is_deterministic": False} if is_repeated else {})},
    )


def _eval_set(found: Paired, now: datetime) -> EvalSet:
    ids = sorted((item.sample.suite, item.sample.request_id or "") for item in found.judged)
    digest = hashlib.sha256(canonical_json(ids).encode()).hexdigest()
    return EvalSet(digest, "", None, len(found.judged), now, {})


def _receipts(
    runs: Mapping[Role, Results],
    found: Paired,
    decisions: Mapping[Role, Decision],
    answered: Sequence[AnswerProfile],
) -> list[Receipt]:
    read = [
        Receipt(f"read {role}", run.digest, rows_in=len(run.rows), rows_out=len(run.rows),
                notes={"source": run.source, "format": run.format, "notes": list(run.notes)})
        for role, run in runs.items()
    ]  # fmt: skip
    return [
        *read,
        Receipt(
            STAGE,
            "",
            rows_in=len(found.judged),
            rows_out=len(found.judged),
            notes={
                "challengers": {role: each.verdict for role, each in decisions.items()},
                "answers": [profile.to_json() for profile in answered],
                "of_files": list(found.losses),
            },
        ),
    ]
