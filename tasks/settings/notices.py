"""[notify]: whom to tell what, when nobody looks."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tasks.settings.section import Section

#: worse: or blocked; late: no verdict when the deployment `morning` looks
NoticeKind = Literal["worse", "undecided", "data", "drift", "error", "late", "ships"]


class NotifySettings(Section):
    urls_env: str = Field(
        "FLYWHEEL_NOTIFY",
        min_length=1,
        description="environment variable with apprise addresses, blanks between them: "
        "mailto://…, slack://…, json://…",
    )
    on: tuple[NoticeKind, ...] = Field(
        ("worse", "undecided", "data", "drift", "error", "late"),
        strict=False,
        description="what is told; `undecided`: three verdicts in a row cannot tell, `data`: "
        "failed validation, `late`: no verdict in the morning, `ships`: a challenger that may",
    )
    link: str = Field(
        "", description="page that the message links; empty: MLflow's, where it is a server"
    )
