"""`flywheel suite diff`: what two versions of a suite have each."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from flows.terminal import print_json
from tasks.errors import UsageError
from tasks.model.canonical import canonical_json
from tasks.model.visible import one_line
from tasks.settings import Settings, read_settings
from tasks.store import Store
from tasks.store.opening import open_store
from tasks.suites.differences import Differences, differences
from tasks.suites.items import SuiteItem, Version
from tasks.suites.versions import of_file, of_set

_MAX_SHOWN = 20
_MAX_CHARS = 80


def diff_suites(old: str, new: str, suite: str, *, config: str | None, as_json: bool) -> int:
    settings = read_settings(config)
    versions = _versions((old, new), suite, settings)
    found = differences(*versions)
    if as_json:
        print_json(
            {
                "old": _head(versions[0]), "new": _head(versions[1]), "num_same": found.num_same,
                "added": [_item(item) for item in found.added],
                "removed": [_item(item) for item in found.removed],
                "changed": [
                    {**_item(one.item), "before": one.before, "after": one.after}
                    for one in found.changed
                ],
            }
        )  # fmt: skip
        return 0
    for version in versions:
        print(one_line(f"{version.named}: {len(version.items):,} items, {version.digest[:12]}"))
    print(
        f"{len(found.added):,} added, {len(found.removed):,} removed, {len(found.changed):,} "
        f"changed, {found.num_same:,} the same"
    )
    _show(found)
    return 0


def _versions(named: tuple[str, str], suite: str, settings: Settings) -> list[Version]:
    """What is a file is read as one; the store is opened where something is not."""
    versions: list[Version] = []
    with ExitStack() as opened:
        store: Store | None = None
        for one in named:
            if Path(one).is_file():
                versions.append(of_file(Path(one), settings, suite))
                continue
            if "/" in one or "." in one:
                raise UsageError(
                    "there is no such file",
                    received=one,
                    allowed="a suite file, or the beginning of an eval set or run",
                )
            if store is None:
                store = opened.enter_context(open_store(settings, read_only=True))
            versions.append(of_set(store, one, suite))
    return versions


def _show(found: Differences) -> None:
    lines = [f"+ {_short(item.question)} → {_short(item.target)}" for item in found.added]
    lines += [f"- {_short(item.question)} → {_short(item.target)}" for item in found.removed]
    for one in found.changed:
        told = "; ".join(
            f"{name}: {_short(_text(one.before[name]))} → {_short(_text(one.after[name]))}"
            for name in one.before
        )
        lines.append(f"~ {_short(one.item.question)}: {told}")
    for line in lines[:_MAX_SHOWN]:
        print(one_line(line))
    if len(lines) > _MAX_SHOWN:
        print(f"{len(lines) - _MAX_SHOWN:,} more: --json")


def _text(value: object) -> str:
    return value if isinstance(value, str) else canonical_json(value)


def _short(text: str) -> str:
    shown = one_line(text)
    return shown if len(shown) <= _MAX_CHARS else f"{shown[:_MAX_CHARS]}…"


def _head(version: Version) -> dict[str, object]:
    return {"named": version.named, "suite": version.suite, "num_items": len(version.items),
            "digest": version.digest}  # fmt: skip


def _item(item: SuiteItem) -> dict[str, object]:
    return {"question": item.question, "target": item.target, "slices": dict(item.slices),
            "must_pass": item.must_pass}  # fmt: skip
