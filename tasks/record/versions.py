"""Versions of what a verdict depends on, read from package metadata: nothing is imported for it."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

_DISTRIBUTIONS = (
    "llm-flywheel", "torch", "transformers", "tokenizers", "numpy", "scipy", "duckdb",
    "great-expectations", "mlflow", "prefect",
)  # fmt: skip


def installed_versions() -> dict[str, str]:
    """Distribution → version; what is not installed says so."""
    found = {"python": platform.python_version()}
    for name in _DISTRIBUTIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
