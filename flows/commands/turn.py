"""Bodies of the commands that turn the flywheel, whole or in part."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from flows.backfill import by_day, finished
from flows.options import Options
from flows.outlets import Outlets
from flows.progress import shown
from flows.run_named import no_such_run
from flows.stages import stages_of
from flows.summary import print_summary
from flows.terminal import print_json
from flows.turn import Outcome, hold, outcome, request_from, request_to_decide, turn
from tasks import preflight
from tasks.errors import FlywheelError, UsageError
from tasks.logs.files import spool
from tasks.model.answer import JudgedSample
from tasks.model.run import RunRequest
from tasks.model.urls import STDIN
from tasks.record.reading import read_turn
from tasks.run import Run, silent, utc_now
from tasks.settings import Settings, read_settings
from tasks.store.control import ledger
from tasks.store.opening import open_store

Turn = Callable[[RunRequest], Outcome]


def run_command(command: str, options: Options) -> int:
    """The stages of a command. The exit code speaks of the gate only where the gate ran."""
    settings = read_settings(options.config)
    if options.on:
        settings = settings.placed(options.on)
    if command == "gate":
        request = request_to_decide(settings, options)
    else:
        request = request_from(settings, options, stages_of(command))
    outlets = Outlets(junit=options.junit, markdown=options.markdown, github=options.github)
    outlets.check()
    if options.backfill and not outlets.is_empty:
        raise UsageError(
            "one verdict a day does not go into one file",
            received="--backfill with --junit, --markdown or --github",
            next="flywheel verdict RUN --junit FILE, of each run",
        )
    preflight.require(settings, request)
    days = by_day(request, utc_now()) if options.backfill else []
    in_prefect = command == "run" and not options.inline
    with (
        hold(settings),
        _turning(settings, in_prefect=in_prefect) as turn_one,
        piped_in(settings, request.logs) as logs,
    ):
        if not options.backfill:
            result = turn_one(replace(request, logs=logs))
            told = _to_object(command, result)
            with outlets.shielded(as_json=options.as_json):
                _show(result, settings, told, as_json=options.as_json, verbose=options.verbose)
            judged = judged_samples(settings, result.run_id) if outlets.junit else ()
            outlets.write(result, judged, as_json=options.as_json)
            return _exit_code(result, request)
        objects, codes = [], []
        for day in days:
            asked = replace(day, logs=logs)
            done = finished(settings, asked)
            turned = " was turned before" if done else ""
            print(f"day {day.since} to {day.until}{turned}", file=sys.stderr)
            result = done or turn_one(asked)
            if not options.as_json:
                print_summary(result, settings, verbose=options.verbose)
            told = _to_object(command, result)
            objects.append({"since": day.since, "until": day.until, **told})
            codes.append(_exit_code(result, request))
        if options.as_json:
            print_json({"days": objects})
        return max(codes)


@contextmanager
def _turning(settings: Settings, *, in_prefect: bool) -> Iterator[Turn]:
    """What turns a request: this process, or a Prefect that starts once for all of them."""

    def turn_here(request: RunRequest) -> Outcome:
        with shown() as progress:
            return turn(settings, request, progress=progress)

    if not in_prefect:
        yield turn_here
        return
    from flows.prefect_server import NoServerError, prefect_api

    with prefect_api(settings.home_path) as wait_until_it_answers:
        from flows.nightly import run_local

        try:
            wait_until_it_answers()
        except NoServerError as error:
            print(f"flywheel: {error.line()}", file=sys.stderr)
            yield turn_here
            return

        def turn_in_prefect(request: RunRequest) -> Outcome:
            with shown() as progress:
                return run_local(settings, request, progress)

        yield turn_in_prefect


def _show(
    result: Outcome,
    settings: Settings,
    as_object: dict[str, Any],
    *,
    as_json: bool,
    verbose: bool,
) -> None:
    if as_json:
        print_json(as_object)
    else:
        print_summary(result, settings, verbose=verbose)


@contextmanager
def piped_in(settings: Settings, logs: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The logs with a copy of standard input, a file of the state folder, in place of `-`; it is
    deleted once read.

    What earlier commands received and did not come to read is read with it. The caller holds the
    state folder. Raises UsageError where standard input is closed.
    """
    if STDIN not in logs:
        yield logs
        return
    if sys.stdin is None:
        raise UsageError("standard input is closed", received="--logs -")
    copies = tuple(map(str, spool.keep_stdin(settings.home_path, sys.stdin.fileno())))
    others = tuple(log for log in logs if log != STDIN)
    try:
        yield (*others, *copies)
    finally:
        # where there is no store, nothing was read; what stays is read by the next command
        with suppress(FlywheelError), open_store(settings, read_only=True) as store:
            spool.discard_read(settings.home_path, store)


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


def judged_samples(settings: Settings, run_id: str) -> Sequence[JudgedSample]:
    """Of a run that was decided."""
    with open_store(settings, read_only=True) as store:
        request = RunRequest.from_json(ledger.run_value(store, run_id, "request") or "{}")
        run = Run(run_id, request, settings, silent)
        return read_turn(store, run_id, run.seeds, versions={}).judged


def show_run(run_id: str, *, verbose: bool, config: str | None, as_json: bool) -> int:
    settings = read_settings(config)
    with open_store(settings, read_only=True) as store:
        newest = ledger.find_run(store, run_id)
        if newest is None:
            raise no_such_run(run_id)
        result = outcome(store, newest)
    _show(result, settings, result.to_dict(), as_json=as_json, verbose=verbose)
    return 0
