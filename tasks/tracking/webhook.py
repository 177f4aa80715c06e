"""What MLflow posts when an alias of a registered model was set, and whether it was MLflow.

    X-MLflow-Delivery-Id, X-MLflow-Timestamp    of this delivery; seconds since 1970
    X-MLflow-Signature                          v1,BASE64(HMAC-SHA256(secret, "id.timestamp.body"))
    {"entity": "model_version_alias", "action": "created", "data": {"name", "alias", "version"}}

As mlflow/webhooks/delivery.py sends it, after https://www.standardwebhooks.com. Imports no mlflow.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass

SIGNATURE, DELIVERY, TIMESTAMP = (
    "X-MLflow-Signature", "X-MLflow-Delivery-Id", "X-MLflow-Timestamp",
)  # fmt: skip
#: a delivery that is older, or from the future, may be one that somebody kept
MAX_AGE_S = 300.0
_VERSION = "v1"


@dataclass(frozen=True, slots=True)
class AliasSet:
    model: str
    alias: str
    version: str


def is_signed(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> bool:
    """Whether the body is what MLflow signed, some minutes ago at most. `now`: seconds since 1970;
    `headers`: whatever the case of their names, as a web framework hands them on."""
    delivery, timestamp = headers.get(DELIVERY, ""), headers.get(TIMESTAMP, "")
    if not timestamp.isdecimal() or abs(now - int(timestamp)) > MAX_AGE_S:
        return False
    signed = f"{delivery}.{timestamp}.".encode() + body
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).digest()
    expected = f"{_VERSION},{base64.b64encode(digest).decode()}"
    return hmac.compare_digest(expected.encode(), headers.get(SIGNATURE, "").encode())


def alias_set(body: bytes) -> AliasSet | None:
    """None for another event, or what is none."""
    try:
        event = json.loads(body)
        if (event["entity"], event["action"]) != ("model_version_alias", "created"):
            return None
        data = event["data"]
        return AliasSet(str(data["name"]), str(data["alias"]), str(data["version"]))
    except (ValueError, KeyError, TypeError):
        return None
