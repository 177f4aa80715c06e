"""Telling others that the champion was moved: a command of this machine, and a webhook.

    POST, application/json      the event, canonical JSON in UTF-8
    Idempotency-Key             hash of the row of the audit: the same for every attempt at a move
    X-Flywheel-Signature        sha256=HMAC-SHA256(secret, body) in hex, where a secret is named

Nothing that goes wrong here undoes a move. A command gets the event on its standard input and is
ended with all it started when its time is over.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tasks.model.canonical import canonical_json
from tasks.model.visible import one_line
from tasks.posting import Sleep, post
from tasks.settings import Settings
from tasks.settings.promotion import PromotionSettings

SCHEMA = "flywheel/promotion/1"
COMMAND, WEBHOOK = "command", "webhook"
SIGNATURE = "X-Flywheel-Signature"
KEY = "Idempotency-Key"
_MAX_TOLD = 300


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
    """What went wrong."""
    sent = {KEY: key}
    if to.secret_env:
        secret = os.environ.get(to.secret_env, "")
        if not secret:
            return f"the environment variable {to.secret_env} is not set, so nothing was posted"
        sent[SIGNATURE] = signature(secret, body)
    return post(
        to.webhook, body, sent, timeout_s=to.timeout_s, max_retries=to.max_retries, sleep=sleep
    )


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
