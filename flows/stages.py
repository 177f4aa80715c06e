"""The stages of one turn, in order, each found by name only when it runs.

Importing a stage costs seconds (Great Expectations, MLflow, torch), so nothing here imports one.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

from tasks.model.receipt import Receipt
from tasks.run import Run

StageFunction = Callable[[Run], Receipt]

STAGES = ("ingest", "validate", "redact", "curate", "evaluate", "gate", "record")
#: one that is no part of a turn: it puts back what an earlier one held
REPLAY = "replay"

#: what a person reads while the stage works
TITLES = {
    REPLAY: "look again at what was held back",
    "ingest": "read the logs",
    "validate": "check every call against the expectations",
    "redact": "take out secrets and personal data",
    "curate": "build the eval set",
    "evaluate": "replay it on champion and challenger",
    "gate": "decide",
    "record": "record in MLflow and write the report",
}


def stage_function(name: str) -> StageFunction:
    """The plain function of a stage: tasks.<stage>.task.<stage>."""
    module = importlib.import_module(f"tasks.{name}.task")
    function: StageFunction = getattr(module, name)
    return function


def stages_until(last: str) -> tuple[str, ...]:
    return STAGES[: STAGES.index(last) + 1]
