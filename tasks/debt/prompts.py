"""Prompt files beside those that releases name, which no release uses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tasks.model.debt import Finding
from tasks.releases.prompts import SUFFIXES
from tasks.settings import Settings


def unused_prompts(settings: Settings) -> Iterator[Finding]:
    """Beside a file other files, beside a folder other folders with prompts in them. Not in the
    folder of flywheel.toml itself, where texts of all kinds lie."""
    used = {settings.path(one.prompt) for one in settings.releases.values() if one.prompt}
    base = settings.path("")
    found: dict[Path, None] = {}
    for prompt in sorted(used):
        if prompt.parent == base or not prompt.exists():
            continue
        for beside in sorted(prompt.parent.iterdir()):
            is_used = any(beside == one or beside in one.parents for one in used)
            alike = _holds_prompts(beside) if prompt.is_dir() else _is_prompt(beside)
            if alike and not is_used and not beside.name.startswith("."):
                found[beside] = None
    for path in found:
        shown = path.relative_to(base) if path.is_relative_to(base) else path
        yield Finding(
            "unused_prompt",
            str(shown),
            "no release uses it",
            None,
            "name it as the prompt of a release, or remove it",
        )


def _is_prompt(path: Path) -> bool:
    return path.is_file() and path.suffix in SUFFIXES


def _holds_prompts(path: Path) -> bool:
    return path.is_dir() and any(map(_is_prompt, path.rglob("*")))
