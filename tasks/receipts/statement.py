"""The statements of a run's receipt: in-toto Statement v1, with a predicate of our own, and with
in-toto's own for results of tests. Pure: facts in, JSON values out.

The predicate's type is a name, as in-toto has it, and no address that anything is at. Its JSON
Schema is tasks/model/schemas/receipt-1.json.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import PurePath
from typing import Any

from tasks.model.answer import Role
from tasks.model.release import Release
from tasks.model.urls import is_url, without_password
from tasks.model.verdict import SHIPS, RecordedVerdict, SuiteResult
from tasks.receipts.facts import Facts

STATEMENT = "https://in-toto.io/Statement/v1"
RECEIPT = "https://llm-flywheel.dev/receipt/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
#: what is added to a receipt later; the rest is a function of the run
ADDED_LATER = ("approval", "reproduction", "erasures")
_KEEP_DAYS = 183

Statement = dict[str, Any]


def receipt(facts: Facts) -> Statement:
    """All that the verdict was bound to and rests on."""
    return _statement(RECEIPT, facts.releases, facts, _predicate(facts))


def as_test_result(facts: Facts, role: Role) -> Statement:
    """Whether one challenger passed. There is no 'passed with warnings' here: cannot_tell is no
    pass."""
    decided = facts.verdicts[role]
    gating = [suite for suite in decided.suites if suite.rule.is_gating]
    of_policy = [] if facts.commitment is None else [
        {"name": "policy", "digest": _sha256(facts.commitment.policy_digest)}
    ]  # fmt: skip
    predicate = {
        "result": "PASSED" if decided.verdict in SHIPS else "FAILED",
        "configuration": [
            *of_policy,
            {"name": "eval set", "digest": _sha256(facts.eval_set.digest)},
            {"name": "champion", "digest": _sha256(facts.releases["champion"].digest)},
        ],
        "passedTests": [suite.rule.name for suite in gating if suite.verdict in SHIPS],
        "warnedTests": [],
        "failedTests": [suite.rule.name for suite in gating if suite.verdict not in SHIPS],
    }
    return _statement(TEST_RESULT, {role: facts.releases[role]}, facts, predicate)


def _statement(
    kind: str, releases: Mapping[Role, Release], facts: Facts, predicate: Mapping[str, Any]
) -> Statement:
    subjects = {facts.name(role): release.digest for role, release in releases.items()}
    return {
        "_type": STATEMENT,
        "subject": [
            {"name": name, "digest": _sha256(digest)} for name, digest in sorted(subjects.items())
        ],
        "predicateType": kind,
        "predicate": dict(predicate),
    }


def _predicate(facts: Facts) -> dict[str, Any]:
    decided = facts.verdicts[facts.leading]
    return {
        "run_id": facts.run_id,
        "began_at": moment(facts.began_at),
        "decided_at": moment(decided.decided_at),
        "releases": [_release(facts, role) for role in facts.releases],
        "policy": _policy(facts),
        "inputs": _inputs(facts),
        "instrument": _instrument(decided.suites),
        "result": _result(facts),
        "materials": _materials(facts),
        "approval": None,
        "reproduction": [],
        "limits": list(_limits(facts)),
        "retention_until": moment(decided.decided_at + timedelta(days=_keep_days(facts))),
        "erasures": [],
    }


def _release(facts: Facts, role: Role) -> dict[str, Any]:
    release = facts.releases[role]
    return {
        "role": role,
        "name": facts.name(role),
        "digest": _sha256(release.digest),
        "model": _sha256(release.model_digest),
        "prompts": _sha256(release.prompt_digest),
        "sampling": dict(release.sampling),
        "engine": dict(release.engine),
    }


def _policy(facts: Facts) -> dict[str, Any]:
    """`answers_before`: of the run's answers, those that were there when it was fixed."""
    bound, decided = facts.commitment, facts.stages.get("gate")
    return {
        "digest": None if bound is None else _sha256(bound.policy_digest),
        "fixed_at": None if bound is None else moment(bound.fixed_at),
        "declared": {} if bound is None else dict(bound.policy),
        "settings": None if bound is None else _sha256(bound.settings_digest),
        "changes": [] if decided is None else list(decided.notes.get("policy_changes", ())),
        "answers_before": _answers_before(facts),
    }


def _answers_before(facts: Facts) -> int | None:
    if facts.evaluated is None:
        return None
    of_others = facts.evaluated.rows_out if facts.request.scores_of else None
    return facts.evaluated.notes.get("cached") if of_others is None else of_others


