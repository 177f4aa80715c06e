"""Whether an endpoint answers: one GET of its list of models, which costs nothing.

With the standard library, without redirects (they would take the key along): no client library need
be installed for it.
"""

from __future__ import annotations

import json
import urllib.request
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError

from tasks.model.visible import one_line

_TIMEOUT_S = 5
_MAX_BYTES = 8 * 2**20
_PATHS = {"openai": "/models", "anthropic": "/v1/models", "gemini": "/v1beta/models"}


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """For whoever sends a key or a signature along."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def probe(api: str, base_url: str, key: str, model: str) -> tuple[bool | None, str]:
    """Whether it answers with this key (None: it does, but lists no models), and what it said."""
    request = urllib.request.Request(  # noqa: S310 - the settings admit http and https alone
        base_url + _PATHS[api], headers=_headers(api, key) if key else {}
    )
    where = f"{model} at {base_url}"
    try:
        with urllib.request.build_opener(NoRedirect).open(request, timeout=_TIMEOUT_S) as answer:
            names = _names(answer.read(_MAX_BYTES))
    except HTTPError as error:
        if error.code in (401, 403):
            return False, f"{where}: the key is not accepted (status {error.code})"
        if error.code in (404, 405, 501):
            return None, f"{where}: answers, and lists no models (status {error.code})"
        return False, f"{where}: status {error.code} {one_line(str(error.reason))[:80]}"
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        return False, f"{where} does not answer: {one_line(str(reason))[:120]}"
    if names is None:
        return False, f"{where}: what answers lists no models: is base_url the API's?"
    if any(model in (name, name.removeprefix("models/")) for name in names):
        return True, f"{where}: answers, and has it"
    return None, f"{where}: answers, and does not list it among {len(names)} models"


def _headers(api: str, key: str) -> dict[str, str]:
    if api == "anthropic":
        return {"Authorization": f"Bearer {key}", "anthropic-version": "2023-06-01"}
    return {"x-goog-api-key": key} if api == "gemini" else {"Authorization": f"Bearer {key}"}


def _names(body: bytes) -> list[str] | None:
    try:
        value = json.loads(body)
        models = value.get("data", value.get("models"))
        return [str(model.get("id", model.get("name"))) for model in models]
    except (ValueError, AttributeError, TypeError, RecursionError):
        return None
