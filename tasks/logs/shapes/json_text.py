"""Hostile JSON to values: bounded depth, no NaN, no integer beyond 64 bits, no lone surrogate.

The parser itself is orjson (strict UTF-8, RFC 8259). It turns an integer beyond 64 bits into a
float without a word, so lines that may hold one take a slower, exact way.
"""

from __future__ import annotations

import base64
import json
import math
import re
import zlib
from datetime import date, datetime, time
from decimal import Decimal

import orjson

from tasks.logs.shapes.records import Json, UnreadableError

_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
#: an open text runs to the end of the data, so that no quote is tried twice
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_TRAILING_COMMA = re.compile(rb'("[^"\\]*+(?:\\.[^"\\]*+)*+")|,(\s*+[\]}])', re.DOTALL)
#: between values: space, commas, the record separator of RFC 7464
_BETWEEN = re.compile(r"[\s,\x1e]*")
_DIGITS_TO_ZERO = bytes(48 if 48 <= byte <= 57 else byte for byte in range(256))
_LONG_RUN = b"0" * 19
_INT_MIN, _UINT_MAX = -(2**63), 2**64 - 1
_BOM = b"\xef\xbb\xbf"
_GZIP = b"\x1f\x8b"
_MAX_BODY_BYTES = 64 * 2**20
#: how deep JSON text inside a value may be
_MAX_NESTED_DEPTH = 100
#: how deep a value built from YAML or Parquet may be before the walk refuses it
_MAX_PLAIN_DEPTH = 200


def parse(data: bytes, max_depth: int) -> Json:
    """The value of one JSON text. Raises UnreadableError with a reason for people."""
    if data.startswith(_BOM):
        data = data[len(_BOM) :]
    if deeper_than(data, max_depth):
        raise UnreadableError(f"JSON is nested deeper than {max_depth}")
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise UnreadableError(_explain(data, error)) from None
    if _may_hold_long_integer(data):
        value = _parse_exactly(data)
    return value


def parse_many(data: bytes, max_depth: int) -> tuple[list[Json | UnreadableError], str]:
    """The values of a text that holds one, or several one behind the other; and why it stops before
    its end, if it does. A comma before a closing bracket means nothing.

    Raises UnreadableError where there is no value at all.
    """
    try:
        return [parse(data, max_depth)], ""
    except UnreadableError as error:
        alone = str(error)
    if deeper_than(data, max_depth):
        raise UnreadableError(alone)
    try:
        text = _TRAILING_COMMA.sub(lambda found: found[1] or found[2], data).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnreadableError(alone) from None
    values: list[Json | UnreadableError] = []
    position, decoder = 0, json.JSONDecoder()
    while (start := _BETWEEN.match(text, position).end()) < len(text):  # type: ignore[union-attr]
        try:
            _, position = decoder.raw_decode(text, start)
        except (ValueError, RecursionError) as error:
            if not values:
                raise UnreadableError(alone) from None
            return values, f"not JSON after value {len(values)}: {error}"
        try:
            values.append(parse(text[start:position].encode(), max_depth))
        except UnreadableError as error:
            values.append(error)
    return values, ""


def nested(value: Json) -> Json:
    """A value that may be JSON text of an object or a list: parsed; any other text stays text."""
    if isinstance(value, str) and value.lstrip().startswith(("{", "[")):
        try:
            return parse(value.encode(), _MAX_NESTED_DEPTH)
        except UnreadableError:
            return value
    return value


def _may_hold_long_integer(data: bytes) -> bool:
    """Whether there is a run of 19 digits that does not begin a text, as times in OTLP do."""
    digits = data.translate(_DIGITS_TO_ZERO)
    position = digits.find(_LONG_RUN)
    while position >= 0:
        if data[position - 1 : position] != b'"':
            return True
        # what is left of these digits stands in the same text
        position += len(_LONG_RUN)
        while digits[position : position + 1] == b"0":
            position += 1
        position = digits.find(_LONG_RUN, position)
    return False


def deeper_than(data: bytes, max_depth: int) -> bool:
    """Whether brackets nest deeper than `max_depth`, without parsing; cheap on honest lines."""
    if data.count(b"[") + data.count(b"{") <= max_depth:
        return False
    # of the text only brackets, all of one kind; brackets inside texts are no structure
    brackets = _STRING.sub(b"", data).translate(_ONE_KIND, _NOT_BRACKETS)
    for _ in range(max_depth):
        shorter = brackets.replace(b"[]", b"")  # takes exactly the innermost level off
        if len(shorter) == len(brackets):
            break
        brackets = shorter
    return bool(brackets) and (b"[]" in brackets or brackets.count(b"[") > max_depth)


def _parse_exactly(data: bytes) -> Json:
    def integer(text: str) -> int:
        # 20 digits and a sign at most, so that a hostile line cannot cost quadratic time
        if len(text) <= 21 and _INT_MIN <= int(text) <= _UINT_MAX:
            return int(text)
        raise UnreadableError(
            f"an integer beyond 64 bits: {text[:24]}{'…' if len(text) > 24 else ''}"
        )

    return json.loads(data, parse_int=integer)


def _explain(data: bytes, error: orjson.JSONDecodeError) -> str:
    if not data.strip():
        return "nothing to read"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as wrong:
        return f"not UTF-8: byte 0x{data[wrong.start]:02x} at byte {wrong.start} of the record"
    if b"NaN" in data or b"Infinity" in data:
        return f"not JSON (NaN and Infinity are not allowed): {error}"
    if b"\x00" in data:
        return f"not JSON: NUL byte at byte {data.index(0)} of the record"
    return f"not JSON: {error}"


def dump(value: Json) -> str:
    """Canonical JSON text: sorted keys, no spaces. Equal values give equal text."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def dump_bytes(value: Json) -> bytes:
    """Bytes for a dead letter; whatever JSON has no word for becomes text."""
    try:
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS, default=repr)
    except (TypeError, ValueError):
        return repr(value).encode("utf-8", "backslashreplace")


def plain(value: object, depth: int = 0) -> Json:
    """A value from YAML or Parquet as JSON has it.

    Raises UnreadableError on what JSON cannot hold.
    """
    if depth > _MAX_PLAIN_DEPTH:
        raise UnreadableError(f"nested deeper than {_MAX_PLAIN_DEPTH}")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        if _INT_MIN <= value <= _UINT_MAX:
            return value
        raise UnreadableError("an integer beyond 64 bits")
    if isinstance(value, float | Decimal):
        number = float(value)
        if math.isfinite(number):
            return number
        raise UnreadableError("NaN and Infinity are not allowed")
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return _decode(value)
    if isinstance(value, dict):
        return {_text(str(key)): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(item, depth + 1) for item in value]
    raise UnreadableError(f"a value of type {type(value).__name__} has no place in JSON")


def _text(value: str) -> str:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise UnreadableError("a lone surrogate is no character") from None
    return value


def _decode(value: bytes) -> str:
    """Recorded HTTP bodies may be gzipped; the result is bounded. What is no text is base64."""
    if value.startswith(_GZIP):
        try:
            inflate = zlib.decompressobj(wbits=31)
            value = inflate.decompress(value, _MAX_BODY_BYTES)
        except zlib.error as error:
            raise UnreadableError(f"broken gzip data: {error}") from None
        if inflate.unconsumed_tail:
            raise UnreadableError(f"gzip data of more than {_MAX_BODY_BYTES} bytes")
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return base64.b64encode(value).decode("ascii")
