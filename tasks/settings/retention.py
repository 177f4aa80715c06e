"""How long what is held raw is kept, and under which key."""

from __future__ import annotations

from pydantic import Field

from tasks.settings.section import Section


class RetentionSettings(Section):
    raw_days: float = Field(
        30.0,
        ge=0,
        description="days that raw bytes are held: of dead letters, quarantined rows and piped-in "
        "logs that were not read; 0: until `flywheel purge`",
    )
    raw_key_file: str = Field(
        "",
        description="file outside the state folder with the key that encrypts them; "
        "FLYWHEEL_RAW_KEY may hold the key instead; neither: not encrypted",
    )
