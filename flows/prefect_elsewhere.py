"""What a Prefect server of the user's keeps of our flow runs: it leaves there, too, where it quotes
what is erased.

Such a server's database is not ours to write, and its API changes no text. So a flow run of which a
name, a parameter, a state, a log or a form has it is deleted whole, an artifact by itself; the rest
of the history stays. What the API cannot delete is told: events, which Prefect drops by their age.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from flows.prefect_server import QUIET

os.environ.update(QUIET)  # before prefect is imported: it reads them once

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import ArtifactFilter, FlowFilter, FlowRunFilter, LogFilter
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, temporary_settings

#: those that a turn, or a part of one, is in
FLOWS = ("nightly", "hourly", "noise-weekly", "morning", "turn")
_PAGE = 100
#: the run that took a call in had begun before; none is at work for longer
_LONGEST = timedelta(days=3)


def clear_elsewhere(api: str, tells: Callable[[str], bool], since: datetime | None) -> int:
    """Delete what has it at the server of this API; how many flow runs and artifacts that were.
    `since`: in UTC, before which there was nothing to quote. Raises what Prefect's client raises
    where the server does not answer."""
    num = 0
    # Prefect reads its environment once, which may have been before it had this address
    with temporary_settings({PREFECT_API_URL: api}), get_client(sync_client=True) as client:
        runs = list(_runs(client, since))
        for artifact in _artifacts(client, runs):
            if tells(_text(artifact)):
                with suppress(ObjectNotFound):
                    client.delete_artifact(artifact.id)
                num += 1
        for run in [run for run in runs if any(tells(text) for text in _told_of(client, run))]:
            with suppress(ObjectNotFound):
                client.delete_flow_run(run.id)
            num += 1
    return num


def _runs(client: SyncPrefectClient, since: datetime | None) -> Iterator[FlowRun]:
    flows = FlowFilter.model_validate({"name": {"any_": list(FLOWS)}})
    begun = FlowRunFilter()
    if since is not None:
        after = since.replace(tzinfo=UTC) - _LONGEST
        begun = FlowRunFilter.model_validate({"start_time": {"after_": after.isoformat()}})
    yield from _pages(
        lambda start: client.read_flow_runs(
            flow_filter=flows, flow_run_filter=begun, limit=_PAGE, offset=start
        )
    )


def _artifacts(client: SyncPrefectClient, runs: Sequence[FlowRun]) -> Iterator[Any]:
    for place in range(0, len(runs), _PAGE):
        ids = [str(run.id) for run in runs[place : place + _PAGE]]
        of_runs = ArtifactFilter.model_validate({"flow_run_id": {"any_": ids}})
        # all first: what is deleted meanwhile would move the pages
        yield from list(
            _pages(
                lambda start, of_runs=of_runs: client.read_artifacts(  # type: ignore[misc]
                    artifact_filter=of_runs, limit=_PAGE, offset=start
                )
            )
        )


def _told_of(client: SyncPrefectClient, run: FlowRun) -> Iterator[str]:
    yield _text(run)
    yield from map(_text, client.read_flow_run_states(run.id))
    yield from map(_text, client.filter_flow_run_input(run.id, "", _PAGE, set()))
    logs = LogFilter.model_validate({"flow_run_id": {"any_": [str(run.id)]}})
    yield from (
        log.message
        for log in _pages(lambda start: client.read_logs(logs, limit=_PAGE, offset=start))
    )


def _pages(read: Callable[[int], Sequence[Any]]) -> Iterator[Any]:
    start = 0
    while page := read(start):
        yield from page
        start += len(page)


def _text(told: Any) -> str:
    """Every text in it, a line each."""
    return "\n".join(_texts(told.model_dump(mode="json")))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
        with suppress(ValueError, RecursionError):  # a form is JSON in a text
            inner = json.loads(value)
            if not isinstance(inner, str):
                yield from _texts(inner)
    elif isinstance(value, dict):
        for name, one in value.items():
            yield name
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
