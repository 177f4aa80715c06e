"""Prefect artifacts of a turn: a summary, the quarantine by reason, and where the report is.

They are read on other machines than the one that ran the turn, so none links to a file of it.
"""

from __future__ import annotations

import socket

from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
)

from flows.commands.ui import server_elsewhere
from flows.summary import summary_markdown
from flows.turn import Outcome
from tasks.settings import Settings


def publish(outcome: Outcome, settings: Settings) -> None:
    summary, of_run = summary_markdown(outcome), f"run {outcome.run_id}"
    create_markdown_artifact(
        key="flywheel-summary",
        markdown=summary,
        description=f"{of_run}: {outcome.verdict or 'no verdict'}",
    )
    validated = outcome.receipt("validate")
    reasons = dict(validated.notes.get("by_reason", {})) if validated else {}
    create_table_artifact(
        key="flywheel-quarantine",
        table=[{"expectation": name, "rows": rows} for name, rows in reasons.items()],
        description="calls held back, by the first expectation they failed",
    )
    recorded, server = outcome.receipt("record"), server_elsewhere(settings)
    if recorded and server:
        create_link_artifact(
            key="flywheel-report",
            link=server + recorded.notes["run_url_path"],
            link_text="report in MLflow",
            description=f"report of {of_run}, among the artifacts",
        )
    elif outcome.report:
        place = f"The whole report is a file on `{socket.gethostname()}`: `{outcome.report}`"
        create_markdown_artifact(
            key="flywheel-report", markdown=f"{place}\n\n{summary}", description=f"of {of_run}"
        )
