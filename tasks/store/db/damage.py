"""What DuckDB raises of a file that is not what was written, as one line that promises nothing.

DuckDB keeps a checksum of every block and of every entry of the log beside the file, so a flipped
bit is found when it is read, which may be in the middle of any query. Not found is a log that was
cut off: a crash leaves the same, and what was not yet whole in it was never committed.
"""

from __future__ import annotations

import re
from pathlib import Path

import duckdb

from tasks.errors import FlywheelError, StoreDamagedError, StoreError
from tasks.exhausted import exhausted

_DAMAGED = re.compile(
    r"Corrupt (database|WAL) file|Could not read enough bytes from file|Failure while replaying WAL"
    r"|exists, but it is not a valid DuckDB|: Is a directory|Serialization Error: "
)
#: what SQL of a user, or a row, is to blame for, whatever text it quotes
_OF_SQL = (duckdb.ProgrammingError, duckdb.DataError, duckdb.IntegrityError)
#: an entry of the log begins so; the first tells the version of the log
_LOG_BEGINS = b"\x64\x00\x62"


def explained(path: Path, error: duckdb.Error) -> FlywheelError | None:
    """The error to raise instead; None for one that says nothing of the file or of the machine."""
    if isinstance(error, _OF_SQL):
        return None
    gave_out = exhausted(error)
    if gave_out is None and tells_damage(error):
        return damaged(path, str(error).splitlines()[0])
    return gave_out


def tells_damage(error: duckdb.Error) -> bool:
    is_sound = isinstance(error, _OF_SQL) or exhausted(error) is not None
    return not is_sound and bool(_DAMAGED.search(str(error)))


def unusable(path: Path, error: duckdb.Error) -> FlywheelError:
    """What to raise where the file cannot be opened or copied."""
    return explained(path, error) or StoreError(
        f"the store cannot be opened: {str(error).splitlines()[0]}",
        received=str(path),
        next="see that this user may read and write it, and that there is room; or point "
        "FLYWHEEL_HOME at another folder",
    )


def damaged(path: Path, said: str) -> StoreDamagedError:
    """`path`: the database; what is said names another file where that is the damaged one."""
    return StoreDamagedError(
        f"the store is damaged, rows may be missing: {said}",
        received=str(path),
        next="flywheel restore BACKUP --force, which keeps this one beside it; without a backup "
        "move it away, and read the logs again",
    )


def refuse_strange_log(path: Path) -> None:
    """Raises StoreError where the log of the database at `path` is something else: DuckDB would
    open the database without it, and what was committed last would be gone without a word."""
    log = path.with_name(f"{path.name}.wal")
    try:
        with log.open("rb") as file:
            begins = file.read(len(_LOG_BEGINS))
    except OSError:
        return  # there is none, or DuckDB says why it cannot be read
    if len(begins) == len(_LOG_BEGINS) and begins != _LOG_BEGINS:
        raise damaged(path, f"{log.name} beside it is no log of a database")
