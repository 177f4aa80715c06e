"""Telling others that the champion was moved: a command of this machine, and a webhook.

    POST, application/json      the event, canonical JSON in UTF-8
    Idempotency-Key             hash of the row of the audit: the same for every attempt at a move
    X-Flywheel-Signature        sha256=HMAC-SHA256(secret, body) in hex, where a secret is named

Nothing that goes wrong here undoes a move. A post is tried again where that may help (429, 5xx, no
connection, no answer in time), after the endpoint's Retry-After or a random wait; no redirect is
followed, which would take the signature elsewhere. A command gets the event on its standard input
and is ended with all it started when its time is over.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import random
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

from tasks.backends.hosted.probe import NoRedirect
from tasks.backends.hosted.trouble import retry_after_s
from tasks.model.canonical import canonical_json
from tasks.model.visible import one_line
from tasks.settings import Settings
from tasks.settings.promotion import PromotionSettings

SCHEMA = "flywheel/promotion/1"
COMMAND, WEBHOOK = "command", "webhook"
SIGNATURE = "X-Flywheel-Signature"
KEY = "Idempotency-Key"
_RETRIED = (408, 425, 429)
_FIRST_WAIT_S = 0.5
_MAX_WAIT_S = 30.0
_MAX_TOLD = 300

Sleep = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Heard:
    """`why`: what went wrong; empty: it was told."""

    subject: str
    why: str = ""


def announce(
    settings: Settings,
    event: Mapping[str, Any],
    key: str,
    only: tuple[str, ...] = (COMMAND, WEBHOOK),
    sleep: Sleep = time.sleep,
) -> Iterator[Heard]:
    """Tell those of the settings that are among `only`."""
    to, body = settings.promotion, canonical_json(dict(event)).encode()
    if to.command and COMMAND in only:
        yield Heard(COMMAND, _start(to, body, settings))
    if to.webhook and WEBHOOK in only:
        yield Heard(WEBHOOK, _post(to, body, key, sleep))


def signature(secret: str, body: bytes) -> str:
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


def _post(to: PromotionSettings, body: bytes, key: str, sleep: Sleep) -> str:
    """What went wrong; the address is told by its host, as some hold a secret."""
    sent = {"Content-Type": "application/json", "User-Agent": "flywheel", KEY: key}
    if to.secret_env:
        secret = os.environ.get(to.secret_env, "")
        if not secret:
            return f"the environment variable {to.secret_env} is not set, so nothing was posted"
        sent[SIGNATURE] = signature(secret, body)
    request = urllib.request.Request(  # noqa: S310 - the settings admit http and https alone
        to.webhook, data=body, headers=sent, method="POST"
    )
    host = urlsplit(to.webhook).hostname
    why = ""
    for number in range(to.max_retries + 1):
        asked: float | None = None
        try:
            with urllib.request.build_opener(NoRedirect).open(request, timeout=to.timeout_s):
                return ""
        except HTTPError as error:
            error.close()
            why = f"{host}: status {error.code}"
            if error.code not in _RETRIED and error.code < 500:
                return why
            headers = {name.lower(): value for name, value in error.headers.items()}
            asked = retry_after_s(headers, datetime.now(UTC))
        except (OSError, HTTPException, ValueError) as error:
            why = f"{host}: {one_line(str(getattr(error, 'reason', None) or error))[:_MAX_TOLD]}"
        if asked is not None and asked > _MAX_WAIT_S:
            return f"{why}, and it asks to wait {asked:.0f} s"
        if number < to.max_retries:
            longest = min(_MAX_WAIT_S, _FIRST_WAIT_S * 2**number)
            sleep(random.uniform(0, longest) if asked is None else asked)  # noqa: S311 - a wait
    return f"{why}, {to.max_retries + 1} times"


def _start(to: PromotionSettings, body: bytes, settings: Settings) -> str:
    """In the folder of flywheel.toml. What it prints is kept out of ours, but for its last line
    where it fails."""
    program = to.command[0]
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as printed:
        given.write(body)
        given.seek(0)
        try:
            started = subprocess.Popen(
                list(to.command), stdin=given, stdout=printed, stderr=printed,
                cwd=settings.path("."), start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            return f"{program} cannot be started: {error.strerror or error}"
        try:
            code = started.wait(to.timeout_s)
        except BaseException as error:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(started.pid, signal.SIGKILL)
            started.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                return f"{program} did not end within {to.timeout_s:g} s"
            raise
        if code == 0:
            return ""
        size = printed.seek(0, os.SEEK_END)
        printed.seek(max(0, size - 4 * _MAX_TOLD))
        lines = printed.read().decode(errors="replace").strip().splitlines()
        said = f": {one_line(lines[-1])[:_MAX_TOLD]}" if lines else ""
        return f"{program} ended with {code}{said}"
