"""What evaluate remembers between runs so that a run with nothing to compute is quick.

Owns one small JSON file in the state folder: digests of model files (by path, size and
modification time), and which device and number format `auto` came to on this machine. It holds
nothing that cannot be found out again: when it is missing, damaged or cannot be written, the work
is done anew.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import engine
from engine.loading.digest import PATTERNS
from tasks.whole_files import write_whole

#: in the state folder
MEMORY_FILE = "evaluate-memory.json"
_VERSION = 1


class Memory:
    """The file, read once; every addition is written at once, whole, by rename."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._values: dict[str, Any] = _read(path)

    def get(self, key: str) -> Any:
        return self._values.get(key)

    def put(self, key: str, value: Any) -> None:
        self._values[key] = value
        text = json.dumps({"version": _VERSION, "values": self._values}, indent=1, sort_keys=True)
        with contextlib.suppress(OSError):  # remembering is a convenience
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._path, text.encode())

    def model_digest(self, path: Path) -> str:
        """engine.model_digest, computed again only where a file's size or time changed."""
        return str(self._of_files("model", path, engine.model_digest))

    def model_files(self, path: Path) -> dict[str, str]:
        """The same of each of the model's files, by name."""

        def digests(path: Path) -> dict[str, str]:
            return {file.name: engine.model_digest(file) for file in _files(path)}

        return dict(self._of_files("files", path, digests))

    def _of_files(self, what: str, path: Path, find_out: Callable[[Path], Any]) -> Any:
        signature: list[list[str | int]] = []
        for file in _files(path):
            stat = file.stat()  # follows links: a hub snapshot is a folder of links
            signature.append([file.name, stat.st_size, stat.st_mtime_ns, stat.st_ino])
        key = f"{what} {path}"
        known = self.get(key)
        if isinstance(known, dict) and known.get("signature") == signature and signature:
            return known["digest"]
        digest = self._found_out(path, find_out)
        self.put(key, {"signature": signature, "digest": digest})
        return digest

    def _found_out(self, path: Path, find_out: Callable[[Path], Any]) -> Any:
        return find_out(path)


class NotKnownError(Exception):
    """Something would have to be found out that is not remembered."""


class Remembered(Memory):
    """The same file for whoever does not want to wait: nothing is found out. Raises NotKnownError
    where something would have to be."""

    def get(self, key: str) -> Any:
        value = super().get(key)
        if value is None:
            raise NotKnownError(key)
        return value

    def _found_out(self, path: Path, find_out: Callable[[Path], Any]) -> Any:
        raise NotKnownError(str(path))


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted({file for own in PATTERNS for file in path.glob(own) if file.is_file()})


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(value, dict) or value.get("version") != _VERSION:
        return {}
    values = value.get("values")
    return values if isinstance(values, dict) else {}
