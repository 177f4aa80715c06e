"""What a person may call a suite or a release that a command writes down for them."""

from __future__ import annotations

import re

from tasks.errors import UsageError

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")


def refuse_name(kind: str, name: str) -> None:
    """Raises UsageError for one that is no name of a file or a key. `kind`: a suite, a release."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{kind} cannot have this name", received=name,
                         allowed="letters, digits, _, - and .")  # fmt: skip
