"""A run that was decided, read back for the commands that look further into it."""

from __future__ import annotations

from flows.commands.turn import no_such_run
from tasks.errors import UsageError
from tasks.model.run import RunRequest
from tasks.model.turn import Turn
from tasks.record.reading import read_turn
from tasks.run import Progress, Run, silent
from tasks.settings import Settings
from tasks.store import Store
from tasks.store.control import ledger, verdicts


def read_decided(
    store: Store,
    settings: Settings,
    run_id: str,
    *,
    undecided: str,
    next: str,
    progress: Progress = silent,
) -> tuple[Run, Turn]:
    """The run whose id begins so; of no beginning, the newest that has a verdict. Raises UsageError
    where there is none, and one that says `undecided` and what to do `next` where it has none."""
    found = ledger.find_run(store, run_id)
    if found is None:
        raise no_such_run(run_id)
    if not verdicts.read_verdicts(store, found):
        raise UsageError(undecided, received=found, next=next)
    request = RunRequest.from_json(ledger.run_value(store, found, "request") or "{}")
    run = Run(found, request, settings, progress)
    return run, read_turn(store, found, run.seeds, versions={})
