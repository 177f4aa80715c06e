"""The key that seals what is held raw: Fernet (AES-128-CBC, HMAC-SHA-256) of `cryptography`.

It comes from the environment or from a file, and is never written into the state folder. Each row
says which key sealed it, by a digest of the key that tells nothing of it. Who loses the key loses
what is held under it; all else works on without.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.errors import UsageError

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

VARIABLE = "FLYWHEEL_RAW_KEY"
_MAKE = 'python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'


@dataclass(frozen=True, slots=True)
class RawKey:
    """`key_id`: which key it is, for the rows it seals."""

    key_id: str
    _fernet: Fernet = field(repr=False)

    def seal(self, raw: bytes) -> bytes:
        return self._fernet.encrypt(raw)

    def unseal(self, token: bytes) -> bytes:
        """Raises cryptography.fernet.InvalidToken on what this key has not sealed."""
        return self._fernet.decrypt(token)


def find_raw_key(
    key_file: Path | None, home: Path, environ: Mapping[str, str] | None = None
) -> RawKey | None:
    """The key of the environment, else of the file; None where neither is named.

    Raises UsageError on what is no key, a file that cannot be read or lies in the state folder.
    """
    given = (os.environ if environ is None else environ).get(VARIABLE, "").strip()
    if given:
        return _key(given, VARIABLE)
    if key_file is None:
        return None
    if key_file.is_relative_to(home):
        raise UsageError(
            "the key of what is held raw lies beside it",
            received=str(key_file),
            allowed="a file outside the state folder",
            next="move it, and correct raw_key_file in [retention]",
        )
    try:
        return _key(key_file.read_text(encoding="ascii").strip(), str(key_file))
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "not text"
        raise UsageError(
            f"the key of what is held raw cannot be read: {why}",
            received=str(key_file),
            next="correct raw_key_file in [retention]",
        ) from None


def sealed_elsewhere(num_rows: int, key: RawKey | None) -> str:
    """What to say of rows under a key that is not at hand."""
    new = "" if key is not None else "; what is held from now on is not encrypted"
    return (
        f"{num_rows:,} held rows are sealed under a key that is not here: they cannot be replayed"
        f"{new} · next: set {VARIABLE}, or raw_key_file in [retention], to that key"
    )


def _key(text: str, where: str) -> RawKey:
    from cryptography.fernet import Fernet

    try:
        fernet = Fernet(text)
    except ValueError:
        # what was received stays out of the message: it may be a key with one letter missing
        raise UsageError(
            "what shall encrypt raw bytes is no key",
            received=f"{len(text)} characters in {where}",
            allowed="32 random bytes in URL-safe base64",
            next=_MAKE,
        ) from None
    return RawKey(hashlib.sha256(f"flywheel raw key {text}".encode()).hexdigest()[:16], fernet)
