"""Files of JSON lines that people write and read too: a line with what is wrong is named."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.errors import UsageError, did_you_mean
from tasks.model.canonical import well_formed

_MARK = b"\xef\xbb\xbf"  # which editors put before UTF-8


def parse_line(line: bytes, where: str, what: str) -> Mapping[str, Any]:
    """The object on a line. `what`: how its kind is called, such as "a suite line"."""
    try:
        record = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError:
        raise bad_line(f"{what} is not UTF-8", where, "", "UTF-8 text") from None
    except (ValueError, RecursionError) as error:
        raise bad_line(f"{what} is not JSON", where, str(error), "one JSON object a line") from None
    if not isinstance(record, Mapping):
        raise bad_line(
            f"{what} is not an object", where, type(record).__name__, "one JSON object a line"
        )
    return record


def numbered(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, from 1 on."""
    for number, line in enumerate(data.removeprefix(_MARK).split(b"\n"), start=1):
        if line.strip():
            yield number, line


def read_lines(path: Path, what: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Where each object stands, as FILE:LINE, and the object; of no file none. Raises UsageError
    for one that cannot be read."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"a file cannot be read: {error.strerror}", received=str(path)) from None
    for number, line in numbered(data):
        where = f"{path}:{number}"
        yield where, parse_line(line, where, what)


def append_line(path: Path, record: Mapping[str, Any]) -> None:
    """Add a line that stays, whole, whatever happens after; others may add theirs meanwhile. A line
    that was cut off before it is left as one of its own. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(record, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
    with path.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                line = b"\n" + line
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def refuse_unknown(
    record: Mapping[str, Any], keys: Sequence[str], where: str, what: str
) -> Mapping[str, Any]:
    for key in record:
        if key not in keys:
            hint = did_you_mean(key, keys)
            raise bad_line(f"unknown key {key!r} in {what}{hint}", where, key, ", ".join(keys))
    return record


def text_of(record: Mapping[str, Any], key: str, where: str, what: str) -> str | None:
    """The text under a key; None where there is none. Raises UsageError for what is no text."""
    value = record.get(key)
    if value is None or (isinstance(value, str) and value):
        return None if value is None else well_formed(value)
    raise bad_line(f"{key} of {what} is not a text", where, repr(value)[:80], "a text")


def bad_line(what: str, where: str, received: str, allowed: str) -> UsageError:
    shown = f"{received} in {where}" if received else where
    return UsageError(what, received=shown, allowed=allowed, next="fix that line, then run again")
