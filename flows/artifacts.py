"""Prefect artifacts of a turn: a summary, the quarantine by reason, a link to the report."""

from __future__ import annotations

from pathlib import Path

from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
)

from flows.summary import summary_markdown
from flows.turn import Outcome
from tasks.settings import Settings


def publish(outcome: Outcome, settings: Settings) -> None:
    create_markdown_artifact(
        key="flywheel-summary",
        markdown=summary_markdown(outcome),
        description=f"run {outcome.run_id}: {outcome.verdict or 'no verdict'}",
    )
    validated = outcome.receipt("validate")
    reasons = dict(validated.notes.get("by_reason", {})) if validated else {}
    create_table_artifact(
        key="flywheel-quarantine",
        table=[{"expectation": name, "rows": rows} for name, rows in reasons.items()],
        description="calls held back, by the first expectation they failed",
    )
    if outcome.report:
        create_link_artifact(
            key="flywheel-report",
            link=Path(outcome.report).as_uri(),
            link_text="report",
            description=f"report of run {outcome.run_id} under {settings.home_path.name}",
        )
