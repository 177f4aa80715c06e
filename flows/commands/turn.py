"""Bodies of the commands that turn the flywheel, whole or in part."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from flows.backfill import by_day, finished
from flows.options import Options
from flows.piped import piped_in
from flows.progress import shown
from flows.stages import stages_of
from flows.summary import print_summary
from flows.turn import Outcome, outcome, request_from, request_to_decide, turn
from tasks import preflight
from tasks.errors import UsageError
from tasks.model.run import RunRequest
from tasks.run import utc_now
from tasks.settings import Settings, read_settings
from tasks.store import Store
from tasks.store.control import ledger

Turn = Callable[[RunRequest], Outcome]


def run_command(command: str, options: Options) -> int:
    """The stages of a command. The exit code speaks of the gate only where the gate ran."""
    settings = read_settings(options.config)
    if command == "gate":
        request = request_to_decide(settings, options)
    else:
        request = request_from(settings, options, stages_of(command))
    preflight.require(settings, request)
    show = _Show(settings, options.as_json, partial(_to_object, command))
    with _turning(settings, in_prefect=command == "run" and not options.inline) as turn_one:
        return _turn_all(settings, request, turn_one, show, backfill=options.backfill)


@contextmanager
def _turning(settings: Settings, *, in_prefect: bool) -> Iterator[Turn]:
    """What turns a request: this process, or a Prefect that starts once for all of them."""
    if not in_prefect:
        yield partial(_turn_here, settings)
        return
    from flows.prefect_server import prefect_api

    with prefect_api(settings.home_path) as wait_until_it_answers:
        from flows.nightly import run_local

        wait_until_it_answers()

        def turn_in_prefect(request: RunRequest) -> Outcome:
            with shown() as progress:
                return run_local(settings, request, progress)

        yield turn_in_prefect


def _turn_here(settings: Settings, request: RunRequest) -> Outcome:
    with shown() as progress:
        return turn(settings, request, progress=progress)


@dataclass(frozen=True, slots=True)
class _Show:
    """How results are shown: as tables, or as one JSON object."""

    settings: Settings
    as_json: bool
    to_object: Callable[[Outcome], dict[str, Any]]

    def one(self, result: Outcome) -> None:
        if not self.as_json:
            print_summary(result, self.settings)

    def end(self, value: Mapping[str, Any]) -> None:
        if self.as_json:
            print(json.dumps(value, default=str))


def _turn_all(
    settings: Settings, request: RunRequest, turn_one: Turn, show: _Show, *, backfill: bool
) -> int:
    """Turn the request, or each of its days; the exit code is the worst of them."""
    days = by_day(request, utc_now()) if backfill else []
    with piped_in(settings, request.logs) as logs:
        if not backfill:
            result = turn_one(replace(request, logs=logs))
            show.one(result)
            show.end(show.to_object(result))
            return _exit_code(result, request)
        objects, codes = [], []
        for day in days:
            asked = replace(day, logs=logs)
            done = finished(settings, asked)
            turned = " was turned before" if done else ""
            print(f"day {day.since} to {day.until}{turned}", file=sys.stderr)
            result = done or turn_one(asked)
            show.one(result)
            objects.append({"since": day.since, "until": day.until, **show.to_object(result)})
            codes.append(_exit_code(result, request))
        show.end({"days": objects})
    return max(codes)


def _exit_code(result: Outcome, request: RunRequest) -> int:
    return int("gate" in request.stages and not result.may_ship)


def _to_object(command: str, result: Outcome) -> dict[str, Any]:
    """A verdict whole; of other commands the counts and notes of the stage they are named for,
    flat."""
    receipt = result.receipt(command) or result.receipt(stages_of(command)[-1])
    if receipt is None or command in ("run", "gate"):
        return result.to_dict()
    flat = receipt.to_dict()
    return {**flat.pop("notes"), **flat, "run_id": result.run_id}


def no_such_run(run_id: str) -> UsageError:
    return UsageError(
        "no such run" if run_id else "no run has reached a verdict yet",
        received=run_id or "no run id",
        next="flywheel sql 'select run_id, state from runs order by run_id desc'",
    )


def show_run(run_id: str, *, config: str | None, as_json: bool) -> int:
    settings = read_settings(config)
    with Store.open(settings.store_path, read_only=True) as store:
        newest = ledger.find_run(store, run_id)
        if newest is None:
            raise no_such_run(run_id)
        result = outcome(store, newest)
    show = _Show(settings, as_json, Outcome.to_dict)
    show.one(result)
    show.end(result.to_dict())
    return 0
