"""How long calls and what is held raw are kept, and under which key the latter."""

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
    calls_days: float = Field(
        0.0,
        ge=0,
        description="days that calls and feedback on them are kept for after they came in; those "
        "that samples were made of stay; 0: for ever. Drift and volume look back four weeks",
    )
    raw_key_file: str = Field(
        "",
        description="file outside the state folder with the key that encrypts them; "
        "FLYWHEEL_RAW_KEY may hold the key instead; neither: not encrypted",
    )
