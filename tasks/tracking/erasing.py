"""What MLflow holds of erased samples leaves it: traces, pages, and in SQLite the bytes of them.

MLflow only marks a run as deleted, and SQLite leaves what was deleted in free pages and in its log.
Done twice, it is the same as once. Imports mlflow late.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from tasks.settings import Settings
from tasks.tracking import values
from tasks.tracking.database import write_anew
from tasks.tracking.environment import tracking_location
from tasks.tracking.links import row_id
from tasks.tracking.publish import Pages, lay_beside
from tasks.tracking.session import Session, open_session
from tasks.tracking.traces import traces_of

#: of the runs of a turn whose inputs were erased: what is said of it
ERASED_TAG = "flywheel.erased"
_NOTE_TAG = "mlflow.note.content"
#: at a time; MLflow deletes no more traces by one call
_PAGE = 100


def erase_in_mlflow(
    settings: Settings,
    pages: Mapping[str, Pages | None],
    sample_ids: Collection[str],
    told: Mapping[str, str],
) -> int:
    """Take these samples out of all runs of these turns; how many traces that were.

    `pages`: id of our run → its pages and receipt made anew, which take the place of the old ones.
    `told`: by the same ids, what is said of those runs from now on. Raises StoreError, transient
    where a server does not answer or somebody reads the database.
    """
    location = tracking_location(settings)
    is_there = location.database is None or location.database.exists()
    if not pages or not is_there:
        return 0
    num_traces = 0
    with open_session(settings) as session:
        wanted = {row_id(sample_id) for sample_id in sample_ids}
        for run_id, drawn in pages.items():
            for run in _runs_of(session, run_id):
                num_traces += _delete_traces(session, run.info.run_id, wanted)
                if run.info.lifecycle_stage == "active":
                    _mark(session, run, drawn, told[run_id])
                else:
                    _delete_artifacts(run)
    if location.database is not None:
        write_anew(location.database)
    return num_traces


def _runs_of(session: Session, flywheel_run_id: str) -> Iterator[Any]:
    """Parent and children of every attempt at recording it, deleted ones too."""
    from mlflow.entities import ViewType

    token = None
    while True:
        page = session.client.search_runs(
            [session.experiment_id],
            f"tags.`{values.RUN_ID_TAG}` = '{flywheel_run_id}'",
            run_view_type=ViewType.ALL,
            page_token=token,
        )
        yield from page
        token = page.token
        if not token:
            return


def _delete_traces(session: Session, mlflow_run_id: str, wanted: Collection[str]) -> int:
    """Traces of a run that are of these rows; one that does not say of which is taken for one."""
    found = [
        info.trace_id for said, info in traces_of(session, mlflow_run_id)
        if said is None or said in wanted
    ]  # fmt: skip
    for start in range(0, len(found), _PAGE):
        session.client.delete_traces(session.experiment_id, trace_ids=found[start : start + _PAGE])
    return len(found)


def _mark(session: Session, run: Any, drawn: Pages | None, told: str) -> None:
    run_id = run.info.run_id
    session.client.set_tag(run_id, ERASED_TAG, told)
    if run.data.tags.get(values.ROLE_TAG) != "parent":
        return
    note = drawn.note if drawn is not None and drawn.note else ""
    before = run.data.tags.get(_NOTE_TAG, "")
    if not note and not before.startswith(told):
        note = f"{told}\n\n{before}"
    if note:
        session.client.set_tag(run_id, _NOTE_TAG, values.shortened(note, values.MAX_TAG_CHARS))
    if drawn is not None:
        lay_beside(session, run_id, drawn)


def _delete_artifacts(run: Any) -> None:
    """Of a run that is deleted already: nobody looks at them, and they lie there."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    repository = get_artifact_repository(run.info.artifact_uri)
    for file in repository.list_artifacts():
        repository.delete_artifacts(file.path)
