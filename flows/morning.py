"""The morning Prefect flow: whether the night came to a verdict, for nobody misses what never came.

Entry point of the deployment morning in prefect.yaml: flows.morning.morning.
"""

from __future__ import annotations

import os

from flows.prefect_server import QUIET

os.environ.update(QUIET)  # before prefect is imported: it reads them once

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.deployed import at_work, flow_run_link
from flows.notices import newest, of_silence, tell
from tasks.model.history import History
from tasks.run import utc_now
from tasks.settings import read_settings
from tasks.store.opening import store_exists


@flow(name="morning", description=__doc__, validate_parameters=True, persist_result=False)
def morning(config: str | None = None) -> State[None]:
    """Tell whoever is to be told where there is no verdict of today. The final state is `On time`
    or `Late`.

    Args:
        config: The flywheel.toml to work by.
    """
    settings = read_settings(config)
    with at_work(settings):
        nothing = History((), 0, ())
        history = newest(settings) if store_exists(settings) else nothing
        notice = of_silence(history, utc_now())
        if notice is None:
            return Completed(name="On time")
        tell(settings, [notice], flow_run_link())
        return Completed(name="Late", message="; ".join((notice.title, *notice.lines)))
