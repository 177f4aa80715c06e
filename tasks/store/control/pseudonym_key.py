"""The key of the pseudonyms: random, made once, in the state folder, readable by its owner only.

Whoever has it can test guesses against pseudonyms, so it never goes into a log, a table or an
error message. Losing it only means that new pseudonyms differ from old ones.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from tasks.errors import StoreError

_NAME = "pseudonym.key"
_NUM_BYTES = 32


def pseudonym_key(home: Path) -> bytes:
    """Read the key of this state folder, or make it. Raises StoreError where that fails."""
    path = home / _NAME
    try:
        home.mkdir(parents=True, exist_ok=True)
        _make(path)
        key = path.read_bytes()
    except OSError as error:
        raise StoreError(
            f"the key of the pseudonyms cannot be read: {error.strerror}",
            received=str(path),
            next="check the permissions of the state folder",
        ) from None
    if len(key) != _NUM_BYTES:
        raise StoreError(
            "the key of the pseudonyms is damaged",
            received=f"{path}: {len(key)} bytes",
            allowed=f"{_NUM_BYTES} bytes",
            next="restore it from a backup; without it, remove it: pseudonyms will change",
        )
    return key


def _make(path: Path) -> None:
    """Whole or not at all: a process killed in between leaves no half a key."""
    if path.exists():
        return
    draft = path.with_name(f"{_NAME}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        handle = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with open(handle, "wb") as file:
            file.write(secrets.token_bytes(_NUM_BYTES))
            file.flush()
            os.fsync(handle)
        os.link(draft, path)  # fails where another process was first, and then its key counts
    except FileExistsError:
        pass
    finally:
        draft.unlink(missing_ok=True)
