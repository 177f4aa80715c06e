"""Who lets a release be champion, and who is told that another one is."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tasks.settings.hosted import Address, Variable
from tasks.settings.section import Section

#: who lets a challenger be champion: somebody at a terminal; whoever answers a night's flow run;
#: whoever moves the alias in MLflow
Approval = Literal["by_hand", "prefect", "mlflow"]


class PromotionSettings(Section):
    approval: Approval = Field(
        "by_hand",
        description="how a challenger that may ship is promoted: `by_hand` by `flywheel promote`, "
        "`prefect` by an answer on the page of the night's flow run too, `mlflow` by moving the "
        "alias there too ([releases](releases.md#approval))",
    )
    approval_h: float = Field(
        12.0,
        gt=0,
        le=24 * 7,
        description="hours that an answer is waited for; then nothing is promoted",
    )
    mlflow_secret_env: Variable = Field(
        "",
        description="environment variable with the secret of MLflow's webhook, which the page of "
        "reports of `flywheel up` then takes",
    )
    command: tuple[str, ...] = Field(
        (),
        strict=False,
        description="program and arguments, started without a shell after a promotion or rollback; "
        "what was moved comes as JSON on its standard input",
    )
    webhook: Address = Field(
        "", description="address that the same JSON is posted to ([releases](releases.md))"
    )
    secret_env: Variable = Field(
        "", description="environment variable with the secret that signs what is posted"
    )
    timeout_s: float = Field(30.0, gt=0, description="of the command, and of each attempt to post")
    max_retries: int = Field(
        4, ge=0, le=20, description="of a post that met 429, 5xx, a timeout or no connection"
    )
