"""Why workers cannot work, or not for this."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trouble:
    """Nothing can be done. `is_model`: by the fault of the model that is held; `is_usage`: of the
    settings or the cluster, and no other moment cures it."""

    what: str
    is_model: bool = False
    is_usage: bool = False
