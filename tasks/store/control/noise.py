"""The noise floor that was measured last, from the ledger. Decides nothing."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Literal

from tasks.model.noise import KnownNoise, Noise
from tasks.store.db.connection import Store

_STAGE = "noise"


def newest_noise(
    store: Store, now: datetime, by: Literal["release", "release_digest"], of: str
) -> KnownNoise | None:
    """Of the release with this digest; or of this name, where it has not been resolved."""
    row = store.one(
        "SELECT run_id, receipt->'notes', finished_at FROM run_stages WHERE stage = ? "
        "AND receipt->'notes'->>? = ? ORDER BY finished_at DESC LIMIT 1",
        [_STAGE, by, of],
    )
    if row is None:
        return None
    run_id, notes, finished_at = row
    age_days = (now - finished_at).total_seconds() / 86_400
    return KnownNoise(Noise.from_json(json.loads(notes)), run_id, age_days)
