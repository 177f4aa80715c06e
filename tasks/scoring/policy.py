"""What a verdict is decided by, as one value that is fixed before the numbers are known.

The plan writes it down before anything is generated; the gate compares what it decides by with what
was written down, and says what is another now. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tasks.model.canonical import canonical_json
from tasks.model.guardrail import GuardrailRule
from tasks.model.verdict import GateRule, SuiteRule

Policy = Mapping[str, Any]


def policy(
    rules: Sequence[SuiteRule], gate: GateRule, guardrails: Sequence[GuardrailRule] = ()
) -> dict[str, Any]:
    """Dotted key → value, as in the settings."""
    values = {f"gate.{name}": value for name, value in asdict(gate).items()}
    for rule in rules:
        declared = asdict(rule)
        slices = declared.pop("slices")
        name = declared.pop("name")
        declared.pop("also")  # decides nothing
        values |= {f"suites.{name}.{key}": value for key, value in declared.items()}
        values |= {f"suites.{name}.slices.{key}": margin for key, margin in slices.items()}
    for guardrail in guardrails:
        declared = asdict(guardrail)
        prices = declared.pop("prices")
        # as JSON gives it back
        declared["suites"] = list(guardrail.suites)
        name = declared.pop("name")
        values |= {f"guardrails.{name}.{key}": value for key, value in declared.items()}
        for role, price in prices.items():
            key = f"guardrails.{name}.price.{role}"
            values |= {f"{key}.{part}": value for part, value in price.items()}
    return dict(sorted(values.items()))


def digest(declared: Policy) -> str:
    return hashlib.sha256(canonical_json(dict(declared)).encode()).hexdigest()


def changes(planned: Policy, now: Policy) -> tuple[str, ...]:
    """What decides is another than what was planned with, one text a key."""
    return tuple(
        f"{key} {planned.get(key, 'not set')} → {now.get(key, 'not set')}"
        for key in sorted(planned.keys() | now.keys())
        if planned.get(key) != now.get(key)
    )
