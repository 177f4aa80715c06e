"""Bodies of the commands that turn the flywheel, whole or in part."""

from __future__ import annotations

import json
from typing import Any

from flows.progress import shown
from flows.stages import REPLAY, stages_until
from flows.summary import print_summary
from flows.turn import Outcome, outcome, request_from, turn
from tasks.errors import UsageError
from tasks.run import Progress, RunRequest
from tasks.settings import Settings, read_settings
from tasks.store import Store

#: a gate that holds is exit 1; "cannot tell" is not a pass
_EXIT_OF_VERDICT = {"better": 0, "no_worse": 0, "worse": 1, "cannot_tell": 1}


def run_turn(
    last: str,
    *,
    logs: list[str] | None,
    champion: str,
    challenger: str,
    log_format: str,
    seed: int | None,
    inline: bool,
    config: str | None,
    as_json: bool,
) -> int:
    settings = read_settings(config)
    if not settings.releases:
        raise UsageError(
            "no release is declared",
            received=config or "no flywheel.toml, or one without releases",
            next="flywheel init, then name a model in [releases.NAME]",
        )
    request = request_from(
        settings,
        logs=tuple(logs or ()),
        log_format=log_format,
        champion=champion,
        challenger=challenger,
        seed=seed,
        stages=stages_until(last),
    )
    if not request.champion:
        raise UsageError(
            "no release to judge",
            allowed=", ".join(sorted(settings.releases)),
            next="flywheel run --champion NAME --challenger NAME, or set both in flywheel.toml",
        )
    with shown() as progress:
        result = (
            turn(settings, request, progress=progress)
            if inline
            else _turn_in_prefect(settings, request, progress)
        )
    _show(result, settings, as_json)
    return _EXIT_OF_VERDICT[result.verdict or "cannot_tell"]


def _turn_in_prefect(settings: Settings, request: RunRequest, progress: Progress) -> Outcome:
    from flows.prefect_server import prefect_api

    with prefect_api(settings.home_path) as wait_until_it_answers:
        from flows.nightly import run_local

        wait_until_it_answers()
        return run_local(settings, request, progress)


def run_part(
    stages: tuple[str, ...],
    *,
    logs: list[str] | None = None,
    log_format: str = "auto",
    champion: str = "",
    challenger: str = "",
    seed: int | None = None,
    only: tuple[str, ...] = (),
    config: str | None,
    as_json: bool,
) -> int:
    """Some stages, inline. The exit code speaks of the gate only where the gate ran."""
    settings = read_settings(config)
    request = request_from(
        settings,
        logs=tuple(logs or ()),
        log_format=log_format,
        champion=champion,
        challenger=challenger,
        seed=seed,
        stages=stages,
        only=only,
    )
    with shown() as progress:
        result = turn(settings, request, progress=progress)
    if as_json:
        print(json.dumps(_part_json(result, stages), default=str))
    else:
        print_summary(result, settings)
    return 0 if result.verdict is None else _EXIT_OF_VERDICT[result.verdict]


def _part_json(result: Outcome, stages: tuple[str, ...]) -> dict[str, Any]:
    """Counts and notes of the stage asked for, flat; several stages: the object of `run`."""
    named = stages[0] if stages[0] in ("ingest", "validate", REPLAY) else stages[-1]
    receipt = result.receipt(named)
    if receipt is None or named == "gate":
        return result.to_dict()
    flat = receipt.to_dict()
    return {**flat.pop("notes"), **flat, "run_id": result.run_id}


def show_run(run_id: str, *, config: str | None, as_json: bool) -> int:
    settings = read_settings(config)
    with Store.open(settings.store_path, read_only=True) as store:
        found = store.one(
            "SELECT run_id FROM runs WHERE starts_with(run_id, ?) "
            "AND (? <> '' OR run_id IN (SELECT run_id FROM verdicts)) ORDER BY run_id DESC LIMIT 1",
            [run_id, run_id],
        )
        if found is None:
            raise UsageError(
                "no such run" if run_id else "no run has reached a verdict yet",
                received=run_id or "no run id",
                next="flywheel sql 'select run_id, state from runs order by run_id desc'",
            )
        result = outcome(store, found[0])
    _show(result, settings, as_json)
    return 0


def _show(result: Outcome, settings: Settings, as_json: bool) -> None:
    if as_json:
        print(json.dumps(result.to_dict(), default=str))
    else:
        print_summary(result, settings)
