"""From one thing to all it came from, or to all that stood on it, a level at a time. Pure: what
hangs together is asked of a reader, once a link and level."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from tasks.model.lineage import (
    Direction,
    Edge,
    Key,
    Kind,
    LeftOut,
    Lineage,
    Link,
    Neighbour,
)


class Reader(Protocol):
    """What knows how things hang together."""

    @property
    def links(self) -> Sequence[Link]: ...

    def neighbours(
        self, link: Link, direction: Direction, ids: Sequence[str], limit: int | None
    ) -> Iterable[Neighbour]:
        """At most `limit` for each id; those of one id stand together."""
        ...

    def describe(self, kind: Kind, ids: Sequence[str]) -> Mapping[str, Mapping[str, Any]]: ...


def walk(
    reader: Reader,
    root: Key,
    direction: Direction,
    *,
    depth: int | None = None,
    limits: Sequence[int] = (),
) -> Lineage:
    """`depth`: levels, at most. `limits`: how many neighbours by one link are shown of a thing of
    the first level, the second, …, the last for all further ones; none: all."""
    edges: list[Edge] = []
    left_out: list[LeftOut] = []
    seen, entered = {root: None}, {root}
    level, places = 0, [root]
    while places and (depth is None or level < depth):
        limit = limits[min(level, len(limits) - 1)] if limits else None
        ids: dict[Kind, list[str]] = {}
        for key in places:
            ids.setdefault(key.kind, []).append(key.id)
        places = []
        for link in reader.links:
            near_kind, far_kind = link.ends(direction)
            shown: dict[str, list[Neighbour]] = {}
            if near_kind in ids:
                for neighbour in reader.neighbours(link, direction, ids[near_kind], limit):
                    shown.setdefault(neighbour.near, []).append(neighbour)
            for near, found in shown.items():
                if missing := found[0].total - len(found):
                    key = Key(near_kind, near)
                    left_out.append(LeftOut(key, far_kind, link.relation, missing))
                for neighbour in found:
                    here, there = Key(near_kind, near), Key(far_kind, neighbour.far)
                    ends = (here, there) if direction == "down" else (there, here)
                    edges.append(Edge(*ends, link.relation, neighbour.note))
                    seen.setdefault(there, None)
                    if link.is_followed and there not in entered:
                        entered.add(there)
                        places.append(there)
        level += 1
    return Lineage(root, direction, _described(reader, seen), tuple(edges), tuple(left_out))


def _described(reader: Reader, keys: Iterable[Key]) -> dict[Key, Mapping[str, Any]]:
    """In the order of the keys. Of what the store has no row any more nothing is known."""
    ids: dict[Kind, list[str]] = {}
    for key in keys:
        ids.setdefault(key.kind, []).append(key.id)
    known = {kind: reader.describe(kind, of_kind) for kind, of_kind in ids.items()}
    return {key: known[key.kind].get(key.id, {}) for key in keys}
