"""The key that receipts are signed with, and how long what they speak of is to be kept."""

from __future__ import annotations

from pydantic import Field

from tasks.settings.section import Section


class ReceiptsSettings(Section):
    key_file: str = Field(
        "",
        description="file with the Ed25519 key (PEM, PKCS #8) that signs receipts; empty: "
        "`receipts.key` in the state folder, made on first use",
    )
    keep_days: int = Field(
        183,
        ge=1,
        description="days after a verdict that its receipt says it is to be kept for "
        "(`retention_until`); nothing is deleted by it",
    )
