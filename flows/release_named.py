"""A release by what people call it."""

from __future__ import annotations

from tasks.errors import UsageError, did_you_mean
from tasks.model.release import Release
from tasks.releases.memory import MEMORY_FILE, Memory
from tasks.releases.resolve import resolve_release
from tasks.settings import Settings
from tasks.store.evals.releases import releases_named
from tasks.store.opening import open_store, store_exists

_MAX_SHOWN = 3


def release_named(settings: Settings, text: str) -> Release:
    """What flywheel.toml declares under this name now; else what a run has met: by the beginning of
    its digest, or the newest of this name. Raises UsageError where it is none, or several."""
    if text in settings.releases:
        memory = Memory(settings.home_path / MEMORY_FILE)
        return resolve_release(text, settings, memory).record()
    found: list[Release] = []
    if text and store_exists(settings):
        with open_store(settings, read_only=True) as store:
            found = releases_named(store, text)
    if len(found) == 1:
        return found[0]
    if found:
        shown = ", ".join(f"{one.digest[:16]} {one.name}" for one in found[:_MAX_SHOWN])
        raise UsageError(
            f"{len(found):,} releases have a digest that begins so", received=text, allowed=shown
        )
    raise UsageError(
        f"no such release{did_you_mean(text, settings.releases)}",
        received=text or "nothing",
        allowed=", ".join(settings.releases) or "no release is declared",
        next="flywheel release list",
    )
