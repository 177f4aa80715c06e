"""The weekly Prefect flow: the champion against itself, and how the suites are.

Entry point of the deployment noise-weekly in prefect.yaml: flows.weekly.noise_weekly.
"""

from __future__ import annotations

import os
from typing import Any

from flows.prefect_server import QUIET

os.environ.update(QUIET)  # before prefect is imported: it reads them once

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.commands.suite_list import suites_markdown
from flows.deployed import at_work
from flows.nightly import WAIT_S, in_turn
from flows.options import Options
from flows.stages import stages_of
from flows.summary import noise_markdown
from flows.turn import hold, request_from, turn
from tasks import preflight
from tasks.model.noise import Noise
from tasks.settings import read_settings


@flow(name="noise-weekly", description=__doc__, validate_parameters=True, persist_result=False)
def noise_weekly(
    champion: str = "", seed: int | None = None, config: str | None = None
) -> State[dict[str, Any]]:
    """Measure the noise floor on today's eval set. What is not given comes from flywheel.toml.

    The final state is named for what was found: `Measured`, or `Broken promise` where the engine
    changed an answer that it promises not to.

    Args:
        champion: Release in production.
        seed: Of the answers that are drawn.
        config: The flywheel.toml to work by.
    """
    options = Options(champion=champion, seed=seed, config=config)
    settings = read_settings(config)
    request = request_from(settings, options, stages_of("noise"))
    with at_work(settings), hold(settings, wait_s=WAIT_S):
        preflight.require(settings, request)
        outcome = turn(settings, request, execute=in_turn())
    receipt = outcome.receipt("noise")
    assert receipt is not None, "the stage has ended"
    create_markdown_artifact(
        key="flywheel-noise",
        markdown=noise_markdown(receipt),
        description=f"run {outcome.run_id}: {request.champion} against itself",
    )
    create_markdown_artifact(
        key="flywheel-suites",
        markdown=suites_markdown(settings),
        description="every suite: its owner, when it is to be reviewed, how often it has decided",
    )
    broken = Noise.from_json(receipt.notes).is_promise_broken
    return Completed(
        name="Broken promise" if broken else "Measured",
        message=receipt.notes["headline"],
        data=outcome.to_dict(),
    )
