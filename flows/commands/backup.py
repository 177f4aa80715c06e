"""`flywheel backup` and `flywheel restore`: a whole state in one file, and back."""

from __future__ import annotations

from pathlib import Path

from flows.commands.ui import served
from flows.terminal import console, print_json, print_pairs
from flows.turn import hold
from tasks.answering.journal import recover
from tasks.errors import UsageError
from tasks.run import utc_now
from tasks.safekeeping.backup import back_up, backup_path
from tasks.safekeeping.restore import restore
from tasks.settings import read_settings
from tasks.store.opening import open_store


def write_backup(target: str, *, config: str | None, as_json: bool) -> int:
    settings, now = read_settings(config), utc_now()
    path = backup_path(settings.home_path, target, now)
    with hold(settings):
        recover(settings, now)
        if settings.store.is_shared:
            with open_store(settings, read_only=True):
                pass  # the working copy catches up
        done = back_up(settings, path, now)
    manifest = done.manifest
    if as_json:
        told = {"path": str(path), "bytes": done.size_bytes, "schema": manifest.schema}
        print_json({**told, "files": manifest.files, "not_held": manifest.not_held})
        return 0
    lines = [
        ("backup", f"{path}, {done.size_bytes:,} bytes, {len(manifest.files):,} files"),
        *(("not in it", text) for text in manifest.not_held),
        (
            "holds",
            "rows that are held raw, as the state does: keep it from others as well",
        ),
        ("to go back", f"flywheel restore {path}"),
    ]
    print_pairs(console(), lines)
    return 0


def bring_back(source: str, *, force: bool, config: str | None, as_json: bool) -> int:
    settings = read_settings(config)
    path = Path(source).expanduser().resolve()
    if not path.is_file():
        raise UsageError("there is no such backup", received=source, next="flywheel backup")
    if settings.store.is_shared:
        raise UsageError(
            "a backup brings back a state folder, and the store is not in one",
            received="[store] names services that machines share",
            next="restore it where [store] is not set, then flywheel store copy FOLDER shared",
        )
    if url := served(settings):
        raise UsageError(
            "the pages of MLflow are served from this state folder",
            received=url,
            next="stop flywheel ui, then run the same command again",
        )
    with hold(settings):
        done = restore(settings, path, utc_now(), force=force)
    kept = None if done.kept is None else str(done.kept)
    if as_json:
        print_json({"restored": done.names, "kept": kept, "not_restored": done.notes,
                    "created_at": done.manifest.created_at})  # fmt: skip
        return 0
    lines = [
        ("restored", f"{', '.join(done.names)}, as of {done.manifest.created_at}"),
        ("kept", kept or "nothing was there before"),
        *(("not restored", text) for text in done.notes),
    ]
    print_pairs(console(), lines)
    return 0
