"""Flow runs that were cut off: by a kill, a power cut, a worker that was stopped.

Prefect goes on showing such a run as running, and its deployment has room for one. So a flow run of
ours holds a lock on a file named for it as long as its process lives; it removes the file when it
ends by itself, whatever it came to. A file whose lock is free tells of one that was cut off: it is
marked as crashed, which gives its place back, and scheduled again, a few times at most. What it had
done is in the store, and the turn goes on after its last whole stage. Where machines share a store,
it holds a lease there as well: nobody takes a run of another machine for cut off while it is
renewed, and anybody takes up one whose machine is gone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from flows.prefect_server import QUIET

os.environ.update(QUIET)  # before prefect is imported: it reads them once

from filelock import FileLock, Timeout
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, WorkPoolFilter
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectNotFound, Pause
from prefect.runtime import flow_run
from prefect.states import AwaitingRetry, Cancelled, Crashed

from tasks.settings import Settings
from tasks.store.leasing import ended_leases, forget_lease, is_leased_elsewhere, leased

#: what kills its worker so often will kill the next one, too
MAX_STARTS = 3
CUT_OFF = "its process was killed or stopped"
_GOES_ON = f"{CUT_OFF}: it goes on after its last whole stage"
_GIVEN_UP = f"{CUT_OFF}, {MAX_STARTS} times: what it has done is kept, and the next night goes on"
_AT_WORK = (StateType.PENDING, StateType.RUNNING, StateType.CANCELLING)
_MAX_RUNS = 200
_LEASE = "flow-run:"


@contextmanager
def marked_alive(settings: Settings) -> Iterator[None]:
    """Around the body of a flow run. What stops a program from outside is no Exception."""
    run_id = flow_run.get_id()
    file = _folder(settings.home_path) / f"{run_id}.lock"
    file.parent.mkdir(parents=True, exist_ok=True)
    busy = "this flow run is at work"
    with (
        FileLock(file),
        leased(settings, f"{_LEASE}{run_id}", busy=busy, is_left_when_stopped=True),
    ):
        try:
            yield
        except (Exception, Pause):
            file.unlink(missing_ok=True)
            raise
        file.unlink(missing_ok=True)


def take_up(settings: Settings, *, pool: str = "") -> list[UUID]:
    """Schedule again what was cut off; which flow runs that were. `pool`: of whose worker it is
    known that it is not there, so that whatever it had begun was cut off. Raises what Prefect's
    client raises where the server does not answer."""
    files = {UUID(file.stem): file for file in _folder(settings.home_path).glob("*.lock")}
    silent = {UUID(name.removeprefix(_LEASE)) for name in ended_leases(settings, _LEASE)}
    with get_client(sync_client=True) as client:
        begun = {run.id for run in _at_work(client, pool)} if pool else set()
        again = []
        for run_id in sorted(begun | silent | files.keys()):
            if _is_alive(settings, run_id):
                continue
            if _schedule_again(client, run_id, files.get(run_id)):
                again.append(run_id)
            forget_lease(settings, f"{_LEASE}{run_id}")
        return again


def _folder(home: Path) -> Path:
    return home / "flow-runs"


def _is_alive(settings: Settings, run_id: UUID) -> bool:
    file = _folder(settings.home_path) / f"{run_id}.lock"
    if not file.exists():
        return is_leased_elsewhere(settings, f"{_LEASE}{run_id}")
    try:
        with FileLock(file, timeout=0):
            return False
    except Timeout:
        return True


def _at_work(client: SyncPrefectClient, pool: str) -> list[FlowRun]:
    states = FlowRunFilter.model_validate({"state": {"type": {"any_": list(_AT_WORK)}}})
    of_pool = WorkPoolFilter.model_validate({"name": {"any_": [pool]}})
    return client.read_flow_runs(flow_run_filter=states, work_pool_filter=of_pool, limit=_MAX_RUNS)


def _schedule_again(client: SyncPrefectClient, run_id: UUID, file: Path | None) -> bool:
    """Whether it was; one that ended, was cancelled or is another server's is left as it is."""
    try:
        run = client.read_flow_run(run_id)
    except ObjectNotFound:
        run = None
    is_again = run is not None and _mark(client, run)
    if file is not None:
        file.unlink(missing_ok=True)
    return is_again


def _mark(client: SyncPrefectClient, run: FlowRun) -> bool:
    assert run.state is not None, "the server gives every flow run one"
    kind = run.state.type
    if kind == StateType.CANCELLING:
        client.set_flow_run_state(run.id, Cancelled(message=CUT_OFF))
        return False
    # suspended, and killed before its form was there: it has to ask once more
    if kind not in (*_AT_WORK, StateType.CRASHED, StateType.PAUSED):
        return False
    is_again = run.run_count < MAX_STARTS
    if kind != StateType.CRASHED:
        message = _GOES_ON if is_again else _GIVEN_UP
        client.set_flow_run_state(run.id, Crashed(message=message))
    if is_again:
        client.set_flow_run_state(run.id, AwaitingRetry(message=_GOES_ON))
    return is_again
