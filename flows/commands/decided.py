"""A run that was decided, read back for the commands that look further into it."""

from __future__ import annotations

from collections.abc import Iterable

from flows.run_named import no_such_run
from tasks.errors import UsageError
from tasks.model.answer import Role
from tasks.model.run import RunRequest
from tasks.model.turn import Turn
from tasks.record.reading import read_turn
from tasks.run import Progress, Run, silent
from tasks.settings import Settings
from tasks.store import Store
from tasks.store.control import ledger, verdicts
from tasks.store.opening import open_store


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


def last_decided(settings: Settings, run_id: str, *, undecided: str) -> tuple[Run, Turn]:
    """The same of a store that is only read, for commands that look at what was decided."""
    with open_store(settings, read_only=True) as store:
        return read_decided(
            store,
            settings,
            run_id,
            undecided=undecided,
            next="flywheel gate, or without RUN for the last that has one",
        )


def role_of(run: Run, turn: Turn, challenger: str, *, next: str) -> Role:
    """The part that a challenger played in the run; of none named the leading one. Raises
    UsageError for one that the run did not judge."""
    return role_named(run.request, turn.verdicts, challenger, next=next)


def role_named(request: RunRequest, judged: Iterable[Role], challenger: str, *, next: str) -> Role:
    """The same of the roles that were judged, the leading one first."""
    roles = list(judged)
    if not challenger:
        return roles[0]
    named = {request.releases[role]: role for role in roles}
    if challenger not in named:
        raise UsageError(
            "the run judged no such challenger",
            received=challenger,
            allowed=", ".join(named),
            next=f"{next} --challenger with one of them, or without it",
        )
    return named[challenger]
