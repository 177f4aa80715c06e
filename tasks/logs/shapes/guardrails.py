"""What a guardrail decided on a call, in one shape: {"guardrail", "action", …}.

A block is a verdict on the call, never an HTTP error of it.
"""

from __future__ import annotations

from tasks.logs.shapes.records import Json

BLOCKED, MASKED, PASSED = "blocked", "masked", "passed"


def verdict(
    guardrail: str | None, blocked: bool, *, masked: bool = False, **details: Json
) -> dict[str, Json]:
    """Details are kept where they say something."""
    action = BLOCKED if blocked else MASKED if masked else PASSED
    said = {name: value for name, value in details.items() if value not in (None, "", [], {})}
    return {"guardrail": guardrail or "unknown", "action": action, **said}
