"""Loose values of logs to the types of the canonical record, or a reason why not.

Nothing is guessed: a value that cannot be held raises UnreadableError, an absent one is None.
"""

from __future__ import annotations

import hashlib
import math
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from tasks.logs.shapes.records import Json, UnreadableError

_INT64 = 2**63
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - the store keeps UTC without a zone
_NUMBER = re.compile(r"[-+]?[0-9]{1,20}(\.[0-9]{0,20})?([eE][-+]?[0-9]{1,3})?")
_HASH = re.compile(r"[0-9a-f]{16,128}")
#: makes our hashes differ from plain hashes of the same names elsewhere
_USER_PREFIX = b"llm-flywheel:user:"
_MISSING_TEXTS = frozenset({"", "none", "null", "nan"})


def text(name: str, value: Json) -> str | None:
    if value is None or type(value) is str:
        return value or None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    raise UnreadableError(f"{name}: expected text, received {kind_of(value)}")


def integer(name: str, value: Json) -> int | None:
    """Integers may come as text or as a float without fraction."""
    if type(value) is int and -_INT64 <= value < _INT64:
        return value
    if value is None:
        return None
    # a time in nanoseconds has 19 digits, as the largest number has
    if type(value) is str and len(value) <= 19 and value.isascii() and value.isdigit():
        whole = int(value)
        if whole < _INT64:
            return whole
    if isinstance(value, str):
        word = value.strip()
        if word.lower() in _MISSING_TEXTS:
            return None
        if not _NUMBER.fullmatch(word):
            raise UnreadableError(f"{name}: expected an integer, received {word[:40]!r}")
        # through int where possible: a float would lose digits
        value = int(word) if word.lstrip("+-").isdigit() else float(word)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UnreadableError(f"{name}: expected an integer, received {kind_of(value)}")
    if isinstance(value, float) and (not math.isfinite(value) or value != math.floor(value)):
        raise UnreadableError(f"{name}: expected an integer, received {value}")
    result = int(value)
    if not -_INT64 <= result < _INT64:
        raise UnreadableError(f"{name}: an integer beyond 64 bits: {str(result)[:24]}…")
    return result


def small_integer(name: str, value: Json) -> int | None:
    number = integer(name, value)
    if number is not None and not -(2**31) <= number < 2**31:
        raise UnreadableError(f"{name}: an integer beyond 32 bits: {number}")
    return number


def number(name: str, value: Json) -> float | None:
    if type(value) is float and math.isfinite(value):
        return value
    if value is None:
        return None
    if isinstance(value, str):
        word = value.strip()
        if word.lower() in _MISSING_TEXTS:
            return None
        if not _NUMBER.fullmatch(word):
            raise UnreadableError(f"{name}: expected a number, received {word[:40]!r}")
        value = float(word)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UnreadableError(f"{name}: expected a number, received {kind_of(value)}")
    result = float(value)
    if not math.isfinite(result):
        raise UnreadableError(f"{name}: {result} is no number we can hold")
    return result


def seconds(name: str, value: Json, per_second: float) -> float | None:
    result = number(name, value)
    return None if result is None else result / per_second


def moment(name: str, value: Json) -> datetime | None:
    """ISO 8601 (a zone is honoured, none means UTC), the epoch in s, ms, µs or ns, or a date as
    mail and web servers write it."""
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        return _to_utc(name, value)
    if isinstance(value, str):
        word = value.strip()
        # a date as nearly every log writes it needs no closer look
        if word[4:5] == word[7:8] == "-" or not _NUMBER.fullmatch(word):
            normal = word[:-4] + "+00:00" if word.endswith(" UTC") else word
            try:
                return _to_utc(name, datetime.fromisoformat(normal))
            except ValueError as error:
                other = _written_out(word)
                if other is not None:
                    return _to_utc(name, other)
                raise UnreadableError(f"{name}: {word[:40]!r} is not a time: {error}") from None
        value = int(word) if word.lstrip("+-").isdigit() else float(word)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UnreadableError(f"{name}: expected a time, received {kind_of(value)}")
    return from_epoch(name, value)


