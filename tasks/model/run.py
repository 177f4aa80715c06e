"""What was asked of one turn of the flywheel, as a value that can be written down and sent.

With a run id it is all that another process or machine needs beside its own settings: it holds no
callable, and nothing of the state folder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks.model.answer import Role, challenger_role
from tasks.model.urls import without_password


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What was asked: the part of a run that identifies it for a resume.

    `since` and `until` as they were given: an age counts back from when the run began.
    """

    logs: tuple[str, ...] = ()
    log_format: str = "auto"
    champion: str = ""
    challengers: tuple[str, ...] = ()
    seed: int = 0
    #: answers a sample, each under a seed of its own; 0, in runs of earlier builds: as set today
    repeats: int = 0
    stages: tuple[str, ...] = ()
    since: str = ""
    until: str = ""
    #: what to replay: log files, expectations, request ids, beginnings of ids; none: everything
    only: tuple[str, ...] = ()
    #: the evaluated run whose scores are decided on; empty: this run evaluates its own
    scores_of: str = ""
    #: the settings file, so that the command for the same run can be written down
    config: str = ""

    @property
    def releases(self) -> Mapping[Role, str]:
        """Role → name of the release that plays it; of those not named it is empty."""
        challengers = enumerate(self.challengers or ("",))
        return {"champion": self.champion, **{challenger_role(n): name for n, name in challengers}}

    def to_json(self) -> str:
        """For the store: addresses are without passwords."""
        values = {name: getattr(self, name) for name in self.__slots__}
        values["logs"] = [without_password(log) for log in self.logs]
        return json.dumps(values, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> RunRequest:
        """What `to_json` gave, or that of an earlier build, which knew one challenger."""
        values: dict[str, Any] = json.loads(text)
        if "challenger" in values:
            named = values.pop("challenger")
            values["challengers"] = [named] if named else []
        for name, value in values.items():
            values[name] = tuple(value) if isinstance(value, list) else value
        return cls(**values)

    def digest(self, settings_digest: str) -> str:
        """The same request under the same settings: what a killed run is found again by."""
        return hashlib.sha256(f"{self.to_json()}{settings_digest}".encode()).hexdigest()
