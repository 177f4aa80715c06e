"""Who else is told where results come from."""

from __future__ import annotations

from pydantic import Field, field_validator

from tasks.model.urls import is_url
from tasks.settings.hosted import checked_address
from tasks.settings.section import Section


class LineageSettings(Section):
    openlineage: str = Field(
        "",
        description="file (a JSON line an event) or http(s) address that is told of every turn as "
        "OpenLineage has it; empty: nobody ([lineage](lineage.md#openlineage))",
    )

    @field_validator("openlineage")
    @classmethod
    def _is_safe(cls, target: str) -> str:
        return checked_address(target) if is_url(target) else target
