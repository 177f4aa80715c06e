"""Flow runs that were cut off: by a kill, a power cut, a worker that was stopped.

Prefect goes on showing such a run as running, and its deployment has room for one. So a flow run of
ours holds a lock on a file named for it as long as its process lives; it removes the file when it
ends by itself, whatever it came to. A file whose lock is free tells of one that was cut off: it is
marked as crashed, which gives its place back, and scheduled again, a few times at most. What it had
done is in the store, and the turn goes on after its last whole stage.
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

#: what kills its worker so often will kill the next one, too
MAX_STARTS = 3
CUT_OFF = "its process was killed or stopped"
_GOES_ON = f"{CUT_OFF}: it goes on after its last whole stage"
_GIVEN_UP = f"{CUT_OFF}, {MAX_STARTS} times: what it has done is kept, and the next night goes on"
_AT_WORK = (StateType.PENDING, StateType.RUNNING, StateType.CANCELLING)
_MAX_RUNS = 200


@contextmanager
def marked_alive(home: Path) -> Iterator[None]:
    """Around the body of a flow run. What stops a program from outside is no Exception."""
    file = _folder(home) / f"{flow_run.get_id()}.lock"
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file):
        try:
            yield
        except (Exception, Pause):
            file.unlink(missing_ok=True)
            raise
        file.unlink(missing_ok=True)


def take_up(home: Path, *, pool: str = "") -> list[UUID]:
    """Schedule again what was cut off; which flow runs that were. `pool`: of whose worker it is
    known that it is not there, so that whatever it had begun was cut off. Raises what Prefect's
    client raises where the server does not answer."""
    files = {UUID(file.stem): file for file in _folder(home).glob("*.lock")}
    with get_client(sync_client=True) as client:
        begun = {run.id for run in _at_work(client, pool)} if pool else set()
        return [
            run_id
            for run_id in sorted(begun | files.keys())
            if not _is_alive(home, run_id) and _schedule_again(client, run_id, files.get(run_id))
        ]


def _folder(home: Path) -> Path:
    return home / "flow-runs"


def _is_alive(home: Path, run_id: UUID) -> bool:
    file = _folder(home) / f"{run_id}.lock"
    if not file.exists():
        return False
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
