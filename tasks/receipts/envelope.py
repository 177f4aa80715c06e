"""DSSE envelopes (Dead Simple Signing Envelope) of in-toto statements: signed, and taken apart.

Not only the payload is held to one text but the envelope round it, so that no byte of a receipt's
file can be another without being told.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tasks.receipts.canonical import NotCanonicalError, canonical_bytes, read_canonical

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner, SSlibKey

PAYLOAD_TYPE = "application/vnd.in-toto+json"
#: a receipt of a thousand suites is far smaller
MAX_BYTES = 64 * 2**20


class RefusedError(ValueError):
    """`place`: envelope, payload encoding, signature, canonical form or schema; `value`: the
    payload as far as it can be read."""

    def __init__(self, place: str, why: str, value: Any = None) -> None:
        super().__init__(f"{place}: {why}")
        self.place = place
        self.why = why
        self.value = value


@dataclass(frozen=True, slots=True)
class Opened:
    """A receipt whose signature holds. `key_id`: of the key that it holds by."""

    statement: dict[str, Any]
    payload: bytes
    key_id: str


def sealed(statement: Any, signer: CryptoSigner) -> bytes:
    """The file of a statement. The same statement and key give the same bytes."""
    from securesystemslib.dsse import Envelope

    envelope = Envelope(canonical_bytes(statement), PAYLOAD_TYPE, {})
    envelope.sign(signer)
    return canonical_bytes(envelope.to_dict())


def opened(data: bytes, keys: Sequence[SSlibKey]) -> Opened:
    """What is in the file, if one of the keys signed it. Raises RefusedError."""
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import VerificationError

    taken = _envelope(data)
    payload = _decoded(taken["payload"], "payload encoding")
    (signature,) = taken["signatures"]
    _decoded(signature["sig"], "signature")
    key_id = signature["keyid"]
    if key_id not in {key.keyid for key in keys}:
        known = ", ".join(key.keyid[:16] for key in keys) or "none"
        raise RefusedError(
            "signature", f"it is by the key {str(key_id)[:16]!r}, at hand is {known}",
            _peeked(payload),
        )  # fmt: skip
    try:
        Envelope.from_dict(taken).verify(list(keys), 1)
    except VerificationError:
        why = "it does not hold for this payload"
        raise RefusedError("signature", why, _peeked(payload)) from None
    try:
        statement = read_canonical(payload)
    except NotCanonicalError as error:
        raise RefusedError("canonical form", str(error), _peeked(payload)) from None
    if not isinstance(statement, dict):
        raise RefusedError("schema", "$ is no object")
    return Opened(statement, payload, key_id)


def _envelope(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_BYTES:
        raise RefusedError("envelope", f"it is larger than {MAX_BYTES:,} bytes")
    try:
        value = read_canonical(data)
    except NotCanonicalError as error:
        raise RefusedError("envelope", str(error)) from None
    if not isinstance(value, dict) or set(value) != {"payload", "payloadType", "signatures"}:
        raise RefusedError("envelope", "it has payload, payloadType and signatures, nothing else")
    if value["payloadType"] != PAYLOAD_TYPE:
        raise RefusedError("envelope", f"payloadType is not {PAYLOAD_TYPE}")
    signatures = value["signatures"]
    if not isinstance(signatures, list) or len(signatures) != 1:
        raise RefusedError("envelope", "it has one signature")
    (signature,) = signatures
    if not isinstance(signature, dict) or set(signature) != {"keyid", "sig"}:
        raise RefusedError("envelope", "a signature has keyid and sig, nothing else")
    texts = (value["payload"], *signature.values())
    if not all(isinstance(text, str) for text in texts):
        raise RefusedError("envelope", "payload, keyid and sig are texts")
    return value


def _decoded(text: str, place: str) -> bytes:
    """Of base64 in the one way that it is written: other alphabets and stray bits are refused."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise RefusedError(place, "it is no base64") from None
    if base64.b64encode(data).decode() != text:
        raise RefusedError(place, "it is not as base64 is written: stray bits at its end")
    return data


def _peeked(payload: bytes) -> Any:
    """What it says, whoever wrote it; None where nobody can tell."""
    try:
        return read_canonical(payload)
    except NotCanonicalError:
        return None
