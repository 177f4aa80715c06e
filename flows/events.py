"""A turn told as events of lineage to whom the settings name; what is not taken stops nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

from tasks.errors import FlywheelError
from tasks.lineage.events import EventType, Told, run_event
from tasks.lineage.sending import send
from tasks.model.run import RunRequest
from tasks.model.urls import is_url
from tasks.run import Run
from tasks.store.control import ledger, verdicts
from tasks.store.evals.lineage import log_files_of


@contextmanager
def lineage_events(run: Run) -> Iterator[None]:
    """What happens inside, told at its beginning and with how it ended."""
    if not run.settings.lineage.openlineage:
        yield
        return
    events = _Events(run)
    events.tell("START")
    try:
        yield
    except Exception as error:
        line = error.line() if isinstance(error, FlywheelError) else type(error).__name__
        events.tell("FAIL", line)
        raise
    except BaseException:  # it was stopped from outside, and the same request takes it up
        events.tell("ABORT")
        raise
    events.tell("COMPLETE")


class _Events:
    """Of one run; that they do not go out is said once."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._is_silent = False

    def tell(self, kind: EventType, error: str | None = None) -> None:
        settings = self._run.settings
        target = settings.lineage.openlineage
        try:
            told = Told() if kind == "START" else _told(self._run, error)
            event = run_event(
                kind,
                self._run.run_id,
                self._run.clock(),
                told,
                job=settings.mlflow.experiment,
                store=str(settings.store_path),
                version=version("llm-flywheel"),
            )
            send(target if is_url(target) else settings.path(target), event)
        except Exception as failed:
            if not self._is_silent:
                print(
                    f"flywheel: no event of lineage goes out ({type(failed).__name__}) · the turn "
                    "goes on without it",
                    file=sys.stderr,
                    flush=True,
                )
            self._is_silent = True


def _told(run: Run, error: str | None) -> Told:
    with run.open_store(read_only=True) as store:
        digest = ledger.run_value(store, run.run_id, "eval_set_digest")
        request = RunRequest.from_json(ledger.run_value(store, run.run_id, "request") or "{}")
        return Told(
            log_files=log_files_of(store, digest or "", run.run_id),
            receipts=ledger.receipts(store, run.run_id),
            eval_set_digest=digest,
            verdicts={
                request.releases[role]: decided.verdict
                for role, decided in verdicts.read_verdicts(store, run.run_id).items()
            },
            error=error,
        )
