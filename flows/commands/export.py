"""`flywheel export`: the champion as configuration that a gateway or server reads."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tasks.champion import champion_in_force
from tasks.errors import HeldError, UsageError, did_you_mean
from tasks.model.visible import one_line
from tasks.releases.exported import Champion, as_environment, as_litellm, as_vllm
from tasks.releases.factors import changed, is_same
from tasks.releases.gateways import as_envoy, as_kong
from tasks.releases.memory import MEMORY_FILE, Memory
from tasks.releases.promotion import CHAMPION
from tasks.releases.resolve import find_local_model, resolve_release
from tasks.settings import CONFIG_NAME, Settings, read_settings
from tasks.store.control.aliases import aliases_at, promoted_releases
from tasks.store.opening import open_store
from tasks.suites.writing import write_text

FORMATS: Mapping[str, Callable[[Champion], str]] = {
    "env": as_environment,
    "vllm": as_vllm,
    "litellm": as_litellm,
    "envoy": as_envoy,
    "kong": as_kong,
}


def export_champion(to: str, out: str, *, config: str | None) -> int:
    """Exit code 1 where flywheel.toml declares another release than was promoted under its name:
    nothing goes into production by that way."""
    if to not in FORMATS:
        raise UsageError(
            f"there is no such format{did_you_mean(to, FORMATS)}",
            received=to,
            allowed=", ".join(FORMATS),
        )
    settings = read_settings(config)
    text = FORMATS[to](_champion(settings))
    if not out:
        sys.stdout.write(text)
        return 0
    write_text(Path(out), text)
    print(one_line(f"written to {out}"))
    return 0


def _champion(settings: Settings) -> Champion:
    name = champion_in_force(settings)
    if not name:
        raise UsageError(
            "nobody has said which release is in production",
            next=f'flywheel promote, or champion = "NAME" in {CONFIG_NAME}',
        )
    declared = settings.release(name)
    memory = Memory(settings.home_path / MEMORY_FILE)
    release = resolve_release(name, settings, memory).record()
    if CHAMPION in aliases_at(settings):
        with open_store(settings, read_only=True) as store:
            promoted = promoted_releases(store)[CHAMPION]
        if not is_same(promoted, release):
            raise HeldError(
                f"release {name!r} is not what was promoted",
                received=f"changed: {', '.join(changed(promoted, release))}",
                next="put it back, or declare what is new as a release of its own and promote that",
            )
    where = None if declared.api else find_local_model(name, declared, settings)
    return Champion(name, declared, release, str(where or declared.model))
