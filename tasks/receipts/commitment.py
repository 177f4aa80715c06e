"""What a run is bound to, from its settings: the policy, the rules, and the files they name.

It is written down when the run begins, so that nobody has to believe that it was not made up after
the numbers were known.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

from tasks.model.commitment import Commitment
from tasks.model.run import RunRequest
from tasks.receipts.materials import materials
from tasks.rules import in_force
from tasks.scoring import policy
from tasks.scoring.suites import gate_rule, guardrail_rules, suite_rules
from tasks.settings import Settings

#: of no use to whoever runs it again, or nobody else's to know
_LEFT_OUT: Any = {
    "calendar": True,
    "home": True,
    "lineage": True,
    "logs": True,
    "mlflow": True,
    "notify": True,
    "promotion": True,
    "retention": True,
    "retirement_days": True,
    "review": True,
    "store": True,
    "evaluate": {"budget"},
    "releases": {"__all__": {"requests", "successor"}},
    "suites": {"__all__": {"review_by"}},
    "receipts": {"key_file"},
}


def commitment(settings: Settings, request: RunRequest, now: datetime) -> Commitment:
    """Raises UsageError as the stages do that read the same settings."""
    declared = policy_of(settings, request)
    return Commitment(
        fixed_at=now,
        policy=declared,
        policy_digest=policy.digest(declared),
        settings=written_down(settings),
        settings_digest=settings.digest,
        rules=rules_of(settings),
        files=files_of(settings),
        materials=(materials(),),
    )


def written_down(settings: Settings) -> dict[str, Any]:
    """The settings that change a result, as JSON that makes the same settings again."""
    values = settings.model_dump(mode="json", by_alias=True, exclude=_LEFT_OUT)
    # where it says something that it is said at all, what was not said is left out
    if "rules" not in settings.validation.model_fields_set:
        del values["validate"]["rules"]
    for name, judge in settings.judges.items():
        said = judge.model_fields_set
        values["judges"][name] = {
            key: value for key, value in values["judges"][name].items() if key in said
        }
    return values


def policy_of(settings: Settings, request: RunRequest) -> dict[str, Any]:
    """What decides: the gate, every declared suite, every guardrail."""
    gate = gate_rule(settings, len(request.challengers))
    guardrails = guardrail_rules(settings, request.releases)
    return policy.policy(suite_rules(settings, ()), gate, guardrails)


def rules_of(settings: Settings) -> dict[str, str]:
    """Kind of rows → digest of what they are judged by, ours and the user's."""
    return {
        "calls": in_force.calls_rules(settings).version,
        "batch": in_force.batch_rules(settings).version,
        "feedback": in_force.feedback_rules(settings).version,
        "samples": in_force.samples_rules(settings).version,
    }


def files_of(settings: Settings) -> dict[str, str]:
    """Name as in the settings → sha256, of the files that make eval set and judgements. One that
    is not there has none."""
    found: dict[str, str] = {}
    for name in dict.fromkeys(_named(settings)):
        with suppress(OSError), settings.path(name).open("rb") as file:
            found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return dict(sorted(found.items()))


def _named(settings: Settings) -> Iterator[str]:
    for suite in settings.suites.values():
        yield from filter(None, (suite.file, suite.samples))
    yield settings.curate.pins
    for judge in settings.judges.values():
        yield from filter(None, (judge.labels,))