def _written_out(word: str) -> datetime | None:
    """As in HTTP and mail (RFC 2822), in access logs of web servers, and with slashes."""
    if len(word) > 60:
        return None
    with suppress(ValueError, TypeError):
        return parsedate_to_datetime(word)
    for pattern in ("%d/%b/%Y:%H:%M:%S %z", "%Y/%m/%d %H:%M:%S", "%Y-%m-%d %H:%M:%S %z"):
        with suppress(ValueError):
            return datetime.strptime(word.removesuffix(" UTC"), pattern)  # noqa: DTZ007
    return None


def nanoseconds(name: str, value: Json) -> int | None:
    """A time as `moment` takes it, in nanoseconds since the epoch."""
    at = moment(name, value)
    if at is None:
        return None
    since = at - _EPOCH
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000


def times(name: str, value: Json, factor: int) -> int | None:
    """A number in smaller units: exact where it is whole, which a float of this size is not."""
    given = number(name, value)
    if given is None:
        return None
    return round(given * factor) if given % 1 else int(given) * factor


def from_epoch(name: str, value: float) -> datetime:
    """The unit follows from the size: 1e11 s is the year 5138, 1e11 ms is 1973."""
    if isinstance(value, float) and not math.isfinite(value):
        raise UnreadableError(f"{name}: {value} is no time")
    size = abs(value)
    unit = 1 if size < 1e11 else 1e3 if size < 1e14 else 1e6 if size < 1e17 else 1e9
    if isinstance(value, int):
        microseconds = value * 1_000_000 // int(unit)
    else:
        microseconds = round(value / unit * 1e6)
    return from_nanoseconds(name, microseconds * 1000)


def from_nanoseconds(name: str, value: int) -> datetime:
    try:
        return _EPOCH + timedelta(microseconds=value // 1000)
    except OverflowError:
        shown = str(value)[:24]
        raise UnreadableError(f"{name}: {shown} ns is outside the years 1 to 9999") from None


def earlier(moment: datetime, seconds: float) -> datetime:
    """When what took so long began."""
    try:
        return moment - timedelta(seconds=seconds)
    except OverflowError:
        raise UnreadableError(f"{seconds:.6g} s before {moment} is outside the years") from None


def _to_utc(name: str, value: datetime) -> datetime:
    if value.tzinfo is None:
        return value
    if value.tzinfo is UTC:
        return value.replace(tzinfo=None)
    try:
        return value.astimezone(UTC).replace(tzinfo=None)
    except OverflowError:
        raise UnreadableError(f"{name}: {value} is outside the years 1 to 9999") from None


def user_hash(user: str | None, given: str | None = None) -> str | None:
    """Hash of a user id; a hash that the log itself gives is kept, a name there is hashed."""
    if given and _HASH.fullmatch(given):
        return given
    name = given or user
    return hashlib.sha256(_USER_PREFIX + name.encode()).hexdigest() if name else None


def mapping(value: Json) -> dict[str, Json]:
    """The object; an empty one where it is none."""
    return value if isinstance(value, dict) else {}


def sequence(value: Json) -> list[Json]:
    """The list; an empty one where it is none."""
    return value if isinstance(value, list) else []


def first(value: Json, *names: str) -> Json:
    """What stands under the first name of an object that has anything under it."""
    if isinstance(value, dict):
        for name in names:
            if (found := value.get(name)) is not None:
                return found
    return None


def index(value: dict[str, Json], name: str = "index") -> int:
    """Which piece of a stream it belongs to; one that does not say belongs to the first."""
    said = value.get(name)
    return said if isinstance(said, int) else 0


def an_object(value: Json) -> dict[str, Json]:
    """Raises UnreadableError where it is none."""
    if not isinstance(value, dict):
        raise UnreadableError(f"expected an object, received {kind_of(value)}")
    return value


def kind_of(value: Json) -> str:
    names = {dict: "an object", list: "a list", bool: "true or false", str: "text"}
    return names.get(type(value), f"a {type(value).__name__}")
