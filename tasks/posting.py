"""A post to an address of the settings, tried again where that may help.

That is 429, 5xx, no connection and no answer in time, after the endpoint's Retry-After or a random
wait. No redirect is followed, which would take a signature elsewhere. Addresses are told by their
host, as some hold a secret.
"""

from __future__ import annotations

import random
import time
import urllib.request
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.parse import urlsplit

from tasks.backends.hosted.probe import NoRedirect
from tasks.backends.hosted.trouble import retry_after_s
from tasks.model.visible import one_line

_RETRIED = (408, 425, 429)
_FIRST_WAIT_S = 0.5
_MAX_WAIT_S = 30.0
_MAX_TOLD = 300

Sleep = Callable[[float], None]


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    timeout_s: float,
    max_retries: int,
    sleep: Sleep = time.sleep,
) -> str:
    """What went wrong; empty: it was taken. `timeout_s` is of one attempt."""
    request = urllib.request.Request(  # noqa: S310 - the settings admit http and https alone
        url,
        data=body,
        headers={"Content-Type": "application/json", "User-Agent": "flywheel", **headers},
        method="POST",
    )
    host = urlsplit(url).hostname
    why = ""
    for number in range(max_retries + 1):
        asked: float | None = None
        try:
            with urllib.request.build_opener(NoRedirect).open(request, timeout=timeout_s):
                return ""
        except HTTPError as error:
            error.close()
            why = f"{host}: status {error.code}"
            if error.code not in _RETRIED and error.code < 500:
                return why
            asked = retry_after_s(
                {name.lower(): value for name, value in error.headers.items()}, datetime.now(UTC)
            )
        except (OSError, HTTPException, ValueError) as error:
            why = f"{host}: {one_line(str(getattr(error, 'reason', None) or error))[:_MAX_TOLD]}"
        if asked is not None and asked > _MAX_WAIT_S:
            return f"{why}, and it asks to wait {asked:.0f} s"
        if number < max_retries:
            longest = min(_MAX_WAIT_S, _FIRST_WAIT_S * 2**number)
            sleep(random.uniform(0, longest) if asked is None else asked)  # noqa: S311 - a wait
    return f"{why}, {max_retries + 1} times"
