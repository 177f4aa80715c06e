"""`flywheel store copy`: from one machine to services that machines share, and back."""

from __future__ import annotations

from pathlib import Path

from flows.terminal import console, print_json, print_pairs
from flows.turn import hold
from tasks.errors import UsageError
from tasks.settings import read_settings

SHARED = "shared"


def copy_store(source: str, target: str, *, config: str | None, as_json: bool) -> int:
    settings = read_settings(config)
    if not settings.store.is_shared:
        raise UsageError(
            "[store] names no services that machines share",
            next="set database and objects in [store]; docs/scale.md says how",
        )
    if (source == SHARED) == (target == SHARED):
        raise UsageError(
            "one of the two is the shared store, the other a state folder",
            received=f"{source} {target}",
            allowed=f"FOLDER {SHARED}, or {SHARED} FOLDER",
        )
    from tasks.store.shared.moving import from_shared, to_shared

    with hold(settings):
        if target == SHARED:
            done = to_shared(Path(source).expanduser().resolve(), settings)
        else:
            done = from_shared(settings, Path(target).expanduser().resolve())
    kept = None if done.kept is None else str(done.kept)
    if as_json:
        print_json({"copied": done.is_new, "rows": done.num_rows, "kept": kept})
        return 0
    rows = f"{sum(done.num_rows.values()):,} rows of {len(done.num_rows)} tables"
    lines = [("copied" if done.is_new else "equal already", rows)]
    if kept:
        lines.append(("the file before", kept))
    print_pairs(console(), lines)
    return 0
