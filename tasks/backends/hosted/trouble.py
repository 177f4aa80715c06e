"""What went wrong with one request to an API: what it is called, whose fault it is, whether to try
again. One place for the errors of every client library, which are read by what they carry (status,
body, headers) and not by their class.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from tasks.model.failure import Fault
from tasks.model.visible import one_line

#: retry: another try may do; refused: this request is not taken; stop: none of this endpoint is
Course = Literal["retry", "refused", "stop"]
_MAX_MESSAGE = 300
_RETRIED = (408, 409, 425, 429)
_NO_MONEY = ("insufficient_quota", "billing", "credit balance", "payment required")
_FILTERED = ("content_filter", "content_policy", "responsibleai", "safety system", "content filter")
_TOO_LONG = (
    "context_length", "context length", "context window", "prompt is too long", "too_long",
    "string_above_max_length", "token count exceeds", "maximum context", "too many tokens",
)  # fmt: skip
_BAD_KEY = ("api key not valid", "api_key_invalid", "invalid x-api-key", "invalid api key")


@dataclass(frozen=True, slots=True)
class Trouble:
    """`is_transient`: it may not come again, so it is no answer of the release."""

    kind: str
    message: str
    course: Course = "retry"
    fault: Fault = "harness"
    is_transient: bool = True
    may_be_billed: bool = False
    retry_after_s: float | None = None


class TroubleError(Exception):
    """Trouble that was found in an answer."""

    def __init__(self, trouble: Trouble) -> None:
        self.trouble = trouble
        super().__init__(trouble.message)


def broken(message: str) -> TroubleError:
    """An answer that began and cannot be used."""
    return TroubleError(Trouble("broken_answer", message, may_be_billed=True))


def withheld(message: str) -> TroubleError:
    """An answer that the release itself does not give: the same prompt would meet it again."""
    trouble = Trouble("withheld", message, "refused", "release", False, may_be_billed=True)
    return TroubleError(trouble)


def not_a_stream(content_type: str, body: bytes) -> TroubleError:
    """A whole body of status 200 where a stream was asked for, and that is no answer either."""
    start = body.lstrip()[:200].lower()
    if "html" in content_type or start.startswith((b"<!doctype", b"<html")):
        text = "a page of HTML came instead of an answer: is base_url the API's?"
        return TroubleError(Trouble("html", text))
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return broken("what came is neither a stream nor JSON")
    if isinstance(value, dict) and value.get("error"):
        return TroubleError(of_body(value, 200))
    return broken("JSON came that is no answer of this API")


def of_error(error: BaseException, now: datetime) -> Trouble:
    """Of what a client library, or reading its answer, raised. `now`: in UTC, with its zone."""
    found: BaseException | None = error
    while found is not None:  # some client libraries wrap what is raised within a request
        if isinstance(found, TroubleError):
            return found.trouble
        found = found.__cause__
    if isinstance(error, TimeoutError) or "Timeout" in type(error).__name__:
        was_sent = "Connect" not in type(error.__cause__ or error).__name__
        return Trouble("timeout", "no whole answer in time", may_be_billed=was_sent)
    response = getattr(error, "response", None)
    status = getattr(error, "status_code", None) or getattr(response, "status_code", None)
    if status is None and isinstance(getattr(error, "code", None), int):
        status = error.code  # type: ignore[attr-defined]
    body = getattr(error, "body", None)
    if body is None:
        body = getattr(error, "details", None)
    if isinstance(status, int):
        headers = getattr(response, "headers", None) or {}
        return of_body(body, status, retry_after_s(headers, now))
    if body is not None:  # told inside a stream
        return of_body(body, 200)
    cause = type(error.__cause__ or error).__name__
    if "Connect" in cause or isinstance(error, ConnectionError):
        return Trouble("unreachable", "it cannot be reached")
    if isinstance(error, (ValueError, KeyError, TypeError, AttributeError, RecursionError)):
        return broken(f"the answer cannot be read ({cause})").trouble
    return Trouble("cut", f"the connection broke ({cause})", may_be_billed=True)


def of_body(body: Any, status: int, retry_after: float | None = None) -> Trouble:
    """Of an error told with a status; 200: told in an answer that began well."""
    message, words = _told(body)
    said = f"{status}" + (f": {message}" if message else "")

    def has(*signs: str) -> bool:
        return any(sign in words for sign in signs)

    if has(*_NO_MONEY) or status == 402:
        return Trouble("no_money", f"the account has no money or quota left ({said})", "stop")
    if status == 401 or (status in (400, 403) and has(*_BAD_KEY)):
        return Trouble("key", f"the key is not accepted ({said})", "stop")
    if status == 403 and not has(*_FILTERED):
        return Trouble("forbidden", f"the key may not use this ({said})", "stop")
    if status in (404, 405, 415, 426) or 300 <= status < 400:
        return Trouble("not_there", f"no such model or endpoint ({said})", "stop")
    if status in _RETRIED or status >= 500:
        kind = "rate_limited" if status == 429 else "unavailable"
        return Trouble(kind, f"status {said}", retry_after_s=retry_after)
    if has(*_FILTERED):
        return withheld(f"the API's content filter refuses the prompt ({said})").trouble
    if has(*_TOO_LONG) or status == 413:
        text = f"the prompt does not fit ({said})"
        return Trouble("too_long", text, "refused", "release", False)
    if status == 200:
        return Trouble("unavailable", f"an error came as an answer ({message or 'no message'})")
    return Trouble("refused", f"the request is refused ({said})", "refused")


def _told(body: Any) -> tuple[str, str]:
    """The message for people, and all words of the error in small letters, cut."""
    error = body.get("error", body) if isinstance(body, Mapping) else body
    if isinstance(error, Mapping):
        message = error.get("message")
        words = " ".join(
            str(error.get(name)) for name in ("type", "code", "status", "message", "details")
        )
    else:
        message = error if isinstance(error, str) else ""
        words = str(message)
    if "<html" in words[:500].lower():
        return "a page of HTML", ""
    shown = one_line(str(message or ""))[:_MAX_MESSAGE]
    return shown, words[:5_000].lower()


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds that the endpoint asks to wait (RFC 9110, 10.2.3: seconds or a date; OpenAI's
    milliseconds); None where it asks for nothing that can be read."""
    try:
        if (text := headers.get("retry-after-ms")) is not None:
            seconds = float(text) / 1000
        elif (text := headers.get("retry-after")) is None:
            return None
        elif text.strip().replace(".", "", 1).isdigit():
            seconds = float(text)
        else:
            seconds = (parsedate_to_datetime(text) - now).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, seconds) if seconds < float("inf") else None
