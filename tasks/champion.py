"""The release in production, as store and settings have it together. What it is, and what should be
looked at of it, is decided in tasks/releases/promotion.py."""

from __future__ import annotations

from contextlib import suppress

from tasks.errors import StoreError, UsageError
from tasks.model.release import Release
from tasks.releases.promotion import CHAMPION, cautions, champion_of
from tasks.releases.resolve import resolve_known
from tasks.run import utc_now
from tasks.settings import Settings
from tasks.store import Store
from tasks.store.control.aliases import aliases_at, promoted_releases, read_aliases
from tasks.store.control.audit import read_audit
from tasks.store.opening import open_store, store_exists


def champion_in_force(settings: Settings) -> str:
    """Its name; empty where nobody has said. Raises UsageError where flywheel.toml does not declare
    the one that was promoted, StoreError where the store cannot be read."""
    return champion_of(settings, aliases_at(settings))


def champion_as_far_as_known(settings: Settings) -> str:
    """For whoever looks at the settings alone: of a store that cannot be read others tell."""
    try:
        return champion_in_force(settings)
    except StoreError:
        return settings.champion


def champion_cautions(settings: Settings) -> list[str]:
    """What of the champion should be looked at. Nothing is computed for it, and nothing is told of
    a store that cannot be read."""
    if not store_exists(settings):
        return []
    with suppress(StoreError), open_store(settings, read_only=True) as store:
        champion = read_aliases(store).get(CHAMPION)
        return [] if champion is None else cautions_in(
            store, settings, as_declared(settings, champion.release)
        )  # fmt: skip
    return []


def cautions_in(store: Store, settings: Settings, resolved: Release | None) -> list[str]:
    """`resolved`: the release that was promoted as flywheel.toml declares it now; None: not
    known."""
    return list(
        cautions(
            settings,
            read_aliases(store),
            read_audit(store),
            promoted_releases(store).get(CHAMPION),
            resolved,
            utc_now().date(),
        )
    )


def as_declared(settings: Settings, name: str) -> Release | None:
    """A release as flywheel.toml declares it now, where that is known at once."""
    with suppress(UsageError):  # told as a problem of that release
        found = None if name not in settings.releases else resolve_known(name, settings)
        return None if found is None else found.record()
    return None
