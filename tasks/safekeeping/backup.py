"""One file with a whole state: a tar archive, which is there whole or not at all.

The store goes in as a copy that DuckDB made of its tables, so every block was read, free ones are
left out, and readers may have it open; MLflow's database by SQLite's own backup. Whoever calls
holds the run lock.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tasks.errors import UsageError
from tasks.safekeeping.contents import (
    MANIFEST,
    MLFLOW,
    NOT_HELD,
    STORE,
    Manifest,
    database_of_mlflow,
    plain_files,
)
from tasks.settings import Settings
from tasks.store.db.connection import refuse_half_restored, refuse_missing
from tasks.store.db.copying import copy_database, version_of
from tasks.store.db.damage import refuse_strange_log
from tasks.tracking.database import damaged_database
from tasks.work_folders import work_folder

FOLDER = "flywheel-backups"
_WORK = ".flywheel-backup-"


@dataclass(frozen=True, slots=True)
class BackedUp:
    path: Path
    size_bytes: int
    manifest: Manifest


def backup_path(home: Path, said: str, now: datetime) -> Path:
    """The file to write. A folder, or nothing said, gets a name with the time.

    Raises UsageError for a file that exists, or one inside the state folder.
    """
    target = Path(said).expanduser().resolve() if said else home.parent / FOLDER
    if not said or said.endswith("/") or target.is_dir():
        target /= f"flywheel-{now:%Y%m%dT%H%M%S}.tar"
    if target.is_relative_to(home):
        raise UsageError(
            "a backup inside the state folder would be lost with it",
            received=str(target),
            allowed="a folder or file elsewhere",
        )
    if target.exists():
        raise UsageError("the file exists already", received=str(target), next="name another one")
    return target


def back_up(settings: Settings, target: Path, now: datetime) -> BackedUp:
    """Raises StoreError where there is no store, it is held, or a database is damaged."""
    home = settings.home_path
    not_held = list(NOT_HELD)
    refuse_half_restored(settings.store_path)
    refuse_missing(settings.store_path)
    refuse_strange_log(settings.store_path)
    with _beside(target) as work:
        files = [(STORE, copy_database(settings.store_path, work / STORE))]
        database = database_of_mlflow(settings)
        if database is None:
            not_held.append("MLflow's runs, which a server keeps")
        elif database.exists():
            files.append((MLFLOW, _copy_of_mlflow(database, work / MLFLOW)))
        unfinished = work / "unfinished.tar"
        digests: dict[str, str] = {}
        with unfinished.open("xb") as file:
            # as POSIX has it: names of any length and characters, sizes of any number of digits
            with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
                for name, path in (*files, *plain_files(home)):
                    digests[name] = _add(archive, name, path)
                schema = version_of(work / STORE)
                manifest = Manifest(schema, f"{now}Z", str(home), digests, tuple(not_held))
                _add_text(archive, MANIFEST, manifest.to_json().encode(), now)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(target)
    return BackedUp(target, target.stat().st_size, manifest)


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A folder there, so that the end is one rename; those of killed processes are removed."""
    with ExitStack() as stack:
        try:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            work = stack.enter_context(work_folder(target.parent, _WORK))
        except OSError as error:
            raise UsageError(
                f"the backup cannot be written: {error.strerror}",
                received=str(target),
                next="name a folder you may write to",
            ) from None
        yield work


def _copy_of_mlflow(path: Path, copy: Path) -> Path:
    try:
        with (
            contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as source,
            contextlib.closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
            ((found,),) = target.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.DatabaseError as error:
        found = str(error)
    if found != "ok":
        raise damaged_database(path, found)
    return copy


class _Digested:
    """What tarfile reads, and the digest of it."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        data = self._file.read(size)
        self.sha256.update(data)
        return data


def _add(archive: tarfile.TarFile, name: str, path: Path) -> str:
    with path.open("rb") as file:
        entry = archive.gettarinfo(arcname=name, fileobj=file)
        # nobody's: it is brought back by whoever restores it
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mode = 0o600
        digested = _Digested(file)
        archive.addfile(entry, digested)
        return digested.sha256.hexdigest()


def _add_text(archive: tarfile.TarFile, name: str, text: bytes, now: datetime) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = len(text), 0o600, int(now.timestamp())
    archive.addfile(entry, io.BytesIO(text))
