"""The hourly Prefect flow: logs in, checked and masked, so that the night has less to do and what
is wrong with the data is known while somebody is at work. It decides nothing.

Entry point of the deployment hourly in prefect.yaml: flows.hourly.hourly.
"""

from __future__ import annotations

import os
from typing import Any

from flows.prefect_server import QUIET

os.environ.update(QUIET)  # before prefect is imported: it reads them once

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.deployed import at_work
from flows.nightly import in_turn
from flows.options import Options
from flows.turn import hold, request_from, turn
from tasks import preflight
from tasks.errors import StoreBusyError
from tasks.settings import read_settings

STAGES = ("ingest", "validate", "redact")


@flow(name="hourly", description=__doc__, validate_parameters=True, persist_result=False)
def hourly(logs: list[str] | None = None, config: str | None = None) -> State[dict[str, Any]]:
    """Take in and check what is new. The final state tells how much: `Took in 1,204 calls`.

    Args:
        logs: Log files: paths, patterns or addresses; none: those of flywheel.toml.
        config: The flywheel.toml to work by.
    """
    settings = read_settings(config)
    request = request_from(settings, Options(logs=logs, config=config), STAGES)
    with at_work(settings):
        preflight.require(settings, request)
        try:
            with hold(settings):
                outcome = turn(settings, request, execute=in_turn())
        except StoreBusyError as error:  # the next hour takes all of it in
            return Completed(name="Passed over", message=error.line())
    taken, checked = outcome.receipt("ingest"), outcome.receipt("validate")
    assert taken is not None, "the stage has ended"
    assert checked is not None, "the stage has ended"
    return Completed(
        name=f"Took in {taken.rows_out:,} calls",
        message=f"{checked.quarantined:,} held back, {taken.dead_letters:,} not readable",
        data=outcome.to_dict(),
    )
