"""What flywheel.toml says of releases that an API answers for, and of what a run may spend."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from tasks.settings.section import Section

Api = Literal["", "openai", "anthropic", "gemini"]
Endpoint = Literal["chat", "completions", "responses"]
#: type of an error of which the received value is never shown
HOLDS_SECRET = "holds_secret"  # noqa: S105 - the name of an error
#: what a request is made of; several answers are not one
_OURS = {"model", "messages", "input", "prompt", "contents", "system", "stream", "n", "store"}
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")


def checked_address(url: str) -> str:
    """Without what keys are hidden in, and without a slash at its end."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise PydanticCustomError(HOLDS_SECRET, "is no address (https://host/v1)") from None
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise PydanticCustomError(
            HOLDS_SECRET, "user, password, query and fragment are not allowed; a key is named "
            "with api_key_env",
        )  # fmt: skip
    is_web = parts.scheme in ("http", "https") and parts.hostname and port != 0
    if url and (not is_web or any(c.isspace() or not c.isprintable() for c in url)):
        raise PydanticCustomError(HOLDS_SECRET, "is no address (https://host/v1)")
    return url.rstrip("/")


def _variable(name: str) -> str:
    if name and not _VARIABLE.fullmatch(name):
        raise PydanticCustomError(
            HOLDS_SECRET, "is the name of an environment variable, in capitals, and never a key"
        )
    return name


def _parameters(body: dict[str, Any]) -> dict[str, Any]:
    """As JSON, and nothing that would make it another request than is recorded."""
    if ours := sorted(_OURS & body.keys()):
        raise PydanticCustomError(
            HOLDS_SECRET, "`{name}` is not a parameter to set here", {"name": ours[0]}
        )
    try:
        json.dumps(body, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise PydanticCustomError(HOLDS_SECRET, "holds what JSON has not (a date, nan)") from None
    return body


Parameters = Annotated[dict[str, Any], AfterValidator(_parameters)]
Address = Annotated[str, AfterValidator(checked_address)]
Variable = Annotated[str, AfterValidator(_variable)]


class RequestSettings(Section):
    """Of no digest: they change no answer."""

    max_concurrency: int = Field(8, ge=1, le=512, description="requests under way at a time")
    timeout_s: float = Field(
        120.0, gt=0, description="of a request, from its start to the end of its answer"
    )
    max_retries: int = Field(
        5, ge=0, le=100, description="of a request that met 429, 5xx, a timeout or a broken answer"
    )
    max_wait_s: float = Field(
        60.0, gt=0, description="before a retry; an endpoint that asks for longer is not waited for"
    )


class BudgetSettings(Section):
    """Of no digest: what is not asked for want of it is asked by the next run."""

    max_requests: int = Field(0, ge=0, description="attempts, failed ones too; 0: no limit")
    max_tokens: int = Field(0, ge=0, description="read and written; 0: no limit")
    max_cost: float = Field(
        0.0, ge=0, description="in the currency of [releases.NAME.price]; 0: no limit"
    )
