"""The Prefect flow: the same turn as `flywheel run --inline`, each stage a Prefect task.

Prefect schedules, shows and retries; what happened is in our ledger and in MLflow. Entry point of
the deployment in prefect.yaml: flows.nightly.nightly.
"""

from __future__ import annotations

import os
from typing import Any

from flows.prefect_server import QUIET

os.environ.update(QUIET)  # before prefect is imported: it reads them once

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.tasks import Task

from flows.artifacts import publish
from flows.stages import STAGES, TITLES
from flows.turn import Outcome, execute_stage, request_from, turn
from tasks.errors import FlywheelError
from tasks.model.receipt import Receipt
from tasks.run import Progress, Run, RunRequest, silent
from tasks.settings import Settings, read_settings

#: only these meet something outside this machine that may be back in a moment
_RETRIES = {"ingest": 2, "record": 2}
_RETRY_DELAYS_S: list[float] = [5, 30]


def _is_transient(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    try:
        state.result()
    except FlywheelError as error:
        return error.transient
    except Exception:
        return False
    return False


def _stage_task(stage: str) -> Task[[Run], Receipt]:
    def run_stage(run: Run) -> Receipt:
        return execute_stage(stage, run)

    outside = stage in _RETRIES
    decorate = task(
        name=stage,
        description=TITLES[stage],
        task_run_name=stage,
        retries=_RETRIES.get(stage, 0),
        retry_delay_seconds=_RETRY_DELAYS_S if outside else 0,
        retry_condition_fn=_is_transient if outside else None,
        cache_policy=NO_CACHE,
        persist_result=False,
    )
    return decorate(run_stage)


STAGE_TASKS = {stage: _stage_task(stage) for stage in STAGES}


def _execute(stage: str, run: Run) -> Receipt:
    return STAGE_TASKS[stage](run)


@flow(name="nightly", description=__doc__, validate_parameters=True, persist_result=False)
def nightly(
    logs: list[str] | None = None,
    champion: str = "",
    challenger: str = "",
    seed: int | None = None,
    since: str = "",
    until: str = "",
    config: str | None = None,
) -> dict[str, Any]:
    """Logs in, verdict out. What is not given comes from flywheel.toml.

    A gate that holds is a result, not a failure: the flow run completes and carries the verdict.
    """
    settings = read_settings(config)
    request = request_from(
        settings,
        logs=tuple(logs or ()),
        champion=champion,
        challenger=challenger,
        seed=seed,
        since=since,
        until=until,
    )
    return _turn(settings, request, silent).to_dict()


def run_local(settings: Settings, request: RunRequest, progress: Progress) -> Outcome:
    """The same for `flywheel run`, which has read settings and arguments already.

    A flow without parameters, since what it is given is not JSON; without the heartbeat thread,
    whose end costs a second.
    """

    @flow(name="turn", flow_run_name=_name(request), persist_result=False)
    def local_turn() -> Outcome:
        return _turn(settings, request, progress)

    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        return local_turn()


def _turn(settings: Settings, request: RunRequest, progress: Progress) -> Outcome:
    outcome = turn(settings, request, execute=_execute, progress=progress)
    publish(outcome, settings)
    return outcome


def _name(request: RunRequest) -> str:
    return f"{request.challenger} against {request.champion}".replace("{", "").replace("}", "")
