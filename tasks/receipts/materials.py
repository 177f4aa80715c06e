"""What a verdict depends on besides its data: versions of what is installed, and our own commit."""

from __future__ import annotations

import functools
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

#: what an answer, a score or a verdict is computed by
DECIDING = (
    "llm-flywheel", "torch", "transformers", "tokenizers", "safetensors", "gguf", "numpy", "scipy",
    "duckdb", "regex", "jsonschema", "rapidfuzz", "sacrebleu", "py3langid", "math-verify",
    "llguidance",
)  # fmt: skip
_OTHERS = ("great-expectations", "mlflow", "prefect")
_ROOT = Path(__file__).resolve().parents[2]
_TIMEOUT_S = 10.0


def installed_versions() -> dict[str, str]:
    """Distribution → version, of package metadata; what is not installed says so."""
    versions = {"python": platform.python_version()}
    for name in (*DECIDING, *_OTHERS):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def materials() -> dict[str, Any]:
    """What this process works with. `source`: None where it is an installed package, else the
    commit of the checkout and whether files of it were changed since."""
    return {"packages": installed_versions(), "source": source_of(_ROOT)}


@functools.cache  # what was imported does not change any more
def source_of(root: Path) -> dict[str, Any] | None:
    if not (root / ".git").exists():
        return None
    try:
        commit = _git(root, "rev-parse", "HEAD").strip()
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "dirty": bool(changed.strip())}


def _git(root: Path, *words: str) -> str:
    command = ["git", "-C", str(root), "--no-optional-locks", *words]
    return subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=_TIMEOUT_S
    ).stdout
