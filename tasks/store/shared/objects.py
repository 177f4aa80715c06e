"""The object storage that machines share: files that are written once, read whole and deleted.

Through fsspec, which finds the library of each storage by its protocol. A key is never used twice,
so an object is either whole or nobody refers to it, and one that was deleted does not come back.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from tasks.errors import StoreUnreachableError, UsageError
from tasks.model.urls import without_password

Result = TypeVar("Result")

_EXTRA = "pip install 'llm-flywheel[object-storage]'"
_FIRST_PAUSE_S, _LAST_PAUSE_S = 0.2, 3.0


class GoneError(Exception):
    """There is no such object."""


@dataclass(frozen=True, slots=True)
class Objects:
    """A place for objects. Each call is tried again for `patience_s`."""

    fs: Any
    root: str
    shown: str
    patience_s: float

    def put(self, source: Path, key: str) -> None:
        try:
            self._patiently(lambda: self.fs.put_file(str(source), self._path(key)))
        except GoneError:
            raise self._no_place() from None

    def get(self, key: str, target: Path, digest: str) -> None:
        """Raises GoneError, StoreUnreachableError on other bytes than were put."""
        self._patiently(lambda: self.fs.get_file(self._path(key), str(target)))
        with target.open("rb") as file:
            arrived = hashlib.file_digest(file, "sha256").hexdigest()
        if arrived != digest:
            raise StoreUnreachableError(
                "an object of the store holds other bytes than were put there",
                received=f"{key} in {self.shown}",
                next="bring it back from a version or a copy that the object storage keeps",
            )

    def remove(self, keys: Iterable[str]) -> list[str]:
        """Those that are gone now; of the rest nothing is told."""
        gone = []
        for key in keys:
            with suppress(Exception):
                with suppress(FileNotFoundError):
                    self.fs.rm_file(self._path(key))
                gone.append(key)
        return gone

    def answers(self) -> None:
        """Write, read and delete a small object. Raises StoreUnreachableError."""
        path = self._path(".answers")

        def ask() -> None:
            self.fs.pipe_file(path, b"flywheel")
            assert self.fs.cat_file(path) == b"flywheel", "it holds what was just written"
            self.fs.rm_file(path)

        try:
            self._patiently(ask)
        except GoneError:
            raise self._no_place() from None

    def lost(self) -> StoreUnreachableError:
        return StoreUnreachableError(
            "an object of the store is not where it was put",
            received=self.shown,
            next="bring it back from a version or a copy that the object storage keeps",
        )

    def _no_place(self) -> StoreUnreachableError:
        return StoreUnreachableError(
            "the object storage of the store has no such bucket",
            received=self.shown,
            next="make it, or correct objects in [store]",
        )

    def _path(self, key: str) -> str:
        return f"{self.root}/{key}"

    def _patiently(self, work: Callable[[], Result]) -> Result:
        deadline, pause_s = time.monotonic() + self.patience_s, _FIRST_PAUSE_S
        while True:
            try:
                return work()
            except FileNotFoundError:
                raise GoneError from None
            except Exception as error:
                is_final = isinstance(error, PermissionError)
                if is_final or time.monotonic() + pause_s > deadline:
                    # what a library says may hold a secret
                    raise StoreUnreachableError(
                        "the object storage of the store does not answer",
                        received=f"{self.shown}: {type(error).__name__}",
                        next="flywheel doctor, which tells what answers; then the same again",
                    ) from None
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, _LAST_PAUSE_S)


def objects_at(address: str, patience_s: float) -> Objects:
    """Those at an address; one for a process. Raises UsageError where the address is none, or a
    library is missing."""
    return _objects_at(address, patience_s, os.getpid())


@cache
def _objects_at(address: str, patience_s: float, _process: int) -> Objects:
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise UsageError("a store that is shared needs fsspec", next=_EXTRA) from None
    local = {"auto_mkdir": True} if address.startswith("file:") else {"use_listings_cache": False}
    shown = without_password(address)
    try:
        fs, root = url_to_fs(address, **local)
    except ImportError as error:
        missing = getattr(error.__cause__, "name", None) or "a library of its storage"
        raise UsageError(
            f"a store that is shared needs {missing}", received=shown, next=_EXTRA
        ) from None
    except (ValueError, OSError):
        raise UsageError(
            "objects in [store] is no address of an object storage",
            received=shown,
            allowed="s3://BUCKET/PREFIX, gs://, az://, or file:///PATH that all machines see",
        ) from None
    return Objects(fs, root.rstrip("/"), shown, patience_s)
