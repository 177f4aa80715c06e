"""SQL of the `releases` table: releases as they were resolved."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from expectations.contracts import RELEASES
from tasks.store.db.connection import Store


def save_release(store: Store, row: dict[str, Any], now: datetime) -> None:
    """Keep a release. The digest fixes what it is; name and reference follow the latest use."""
    store.insert(RELEASES, [{**row, "created_at": now}], ignore_existing=True)
    store.execute(
        "UPDATE releases SET name = ?, model = ? WHERE release_digest = ?",
        [row["name"], row["model"], row["release_digest"]],
    )
