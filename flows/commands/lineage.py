"""`flywheel lineage`: from one thing up to its log lines, and down to the verdicts on it.

Only reads, so a run may be at work meanwhile."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flows.terminal import console, print_json, say
from tasks.curate.pins import read_pins
from tasks.errors import UsageError
from tasks.lineage.walk import walk
from tasks.model.lineage import KINDS, Direction, Key, Kind, Lineage
from tasks.model.urls import is_url, without_password
from tasks.model.visible import one_line
from tasks.report.lineage import Branch, label, to_object, tree
from tasks.settings import Settings, read_settings
from tasks.store import Store
from tasks.store.evals.links import lineage_reader
from tasks.store.evals.nodes import Named, describe, named, named_files
from tasks.store.opening import open_store

if TYPE_CHECKING:
    from rich.tree import Tree

#: neighbours that are shown by one link: of the thing asked for, and further on
_SHOWN = (8, 3)
_HEADINGS: Mapping[Direction, str] = {"up": "what it came from", "down": "what stood on it"}
_MAX_LISTED = 8
#: in a pipe a thing is a line
_UNBOUNDED_WIDTH = 10_000


def show_lineage(
    text: str,
    *,
    kind: str,
    directions: Sequence[Direction],
    depth: int | None,
    config: str | None,
    as_json: bool,
) -> int:
    settings = read_settings(config)
    pins = read_pins(settings)
    pinned = {pin.draft.sample_id: pin.request_id for pin in pins if pin.request_id}
    with open_store(settings, read_only=True) as store:
        root = _one(store, settings, text, _kind(kind))
        with lineage_reader(store, pinned) as reader:
            limits = () if as_json else _SHOWN
            found = [
                _with_settings(walk(reader, root, way, depth=depth, limits=limits), settings)
                for way in directions
            ]
    if as_json:
        asked = {"id": root.id, "kind": root.kind, "directions": list(directions), "depth": depth}
        print_json({**asked, **to_object(*found)})
        return 0
    screen = console()
    if not screen.is_terminal:
        screen.width = _UNBOUNDED_WIDTH
    for one in found:
        say(screen, f"{_HEADINGS[one.direction]}:", style="bold")
        screen.print(_drawn(one))
    return 0


def _kind(name: str) -> Kind | None:
    if not name:
        return None
    for kind in KINDS:
        if name.replace("-", "_") == kind:
            return kind
    raise UsageError("there is no such kind of thing", received=name, allowed=", ".join(KINDS))


def _one(store: Store, settings: Settings, text: str, kind: Kind | None) -> Key:
    """The one thing that is meant. Raises UsageError where none is, or several are."""
    wanted = without_password(text)
    meant = list(_meant(store, settings, wanted, kind)) if text else []
    exact = [one.key for one in meant if one.is_exact]
    keys = list(dict.fromkeys(exact or (one.key for one in meant)))
    if len(keys) == 1:
        return keys[0]
    if not keys:
        one = "thing" if kind is None else KINDS[kind][0]
        raise UsageError(
            f"the store has no {one} of this name",
            received=wanted,
            allowed="a run, a release by name, a suite, a request, a log file, or the beginning of "
            "a digest or an id: " + ", ".join(KINDS[name][0] for name in KINDS),
            next="flywheel sql 'SELECT path, rows_out FROM sources' lists what was read",
        )
    several_kinds = len({key.kind for key in keys}) > 1
    shown = [label(key, describe(store, key.kind, [key.id]).get(key.id, {})) for key in keys]
    more = ["and more"] if shown[_MAX_LISTED:] else []
    raise UsageError(
        "several things are called so",
        received=wanted,
        allowed="; ".join([*shown[:_MAX_LISTED], *more]),
        next="--kind KIND, or more of its id" if several_kinds else "more of its id",
    )


def _meant(store: Store, settings: Settings, text: str, kind: Kind | None) -> Iterator[Named]:
    yield from named(store, text, kind)
    path = text if is_url(text) else os.path.realpath(text)
    if kind in (None, "log_file"):
        yield from named_files(store, text, path)
    if kind in (None, "suite"):
        for name, suite in settings.suites.items():
            is_file = bool(suite.samples) and str(settings.path(suite.samples)) == path
            if is_file or name == text:
                yield Named(Key("suite", name), is_exact=True)


def _with_settings(found: Lineage, settings: Settings) -> Lineage:
    """With what flywheel.toml says of suites, which the store does not know."""
    return replace(
        found,
        nodes={
            key: {**known, **_declared(settings, key.id)} if key.kind == "suite" else known
            for key, known in found.nodes.items()
        },
    )


def _declared(settings: Settings, name: str) -> dict[str, Any]:
    suite = settings.suites.get(name)
    if suite is None:
        return {"is_declared": False}
    file = str(settings.path(suite.samples)) if suite.samples else None
    return {"is_declared": True, "file": file, "owner": suite.owner, "role": suite.role}


def _drawn(found: Lineage) -> Tree:
    from rich.text import Text
    from rich.tree import Tree

    def add(below: Tree, branch: Branch) -> None:
        for one in branch.branches:
            add(below.add(Text(one_line(one.text))), one)

    whole = tree(found)
    drawn = Tree(Text(one_line(whole.text), style="bold"))
    add(drawn, whole)
    if not whole.branches:
        drawn.add(Text("nothing in the store", style="dim"))
    return drawn
