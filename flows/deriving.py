"""The eval set of a recorded run once more from the log files, in a state folder of its own.

The same stages read the same files in the same order, by the settings that were written down. Where
that would not be the same any more, for a reason that is no difference (a file was read in parts, a
window passed calls over, held rows were replayed), nothing is derived, and why is said.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from flows.stages import stage_function
from tasks.model.run import RunRequest
from tasks.model.urls import is_url
from tasks.reproduce.recorded import Recorded
from tasks.reproduce.today import digest_of_beginning
from tasks.run import Progress, Run
from tasks.settings import Settings
from tasks.store import Store
from tasks.store.control import ledger
from tasks.store.control.pseudonym_key import KEY_FILE
from tasks.store.evals.lineage import was_replayed
from tasks.store.opening import open_store

_TAKING_IN = ("ingest", "validate", "redact")


@dataclass(frozen=True, slots=True)
class ReadRun:
    """A run that read log files, with what was asked of it."""

    run_id: str
    began_at: datetime
    request: RunRequest
    paths: tuple[str, ...]


def runs_that_read(store: Store, recorded: Recorded) -> tuple[ReadRun, ...]:
    """In order, up to the recorded run; that one last, if it read nothing too."""
    paths: dict[str, list[str]] = {}
    for reading in recorded.readings:
        paths.setdefault(reading.run_id, []).append(reading.path)
    paths.setdefault(recorded.evaluated, [])
    found = []
    for run_id in sorted(paths):
        request, began = ledger.run_value(store, run_id, "request"), ledger.began_at(store, run_id)
        if request is not None and began is not None:
            asked = RunRequest.from_json(request)
            found.append(ReadRun(run_id, began, asked, tuple(paths[run_id])))
    return tuple(found)


def why_not(store: Store, recorded: Recorded) -> str:
    """What stands in the way of deriving the set; empty: nothing."""
    seen: set[str] = set()
    if not recorded.readings:
        return "no log file was read"
    if ledger.finished_stage(store, recorded.evaluated, "curate") is None:
        return "the run took a set that was there"
    for reading in recorded.readings:
        path = Path(reading.path)
        if is_url(reading.path) or not path.is_absolute():
            return f"{reading.path} is no file of this machine"
        if reading.is_part:
            return f"of {reading.path} a window passed calls over"
        if reading.path in seen:
            return f"{reading.path} was read in parts"
        seen.add(reading.path)
        if digest_of_beginning(path, reading.size_bytes) != reading.digest:
            return f"{reading.path} is not what was read"
        if path.stat().st_size != reading.size_bytes:
            return f"{reading.path} has grown since"
    if was_replayed(store, recorded.evaluated):
        return "held rows were replayed"
    return ""


def derived(
    settings: Settings, home: Path, runs: Sequence[ReadRun], evaluated: str, progress: Progress
) -> str | None:
    """The digest of the set. `settings`: with a state folder of their own; `home`: the recorded
    one, whose key the pseudonyms are made with. Raises FlywheelError as the stages do."""
    settings.home_path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if (home / KEY_FILE).exists():
        shutil.copy(home / KEY_FILE, settings.home_path / KEY_FILE)
    for one in runs:
        request = replace(one.request, logs=one.paths, since="", until="", only=(), scores_of="")
        began_at = one.began_at
        run = Run(one.run_id, request, settings, progress, lambda at=began_at: at)  # type: ignore[misc]
        with run.open_store() as store, store.transaction():
            ledger.begin_run(store, one.run_id, request.to_json(), "", began_at)
        stages = _TAKING_IN if one.paths else ()
        for stage in (*stages, *(("curate",) if one.run_id == evaluated else ())):
            stage_function(stage)(run)
    with open_store(settings, read_only=True) as store:
        return ledger.run_value(store, evaluated, "eval_set_digest")
