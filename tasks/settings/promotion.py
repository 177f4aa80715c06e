"""Who is told that another release is champion."""

from __future__ import annotations

from pydantic import Field

from tasks.settings.hosted import Address, Variable
from tasks.settings.section import Section


class PromotionSettings(Section):
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
