"""A backup back into its state folder. What was there is kept beside it, in `kept`.

Everything is unpacked and checked first. Then files change places one by one, under a marker that
every command refuses until the same or another backup was restored to the end. Whoever calls holds
the run lock.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tarfile
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tasks.errors import StoreError, UsageError
from tasks.safekeeping.contents import (
    BESIDE,
    ERASURES,
    MANIFEST,
    MLFLOW,
    NAMES,
    STORE,
    Manifest,
    database_of_mlflow,
    no_backup,
)
from tasks.settings import Settings
from tasks.store.db.connection import RESTORING
from tasks.store.db.copying import version_of
from tasks.store.db.schema import refuse_newer
from tasks.store.folder import KEPT
from tasks.whole_files import write_whole

_UNPACKED = ".restoring"
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Restored:
    """`kept`: the folder with what was there before; None where there was nothing."""

    names: tuple[str, ...]
    kept: Path | None
    manifest: Manifest
    notes: tuple[str, ...]


def restore(settings: Settings, source: Path, now: datetime, *, force: bool) -> Restored:
    """Raises UsageError on what is no whole backup, and on a state that is there where `force` is
    not said; StoreError on a backup of a newer schema or a damaged one."""
    home = settings.home_path
    unpacked = home / _UNPACKED
    shutil.rmtree(unpacked, ignore_errors=True)
    places = {name: home / name for name in NAMES}
    database = database_of_mlflow(settings)
    if database is None:
        del places[MLFLOW]
    else:
        places[MLFLOW] = database
    marker = _Marker.of(home / RESTORING, places, now)
    if marker.existed and not marker.is_interrupted and not force:
        raise UsageError(
            "there is a state already",
            received=f"{home}: {', '.join(marker.existed)}",
            next=f"flywheel restore {source} --force, which keeps it in {KEPT}",
        )
    try:
        manifest = _unpack(source, unpacked)
        notes = _notes(manifest, home, database)
        marker.write()
        restored = _change_places(unpacked, places, home / KEPT / marker.kept, marker.existed)
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
    marker.path.unlink()
    kept = home / KEPT / marker.kept if marker.existed else None
    return Restored(restored, kept, manifest, notes)


@dataclass(frozen=True, slots=True)
class _Marker:
    """What was there before the first try, and the name of the folder that keeps it."""

    path: Path
    kept: str
    existed: tuple[str, ...]
    is_interrupted: bool

    @classmethod
    def of(cls, path: Path, places: dict[str, Path], now: datetime) -> _Marker:
        try:
            read = json.loads(path.read_text())
            return cls(path, str(read["kept"]), tuple(read["existed"]), True)
        except (OSError, ValueError, KeyError, TypeError):
            existed = tuple(name for name, place in places.items() if place.exists())
            return cls(path, f"before-restore-{now:%Y%m%dT%H%M%S}", existed, path.exists())

    def write(self) -> None:
        write_whole(self.path, json.dumps({"kept": self.kept, "existed": self.existed}).encode())


def _unpack(source: Path, folder: Path) -> Manifest:
    try:
        with tarfile.open(source, "r:") as archive:
            entry = archive.getmember(MANIFEST)
            manifest = Manifest.from_json(_read(archive, entry, source), source)
            refuse_newer(manifest.schema)
            for name, digest in manifest.files.items():
                _unpack_one(archive, archive.getmember(name), digest, folder / name, source)
    except KeyError:
        raise no_backup(source, "a file is missing in it") from None
    except (tarfile.TarError, EOFError) as error:
        raise no_backup(source, str(error)) from None
    except OSError as error:
        if error.filename != str(source):
            raise
        raise UsageError(
            f"the backup cannot be read: {error.strerror}", received=str(source)
        ) from None
    refuse_newer(version_of(folder / STORE))
    return manifest


def _read(archive: tarfile.TarFile, entry: tarfile.TarInfo, source: Path) -> bytes:
    file = archive.extractfile(entry) if entry.isreg() else None
    if file is None:
        raise no_backup(source, f"{entry.name} is no file")
    return file.read()


def _unpack_one(
    archive: tarfile.TarFile, entry: tarfile.TarInfo, digest: str, target: Path, source: Path
) -> None:
    file = archive.extractfile(entry) if entry.isreg() else None
    if file is None:
        raise no_backup(source, f"{entry.name} is no file")
    target.parent.mkdir(parents=True, exist_ok=True)
    found = hashlib.sha256()
    with target.open("xb") as copy:
        while chunk := file.read(_CHUNK_BYTES):
            found.update(chunk)
            copy.write(chunk)
        copy.flush()
        os.fsync(copy.fileno())
    if found.hexdigest() != digest:
        raise StoreError(
            f"the backup is damaged: {entry.name} is not what was written",
            received=str(source),
            next="restore an earlier one; nothing was changed",
        )


def _change_places(
    unpacked: Path, places: dict[str, Path], kept: Path, existed: tuple[str, ...]
) -> tuple[str, ...]:
    """All that was there goes into `kept`, all of the backup in its place; once more after a kill
    it goes on. Returns the names restored."""
    restored = []
    for name, place in places.items():
        for suffix in ("", *BESIDE.get(name, ())):
            part, keep = place.with_name(f"{place.name}{suffix}"), kept / f"{name}{suffix}"
            if name in existed and not keep.exists() and part.exists():
                kept.mkdir(mode=0o700, parents=True, exist_ok=True)
                _move(part, keep)
            else:
                _remove(part)
        if (unpacked / name).exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            _move(unpacked / name, place)
            restored.append(name)
    return tuple(restored)


def _move(source: Path, target: Path) -> None:
    shutil.move(source, target)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _notes(manifest: Manifest, home: Path, database: Path | None) -> tuple[str, ...]:
    notes = list(manifest.not_held)
    if database is None and MLFLOW in manifest.files:
        notes.append("MLflow's runs of the backup, for a server keeps them by these settings")
    if manifest.home != str(home):
        notes.append(f"paths of reports and artifacts, which stay as they were: {manifest.home}")
    if number := _erased_since(home, manifest.created_at):
        notes.append(
            f"{number:,} erasures that were made after this backup: what was forgotten is back · "
            f"next: flywheel forget, of whom they were ({home / ERASURES})"
        )
    return tuple(notes)


def _erased_since(home: Path, created_at: str) -> int:
    moment, number = _moment(created_at), 0
    for path in (home / ERASURES).glob("*.json"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            told = json.loads(path.read_text(encoding="utf-8"))
            number += _moment(told["erased_at"]) > moment
    return number


def _moment(text: str) -> datetime:
    """UTC without a zone."""
    return datetime.fromisoformat(text.removesuffix("Z"))
