"""What is installed here that decides over rows: the same on a node, or it may not work for us."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from engine.loading.digest import digest_of

_ROOT = Path(__file__).resolve().parents[2]
_OURS = ("tasks", "expectations")
_PROGRAM = "llm-flywheel"
_PYTHON = "python"


def build(packages: Sequence[str]) -> dict[str, str]:
    """Our own program, Python, and these packages."""
    versions = {name: _version(name) for name in packages}
    return {_PROGRAM: _program(), _PYTHON: platform.python_version(), **versions}


def differences(asked: Mapping[str, str]) -> list[str]:
    """Of a build elsewhere and what is installed here, in words for people there."""
    here = build([name for name in asked if name not in (_PROGRAM, _PYTHON)])
    return [
        f"{name} is {here[name][:12]} there and {value[:12]} here"
        for name, value in asked.items()
        if here[name] != value
    ]


@cache
def _program() -> str:
    """Digest of its source."""
    files = [file for name in _OURS for file in (_ROOT / name).rglob("*.py")]
    return digest_of(_ROOT, sorted(files))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
