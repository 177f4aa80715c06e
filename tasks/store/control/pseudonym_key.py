"""The key of the pseudonyms: random, made once, in the state folder, readable by its owner only.

Whoever has it can test guesses against pseudonyms, so it never goes into a log, a table or an
error message. Losing it only means that new pseudonyms differ from old ones.
"""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path

from tasks.errors import StoreError
from tasks.store.folder import write_once

KEY_FILE = "pseudonym.key"
_NUM_BYTES = 32


def pseudonym_key(home: Path) -> bytes:
    """Read the key of this state folder, or make it. Raises StoreError where that fails."""
    path = home / KEY_FILE
    try:
        home.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            write_once(path, secrets.token_bytes(_NUM_BYTES))
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


def key_id_of(key: bytes) -> str:
    """Which key it is, and nothing else of it."""
    return hashlib.sha256(b"flywheel pseudonym key " + key).hexdigest()[:16]
