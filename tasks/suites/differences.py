"""Two versions of a suite side by side. Pure.

An item is the same in both if it asks the same; what may have changed of it is its target, slices
and whether it must pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from tasks.suites.items import SuiteItem, Version


@dataclass(frozen=True, slots=True)
class Changed:
    """`before` and `after` by name of what changed."""

    item: SuiteItem
    before: dict[str, Any]
    after: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Differences:
    added: tuple[SuiteItem, ...]
    removed: tuple[SuiteItem, ...]
    changed: tuple[Changed, ...]
    num_same: int


def differences(old: Version, new: Version) -> Differences:
    before = {item.asked: item for item in old.items}
    after = {item.asked: item for item in new.items}
    changed = list(_changed(before, after))
    return Differences(
        added=tuple(item for asked, item in after.items() if asked not in before),
        removed=tuple(item for asked, item in before.items() if asked not in after),
        changed=tuple(changed),
        num_same=len(before.keys() & after.keys()) - len(changed),
    )


def _changed(before: dict[str, SuiteItem], after: dict[str, SuiteItem]) -> Iterator[Changed]:
    for asked, item in after.items():
        if asked not in before:
            continue
        values = [{name: value for name, value in asdict(one).items() if name in _COMPARED}
                  for one in (before[asked], item)]  # fmt: skip
        names = [name for name in _COMPARED if values[0][name] != values[1][name]]
        if names:
            yield Changed(item, *({name: one[name] for name in names} for one in values))


_COMPARED = ("target", "slices", "must_pass")
