"""What belongs to a state and lies in a backup, by its name there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tasks.errors import UsageError
from tasks.logs.files.log_file import STDIN_PREFIX
from tasks.settings import Settings
from tasks.tracking.environment import tracking_location

STORE = "flywheel.duckdb"
MLFLOW = "mlflow.db"
MANIFEST = "manifest.json"
#: what erasures came to: no part of a backup, for it must outlast one that is older
ERASURES = "erasures"
#: lies in the state folder while an erasure is not finished
UNFINISHED = "forgetting.json"
_FOLDERS = ("mlflow-artifacts", "reports", "receipts", "data-docs", "spool")
_FILES = ("pseudonym.key", "receipts.key", "evaluate-memory.json")
#: what is moved as one when a backup comes back
NAMES = (STORE, MLFLOW, *_FOLDERS, *_FILES)
#: files beside a database that hold a part of it
BESIDE = {STORE: (".wal",), MLFLOW: ("-wal", "-shm")}
#: what a restored state is without
NOT_HELD = (
    "flywheel.toml, prompts, suites, rules and models, which are yours",
    "log files that were read",
    "Prefect's own history (prefect/)",
    f"what erasures came to ({ERASURES}/), which stays where it is",
    "the key of what is held raw (FLYWHEEL_RAW_KEY), without which those rows stay sealed",
)
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """`schema`: of the store. `home`: where the state lay. `files`: sha256 by name in the archive.

    It comes last, so an archive with one is whole.
    """

    schema: int
    created_at: str
    home: str
    files: dict[str, str]
    not_held: tuple[str, ...]
    format: int = _FORMAT

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: bytes, where: Path) -> Manifest:
        """Raises UsageError on what is none."""
        try:
            read: dict[str, Any] = json.loads(text)
            known = cls(**{**read, "not_held": tuple(read["not_held"])})
            files = {str(name): str(digest) for name, digest in known.files.items()}
            is_ours = known.format == _FORMAT and int(known.schema) > 0 and STORE in files
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            is_ours = False
        if not is_ours or not all(is_allowed(name) for name in files):
            raise no_backup(where, "its list of files is not ours")
        return known


def no_backup(where: Path, why: str) -> UsageError:
    return UsageError(
        f"this is no backup of flywheel, or not all of one: {why}",
        received=str(where),
        next="name a file that flywheel backup has written",
    )


def is_allowed(name: str) -> bool:
    """Whether a file of an archive may be put into a state folder."""
    parts = PurePosixPath(name).parts
    is_plain = bool(parts) and not name.startswith("/") and ".." not in parts and "\0" not in name
    return is_plain and (name in NAMES if len(parts) == 1 else parts[0] in _FOLDERS)


def database_of_mlflow(settings: Settings) -> Path | None:
    """MLflow's SQLite file; None where a server keeps the runs."""
    return tracking_location(settings).database


def plain_files(home: Path) -> Iterator[tuple[str, Path]]:
    """Names in the archive and paths of all that is no database."""
    for name in _FILES:
        if (home / name).is_file():
            yield name, home / name
    for folder in _FOLDERS:
        for path in sorted((home / folder).rglob("*")):
            is_log = folder != "spool" or path.name.startswith(STDIN_PREFIX)
            if is_log and path.is_file() and not path.is_symlink():
                yield path.relative_to(home).as_posix(), path
