"""Whether code can be run in a sandbox here: bubblewrap is no Python package."""

from __future__ import annotations

from functools import cache

import pytest

from tasks.scoring import sandbox


def require_sandbox() -> None:
    """Skips the test, with the reason, where there is none."""
    if why := _why_none():
        pytest.skip(f"no sandbox here: {why}")


@cache
def _why_none() -> str:
    try:
        sandbox.try_out()
    except sandbox.SandboxError as error:
        return str(error)
    return ""
