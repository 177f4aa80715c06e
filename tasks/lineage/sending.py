"""Where events of lineage go: a line each at the end of a file, or to a web address."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_TIMEOUT_S = 5.0


def send(target: str | Path, event: Mapping[str, Any]) -> None:
    """A path or an address. Raises OSError where it is not taken, of which every error of the
    web is one, and ValueError for an address that is none."""
    line = json.dumps(event, sort_keys=True)
    if isinstance(target, Path):
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        return
    request = urllib.request.Request(  # noqa: S310 - the settings allow http and https
        target, line.encode(), {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S):  # noqa: S310 - the same
        pass
