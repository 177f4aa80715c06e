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
from flows.options import Options
from flows.stages import stage_named, stages_of
from flows.turn import Outcome, execute_stage, request_from, turn
from tasks import preflight
from tasks.errors import FlywheelError
from tasks.model.receipt import Receipt
from tasks.run import Progress, Run, RunRequest, silent
from tasks.settings import Settings, read_settings

_RETRY_DELAYS_S: list[float] = [5, 30]


def _is_transient(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    try:
        state.result()
    except FlywheelError as error:
        return error.transient
    except Exception:
        return False
    return False


def stage_task(name: str) -> Task[[Run], Receipt]:
    stage = stage_named(name)

    def run_stage(run: Run) -> Receipt:
        return execute_stage(name, run)

    decorate = task(
        name=name,
        description=stage.title,
        task_run_name=name,
        retries=stage.retries,
        retry_delay_seconds=_RETRY_DELAYS_S[: stage.retries],
        retry_condition_fn=_is_transient,
        cache_policy=NO_CACHE,
        persist_result=False,
    )
    return decorate(run_stage)


def _execute(name: str, run: Run) -> Receipt:
    return stage_task(name)(run)


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
    options = Options(
        logs=logs,
        champion=champion,
        challenger=challenger,
        seed=seed,
        since=since,
        until=until,
        config=config,
    )
    settings = read_settings(config)
    request = request_from(settings, options, stages_of("run"))
    preflight.require(settings, request)
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
