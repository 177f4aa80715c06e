"""What is said of a run that is not there."""

from __future__ import annotations

from tasks.errors import UsageError


def no_such_run(run_id: str) -> UsageError:
    return UsageError(
        "no such run" if run_id else "no run has reached a verdict yet",
        received=run_id or "no run id",
        next="flywheel sql 'select run_id, state from runs order by run_id desc'",
    )