def _inputs(facts: Facts) -> dict[str, Any]:
    """Log files are named from the folder of the settings on; what lies elsewhere by its last name,
    for folders of a machine are nobody else's business."""
    validated = facts.stages.get("validate")
    eval_set = facts.eval_set
    owners = {suite.rule.name: suite.rule.owner for suite in facts.verdicts[facts.leading].suites}
    return {
        "logs": [
            {
                "name": _log_name(file.path, facts.request.config),
                "digest": _sha256(file.digest),
                "format": file.format,
                "rows": file.rows_out,
            }
            for file in facts.logs
        ],
        "contract": {} if facts.commitment is None else dict(facts.commitment.rules),
        "files": {} if facts.commitment is None else dict(facts.commitment.files),
        "quarantined": {} if validated is None else dict(validated.notes.get("by_reason", {})),
        "eval_set": {
            "digest": _sha256(eval_set.digest),
            "parent": eval_set.parent_digest and _sha256(eval_set.parent_digest),
            "num_samples": eval_set.num_samples,
            "made_by": eval_set.run_id,
            "rule": dict(eval_set.rule),
            "owners": owners,
        },
        "looks": dict(facts.looks),
    }


def _instrument(suites: tuple[SuiteResult, ...]) -> dict[str, Any]:
    judges = {}
    for suite in suites:
        if suite.judge is not None:
            card = suite.judge.to_json()
            judges[suite.rule.name] = {
                **{key: card[key] for key in ("name", "kind", "version", "can_gate", "why_not")},
                "kappa": card["people"],
            }
    return {
        "scorers": {suite.rule.name: suite.scorer for suite in suites},
        "also": {
            suite.rule.name: [one.scorer for one in suite.also] for suite in suites if suite.also
        },
        "judges": judges,
        "noise_floor": {suite.rule.name: suite.noise_floor for suite in suites},
    }


def _result(facts: Facts) -> dict[str, Any]:
    """Numbers as in `flywheel verdict --json`."""
    return {
        "verdict": facts.verdicts[facts.leading].verdict,
        "reasons": list(facts.verdicts[facts.leading].reasons),
        "challengers": [
            {"role": role, "release": facts.name(role), **verdict_json(decided)}
            for role, decided in facts.verdicts.items()
        ],
        "ranking": [asdict(rank) for rank in facts.ranking],
    }


def verdict_json(decided: RecordedVerdict) -> dict[str, Any]:
    return {
        "verdict": decided.verdict,
        "decided_at": moment(decided.decided_at),
        "reasons": list(decided.reasons),
        "suites": [suite.to_json() for suite in decided.suites],
        "slices": [asdict(part) for part in decided.slices],
        "guardrails": [part.to_json() for part in decided.guardrails],
    }


def _materials(facts: Facts) -> dict[str, Any]:
    """`resumed_under`: other packages or another commit that the run was gone on with."""
    first, *others = facts.commitment.materials if facts.commitment else ({},)
    return {
        "packages": first.get("packages", {}),
        "source": first.get("source"),
        "resumed_under": [dict(other) for other in others],
        "devices": sorted(
            {str(r.engine["device"]) for r in facts.releases.values() if "device" in r.engine}
        ),
        "seeds": list(facts.seeds),
    }


def _keep_days(facts: Facts) -> int:
    if facts.commitment is None:
        return _KEEP_DAYS
    return int(facts.commitment.settings["receipts"]["keep_days"])


def _limits(facts: Facts) -> Iterator[str]:
    """What it does not prove, each in a sentence."""
    yield (
        "It tells what was decided, on what and by which rule; that the rule and its margins are "
        "good ones it does not tell."
    )
    yield (
        "The eval set stands for the traffic that it was drawn from and for the suites that were "
        "written; of anything else the verdict says nothing."
    )
    yield (
        "The signature tells that whoever holds the key wrote this. The times are those of that "
        "machine's clock: nobody else has witnessed them."
    )
    if facts.commitment is None:
        yield (
            "The run is of a build that did not write its policy down beforehand: what is told of "
            "it is as the verdict has it."
        )
    before = _answers_before(facts)
    if before:
        yield (
            f"{before:,} of the answers were there before the policy was fixed, from earlier runs; "
            "whoever declared it could have seen them."
        )
    for role, release in facts.releases.items():
        if not release.engine.get("is_deterministic", True):
            yield (
                f"{facts.name(role)} is answered by an API: its weights were not seen, and the "
                "same answer twice is not promised."
            )
    source = _materials(facts)["source"]
    if source is not None and source["dirty"]:
        yield "Files of the checkout had been changed since the commit that is named."
    unmeasured = [
        suite.rule.name
        for suite in facts.verdicts[facts.leading].suites
        if suite.rule.is_gating and suite.noise_floor is None
    ]
    if unmeasured:
        yield f"The noise floor was not known of: {', '.join(unmeasured)}."
    if facts.verdicts[facts.leading].verdict == "cannot_tell":
        yield "It could not be told whether the challenger loses; that is not a pass."


def _log_name(path: str, config: str) -> str:
    if is_url(path):
        return without_password(path)
    pure = PurePath(path)
    if config and pure.is_relative_to(PurePath(config).parent):
        return pure.relative_to(PurePath(config).parent).as_posix()
    return pure.name if pure.is_absolute() else path


def _sha256(digest: str) -> dict[str, str]:
    return {"sha256": digest}


def moment(at: datetime) -> str:
    """UTC without a zone, as the store keeps it → RFC 3339."""
    return f"{at.isoformat(timespec='microseconds')}Z"
