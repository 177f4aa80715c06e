"""A sample of an eval set: what is asked, and what a right answer to it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Sample:
    """One item of an eval set, from the set that curate makes to the verdict.

    `sample_id` is by content, `cluster_id` names the samples of a set that depend on each other.
    `target_kind` is gold, corrected, accepted or logged; `origin` suite, failure or traffic.
    `request_id`: the logged call it was mined from.
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
