"""What names the release in production and the one before it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

AliasName = Literal["champion", "previous"]


@dataclass(frozen=True, slots=True)
class Alias:
    """`release`: its name in flywheel.toml when it was promoted. `run_id`: the run whose verdict
    allowed it; None: life began with it."""

    alias: AliasName
    release: str
    digest: str
    run_id: str | None
    since: datetime
