"""What Prefect keeps of its flow runs in the state folder: it leaves there, too, where it quotes
what is erased.

Names, parameters, states with their messages, logs, artifacts, forms and events are columns of a
SQLite file that is not ours: so every text of every table is looked at, whatever it is called, and
its schema is neither known here nor changed. What its processes printed lies in files beside it.
Nobody may have the database open. Done twice, it is the same as once.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from tasks.errors import StoreBusyError, StoreError
from tasks.model.erasure import BLOT
from tasks.safekeeping.searching import Search, without_lines

_TIMEOUT_S = 10.0
#: of the state folder: what Prefect's server keeps, and what `flywheel up` and its parts printed
_DATABASE = "prefect/prefect.db"
_LOGS = ("prefect/*.log", "up/*.log")


def clear_history(home: Path, search: Search) -> int:
    """Blot it out of Prefect's database, and take its lines out of the logs; how many texts and
    lines that were. Raises StoreBusyError where somebody has the database open, StoreError where
    it is none."""
    num, path = 0, home / _DATABASE

    def of_bytes(line: bytes) -> bool:
        return search.tells(line.decode("utf-8", "replace"))

    if path.exists():
        try:
            num = _clear_database(path, search)
        except sqlite3.OperationalError as error:
            raise _held(path, str(error)) from None
        except sqlite3.DatabaseError as error:
            raise StoreError(
                f"Prefect's database is damaged: {error}",
                received=str(path),
                next="move it away: a new one is made, and the store has all that was decided",
            ) from None
    return num + sum(without_lines(log, of_bytes) for log in _logs(home))


def _logs(home: Path) -> Iterator[Path]:
    for pattern in _LOGS:
        yield from sorted(home.glob(pattern))


def _clear_database(path: Path, search: Search) -> int:
    num = 0
    with closing(sqlite3.connect(path, timeout=_TIMEOUT_S)) as database:
        database.execute("PRAGMA secure_delete = ON")
        for table, column in _columns(database):
            rows = database.execute(
                f'SELECT rowid, "{column}" FROM "{table}" WHERE typeof("{column}") = \'text\''
            )
            blotted = [
                (told, row)
                for row, text in rows
                if search.tells(text) and (told := blot_out(text, search)) != text
            ]
            database.executemany(f'UPDATE "{table}" SET "{column}" = ? WHERE rowid = ?', blotted)
            num += len(blotted)
        database.commit()
        if num:
            database.execute("VACUUM")
        ((is_held, *_),) = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    if is_held:
        raise _held(path, "its log is being read")
    return num


def _columns(database: sqlite3.Connection) -> list[tuple[str, str]]:
    """Of all tables with row ids, in which Prefect's all are."""
    return database.execute(
        "SELECT t.name, c.name FROM pragma_table_list AS t, pragma_table_info(t.name) AS c "
        "WHERE t.type = 'table' AND NOT t.wr AND t.name NOT LIKE 'sqlite_%' ORDER BY t.name, c.cid"
    ).fetchall()


def blot_out(text: str, search: Search) -> str:
    """The text without what tells of the erased: of JSON the values, else the lines. It stays JSON
    where it was."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return _blotted_lines(text, search)
    if not isinstance(value, dict | list | str):
        return text
    return json.dumps(_blotted(value, search))


def _blotted(value: Any, search: Search) -> Any:
    if isinstance(value, str):
        return _blotted_lines(value, search)
    if isinstance(value, list):
        return [_blotted(item, search) for item in value]
    if isinstance(value, dict):
        return {_blotted_lines(name, search): _blotted(one, search) for name, one in value.items()}
    return value


def _blotted_lines(text: str, search: Search) -> str:
    """Whole where it is told over several lines."""
    if not search.tells(text):
        return text
    left = "\n".join(BLOT if search.tells(line) else line for line in text.split("\n"))
    return BLOT if search.tells(left) else left


def _held(path: Path, said: str) -> StoreBusyError:
    return StoreBusyError(
        f"Prefect's history cannot be written anew, and may tell of it: {said}",
        received=str(path),
        next="stop what has it open (flywheel up, prefect server), then run the same command again",
    )
