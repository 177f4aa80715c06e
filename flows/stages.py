"""The stages, in order: all that is said of one stands in its line of the table.

A stage is added by its line here and its function, tasks.<name>.task.<name>. Importing one costs
seconds (Great Expectations, MLflow, torch), so nothing here imports one before it runs.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

from tasks.model.receipt import Receipt
from tasks.run import Run


@dataclass(frozen=True, slots=True)
class Stage:
    """`title`: what a person reads while it works. `commands`: which commands execute it; `run`
    is a whole turn. `retries`: only of what meets something outside this machine that may be back
    in a moment."""

    name: str
    title: str
    commands: tuple[str, ...]
    retries: int = 0


STAGES = (
    Stage("replay", "look again at what was held back", ("replay",)),
    Stage("ingest", "read the logs", ("run", "ingest"), retries=2),
    Stage(
        "validate", "check every call against the expectations", ("run", "validate", "replay")
    ),
    Stage("redact", "take out secrets and personal data", ("run", "validate", "replay")),
    Stage("curate", "build the eval set", ("run", "curate", "plan", "eval", "noise")),
    Stage("plan", "tell what the eval set can decide", ("run", "plan")),
    Stage("evaluate", "replay it on champion and challenger", ("run", "eval")),
    Stage("noise", "hold the champion against itself", ("noise",)),
    Stage("gate", "decide", ("run", "gate")),
    Stage("record", "record in MLflow and write the report", ("run",), retries=2),
)  # fmt: skip

#: work outside a turn that tells how far it is
_OTHERS = (
    Stage("explain", "ask what is between the two releases", ()),
    Stage("judge", "hold a judge against labels", ()),
)


def stages_of(command: str) -> tuple[str, ...]:
    """The names of the stages that a command executes, in order."""
    return tuple(stage.name for stage in STAGES if command in stage.commands)


def stage_named(name: str) -> Stage:
    """Its line; one that the table does not know, of a ledger that another version wrote, has
    no title."""
    return next((stage for stage in (*STAGES, *_OTHERS) if stage.name == name), Stage(name, "", ()))


def place_of(name: str) -> int:
    """Its place in the order; what the table does not know comes last."""
    return next((n for n, stage in enumerate(STAGES) if stage.name == name), len(STAGES))


def stage_function(name: str) -> Callable[[Run], Receipt]:
    """The plain function of a stage: tasks.<name>.task.<name>."""
    function: Callable[[Run], Receipt] = getattr(
        importlib.import_module(f"tasks.{name}.task"), name
    )
    return function
