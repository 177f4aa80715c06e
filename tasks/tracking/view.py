"""The runs of our experiment as a person wants to see them: verdicts alone, the newest first, with
difference and margin as columns.

MLflow shows source, models and dataset of a run by default, and an experiment cannot choose other
columns; but it may hold views that a link opens (links.runs_path), as its button 'Share' makes.
"""

from __future__ import annotations

import json

from tasks.tracking import links, values
from tasks.tracking.session import Session

_TAG = f"mlflow.sharedViewState.{links.VIEW}"
_NOTE_TAG = "mlflow.note.content"
_RUN_NAME = "attributes.`Run Name`"
#: column → its width in pixels
_COLUMNS = {
    f"tags.`{values.VERDICT}`": 110,
    f"metrics.`{values.DIFFERENCE}`": 140,
    f"tags.`{values.INTERVAL}`": 140,
    f"metrics.`{values.MARGIN}`": 125,
    f"tags.`{values.DECIDED_BY}`": 110,
}


def state() -> str:
    """What MLflow's page is told: filter, order and columns."""
    return json.dumps({
        "searchFilter": f"tags.`{values.ROLE_TAG}` = 'parent'",
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": list(_COLUMNS),
        "columnOrder": [_RUN_NAME, *_COLUMNS],
        "columnWidths": {_RUN_NAME: 300, **_COLUMNS},
    })  # fmt: skip


def bring_view(session: Session) -> None:
    """Into the experiment, where it is not there yet, and its description, where nobody wrote one.
    What stands there already is left alone: people change views and descriptions."""
    tags = session.client.get_experiment(session.experiment_id).tags
    path = links.runs_path(session.experiment_id).removeprefix("/")
    note = (
        f"**[All verdicts]({path})** with difference and margin. Each run is a verdict: its "
        "description has what was decided, why, and links to the report and to all answers side "
        "by side; the releases that were compared are inside it."
    )
    for key, value in ((_TAG, state()), (_NOTE_TAG, note)):
        if not tags.get(key):
            session.client.set_experiment_tag(session.experiment_id, key, value)
