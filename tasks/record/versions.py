"""What a verdict depends on besides its data: versions of what is installed."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

_DISTRIBUTIONS = (
    "llm-flywheel", "torch", "transformers", "tokenizers", "numpy", "scipy", "duckdb",
    "great-expectations", "mlflow", "prefect",
)  # fmt: skip


def installed_versions() -> dict[str, str]:
    """Distribution → version, of package metadata; what is not installed says so."""
    versions = {"python": platform.python_version()}
    for name in _DISTRIBUTIONS:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return versions
