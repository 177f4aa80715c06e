"""A sample: one item of an eval set, from curate to the report the same value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Sample:
    """What is asked, what a right answer is, and where the question comes from.

    `cluster_id`: samples of one conversation, session or near-duplicate group share it.
    """

    sample_id: str
    suite: str
    task: str | None
    messages: tuple[Mapping[str, Any], ...]
    system: str | None
    target: str
    target_kind: str
    origin: str
    slices: Mapping[str, str] = field(default_factory=dict)
    must_pass: bool = False
    request_id: str | None = None
    cluster_id: str = ""

    @property
    def is_known_failure(self) -> bool:
        """Taken into the eval set because production got it wrong."""
        return self.origin == "failure"
