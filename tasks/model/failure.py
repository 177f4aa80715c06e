"""Why an answer is not there: what kind of failure, whether it may pass, and whose fault it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: the release that answers, the judge that scores, or what runs them both
Fault = Literal["release", "judge", "harness"]


@dataclass(frozen=True, slots=True)
class Failure:
    """A transient one (out of memory, a timeout) may not come again and is not remembered; any
    other is an answer like any other: the same prompt would meet it again."""

    kind: str
    message: str
    fault: Fault
    is_transient: bool
