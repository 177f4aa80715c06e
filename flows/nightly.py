"""The Prefect flow: the same turn as `flywheel run --inline`, each stage a Prefect task.

Prefect schedules, shows and retries; what happened is in our ledger and in MLflow. Entry point of
the deployment in prefect.yaml: flows.nightly.nightly.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar
from uuid import UUID

from flows.prefect_server import QUIET

os.environ.update(QUIET)  # before prefect is imported: it reads them once

from prefect import flow, task
from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
)
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, TaskRun
from prefect.events.clients import PrefectEventsClient
from prefect.events.worker import EventsWorker
from prefect.runtime import flow_run
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.states import Completed
from prefect.tasks import Task
from prefect.utilities.annotations import quote

from flows.approval import answered, ask_for
from flows.commands.record import catch_up
from flows.deployed import as_far_as_it_listens, at_work, flow_run_link, say_once, say_untold
from flows.nights import nights_due
from flows.notices import newest, of_outcome, tell
from flows.options import Options
from flows.stages import stage_named, stages_of
from flows.summary import report_link, run_name, summary_markdown
from flows.turn import Execute, Outcome, execute_stage, hold, request_from, turn
from tasks import preflight
from tasks.errors import FlywheelError
from tasks.model.receipt import Receipt
from tasks.model.run import RunRequest
from tasks.report import wording
from tasks.run import Progress, Run, silent, utc_now
from tasks.settings import Settings, read_settings

T = TypeVar("T")
_RETRY_DELAYS_S: list[float] = [5, 30]
#: for whatever else is at work on the state folder: nobody is there to start a night again
WAIT_S = 6 * 3600.0


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


def in_turn() -> Execute:
    """Each stage a task that comes after the one before. Prefect looks for results of other tasks
    in what a task is given, and would take the names of stages in a run for those: hence `quote`.
    """
    before: list[Receipt] = []

    def as_task(name: str, run: Run) -> Receipt:
        receipt = stage_task(name)(quote(run), wait_for=before)
        before[:] = [receipt]
        return receipt

    return as_task


@flow(name="nightly", description=__doc__, validate_parameters=True, persist_result=False)
def nightly(
    logs: list[str] | None = None,
    champion: str = "",
    challenger: str | list[str] = "",
    seed: int | None = None,
    since: str = "",
    until: str = "",
    config: str | None = None,
) -> State[dict[str, Any]]:
    """Logs in, verdict out, for every night that is due (flows/nights.py). What is not given comes
    from flywheel.toml.

    A gate that holds is a result, not a failure: the flow run completes, and its final state is
    named for the verdict of the last night, such as `Held: worse`.

    Args:
        logs: Log files: paths, patterns or addresses.
        champion: Release in production.
        challenger: Release that asks to ship, or a list of several.
        seed: Of the answers that are drawn.
        since: First moment of calls; with it or `until` the window is one turn, and no night.
        until: First moment after them.
        config: The flywheel.toml to work by.
    """
    options = Options(
        logs=logs,
        champion=champion,
        challenger=[challenger] if isinstance(challenger, str) and challenger else list(challenger),
        seed=seed,
        since=since,
        until=until,
        config=config,
    )
    settings = read_settings(config)
    request = request_from(settings, options, stages_of("run"))
    with at_work(settings):
        if ended := answered(settings):
            return ended
        preflight.require(settings, request)
        with hold(settings, wait_s=WAIT_S):  # whoever had it may have turned them
            outcome = _turn_all(settings, nights_due(settings, request, utc_now()))
        if outcome is None:
            return Completed(name="Nothing due", message="the last night that is over was turned")
        if settings.promotion.approval == "prefect":
            ask_for(settings, outcome)
    return _ended(outcome, outcome.to_dict())


def _turn_all(settings: Settings, nights: Sequence[RunRequest]) -> Outcome | None:
    """What the last came to. One that failed is in the next, which takes in all before it."""
    try:
        for _ in catch_up(settings, execute=in_turn()):
            pass
    except FlywheelError as error:
        say_once(f"flywheel: earlier verdicts are not recorded yet: {error.line()}")
    outcome = None
    for night in nights:
        try:
            outcome = _turn(settings, night, silent)
        except FlywheelError as error:
            if night is nights[-1]:
                raise
            say_once(f"flywheel: the night of {night.until} failed: {error.line()}")
            continue
        tell(settings, of_outcome(outcome, newest(settings)), flow_run_link())
    return outcome


def run_local(settings: Settings, request: RunRequest, progress: Progress) -> Outcome:
    """The same for `flywheel run`, which has read settings and arguments already.

    A flow without parameters, since what it is given is not JSON; without the heartbeat thread,
    whose end costs a second. Where Prefect fails, at its beginning, midway or at its end, the turn
    still is turned, once, and its outcome or its error is what is told.
    """
    turned: Future[Outcome] = Future()

    def turn_once(turn_it: Callable[[], Outcome]) -> Outcome:
        try:
            turned.set_result(turn_it())
        except Exception as error:
            turned.set_exception(error)
        return turned.result()

    @flow(name="turn", persist_result=False)
    def local_turn() -> State[Outcome]:
        outcome = turn_once(lambda: _turn(settings, request, progress))
        return _ended(outcome, outcome)

    # a server that is gone is tried once more for each event, not for seven seconds
    EventsWorker.set_client_override(PrefectEventsClient, reconnection_attempts=1)
    logging.getLogger("websockets").setLevel(logging.CRITICAL)  # people read our one line
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        try:
            local_turn()
        except Exception as error:
            if not turned.done():
                turn_once(lambda: turn(settings, request, progress=progress))
            if turned.exception() is not error:
                say_untold(error)
    return turned.result()


def _turn(settings: Settings, request: RunRequest, progress: Progress) -> Outcome:
    with as_far_as_it_listens():
        _name_flow_run(wording.run_name(request.challengers, request.champion))
    outcome = turn(settings, request, execute=in_turn(), progress=progress)
    with as_far_as_it_listens():
        _name_flow_run(run_name(outcome))
        publish(outcome, settings)
    return outcome


def _ended(outcome: Outcome, data: T) -> State[T]:
    """Of type Completed, so that nothing takes a gate that holds for a crash."""
    reasons = outcome.decided.reasons if outcome.decided else ()
    name = f"{'Passed' if outcome.may_ship else 'Held'}: {outcome.verdict}"
    return Completed(name=name, message=" ".join(reasons), data=data)


def _name_flow_run(name: str) -> None:
    """Who looks at a list of runs reads what was compared, and how it ended."""
    with get_client(sync_client=True) as client:
        client.set_flow_run_name(UUID(flow_run.get_id()), name)


def publish(outcome: Outcome, settings: Settings) -> None:
    """A summary, the quarantine by reason, and where the report is. They are read on other machines
    than the one that ran the turn, so none links to a file of it."""
    link, of_run = report_link(settings, outcome), f"run {outcome.run_id}"
    summary = summary_markdown(outcome, link)
    create_markdown_artifact(
        key="flywheel-summary",
        markdown=summary,
        description=f"{of_run}: {run_name(outcome)}",
    )
    validated = outcome.receipt("validate")
    reasons = dict(validated.notes.get("by_reason", {})) if validated else {}
    create_table_artifact(
        key="flywheel-quarantine",
        table=[{"expectation": name, "rows": rows} for name, rows in reasons.items()],
        description="calls held back, by the first expectation they failed",
    )
    if link:
        create_link_artifact(
            key="flywheel-report",
            link=link,
            link_text="the whole report",
            description=f"of {of_run}",
        )
    elif outcome.report:
        place = f"The whole report is a file on `{socket.gethostname()}`: `{outcome.report}`"
        create_markdown_artifact(
            key="flywheel-report", markdown=f"{place}\n\n{summary}", description=f"of {of_run}"
        )
