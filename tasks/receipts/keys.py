"""The key that signs receipts, and the public keys that they are checked by.

Ed25519. The private one is PEM (PKCS #8), made on first use in the state folder, readable by its
owner alone; it goes into no log, no table and no message. The public one is PEM as well, and lies
beside the receipts under the beginning of its id.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tasks.errors import StoreError, UsageError
from tasks.settings import Settings
from tasks.store.folder import write_once

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner, SSlibKey

KEY_FILE = "receipts.key"
PUBLIC = ".pub"
_ID_CHARS = 16


def signing_key(settings: Settings) -> CryptoSigner:
    """Read the key, or make that of the state folder. Raises UsageError for a file that is named
    and holds no such key, StoreError where that of the state folder cannot be read or made."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from securesystemslib.signer import CryptoSigner

    named = settings.receipts.key_file
    path = settings.path(named) if named else settings.home_path / KEY_FILE
    try:
        if not named and not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_once(path, CryptoSigner.generate_ed25519().private_bytes)
        text = path.read_bytes()
    except OSError as error:
        kind = UsageError if named else StoreError
        raise kind(
            f"the key of the receipts cannot be read: {error.strerror}",
            received=str(path),
            next="check receipts.key_file, and the permissions of the file",
        ) from None
    try:
        key = load_pem_private_key(text, None)
    except (ValueError, TypeError):  # TypeError: it has a password
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(
            "this is no key that receipts can be signed with",
            received=str(path),
            allowed="an Ed25519 key as PEM (PKCS #8) without a password",
            next="openssl genpkey -algorithm ed25519 -out FILE, or remove the file: another is "
            "made, and receipts signed before keep their own",
        )
    return CryptoSigner(key)


def public_pem(key: SSlibKey) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    raw = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key.keyval["public"]))
    return raw.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def read_public(path: Path) -> SSlibKey:
    """Raises UsageError on a file that is no public key of Ed25519."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from securesystemslib.signer import SSlibKey

    try:
        key = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise UsageError(
            f"the public key cannot be read: {error.strerror}", received=str(path)
        ) from None
    except ValueError:
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(
            "this is no public key of Ed25519",
            received=str(path),
            allowed="PEM, as flywheel receipt key prints it",
        )
    return SSlibKey.from_crypto(key)


def public_name(key: SSlibKey) -> str:
    """Its file beside the receipts."""
    return f"{key.keyid[:_ID_CHARS]}{PUBLIC}"
