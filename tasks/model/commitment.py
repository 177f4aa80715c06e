"""What a run is bound to when it begins: written down before any answer of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Commitment:
    """`policy`: dotted key → value, as in the settings; `settings`: those that change a result, as
    JSON. `rules`: kind of rows → digest of its rules; `files`: file that the settings name → sha256
    of its content. `materials`: packages and commit, once for each that the run worked under."""

    fixed_at: datetime
    policy: Mapping[str, Any]
    policy_digest: str
    settings: Mapping[str, Any]
    settings_digest: str
    rules: Mapping[str, str]
    files: Mapping[str, str]
    materials: tuple[Mapping[str, Any], ...]
