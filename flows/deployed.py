"""What the deployed flows have in common: one that is cut off is taken up again, a question that
nobody answered is closed, and who is to hear of errors does."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from prefect.runtime import flow_run

from flows.approval import close_unanswered
from flows.cut_off import marked_alive, take_up
from flows.from_mlflow import promote_from_mlflow
from flows.moved import tell_others
from flows.notices import of_error, tell
from flows.promoting import Promoted
from tasks.errors import FlywheelError
from tasks.releases.promotion import MLFLOW
from tasks.run import utc_now
from tasks.settings import Settings


@contextmanager
def at_work(settings: Settings) -> Iterator[None]:
    """Around the body of each of them, whatever is in it raises."""
    with marked_alive(settings):
        with as_far_as_it_listens():
            take_up(settings)
        with as_far_as_it_listens():
            close_unanswered(settings)
        if settings.promotion.approval == "mlflow":
            _heed_mlflow(settings)
        try:
            yield
        except Exception as error:
            tell(settings, [of_error(error)], flow_run_link())
            raise


def _heed_mlflow(settings: Settings) -> None:
    """Somebody may have moved its alias. What cannot be answered now is looked at again by the next
    flow run."""
    try:
        done = promote_from_mlflow(settings, MLFLOW, utc_now())
        if isinstance(done, Promoted):
            tell_others(settings, done.by)
    except FlywheelError as error:
        say_once(f"flywheel: MLflow's alias was not looked at: {error.line()}")


def flow_run_link() -> str:
    """The page of this flow run, where Prefect is told that others can open it."""
    return str(flow_run.ui_url or "") if os.environ.get("PREFECT_UI_URL") else ""


@contextmanager
def as_far_as_it_listens() -> Iterator[None]:
    """What is told to Prefect beside the turn: no verdict is lost because it cannot be told."""
    try:
        yield
    except Exception as error:
        say_untold(error)


def say_untold(error: Exception) -> None:
    say_once(
        f"flywheel: Prefect does not take what it is told ({type(error).__name__}) · "
        "the turn goes on without it"
    )


@cache
def say_once(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
