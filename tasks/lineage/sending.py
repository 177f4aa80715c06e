"""Where events of lineage go: a line each at the end of a file, or to a web address."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.posting import post

#: a turn waits for them
_TIMEOUT_S, _MAX_RETRIES = 5.0, 2


def send(target: str | Path, event: Mapping[str, Any]) -> None:
    """A path or an address. Raises OSError where it is not taken."""
    line = json.dumps(event, sort_keys=True)
    if isinstance(target, Path):
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        return
    why = post(target, line.encode(), {}, timeout_s=_TIMEOUT_S, max_retries=_MAX_RETRIES)
    if why:
        raise OSError(why)
