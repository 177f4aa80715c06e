"""Names under which secrets stand: members of objects, headers, columns of a form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

__all__ = ["CONFIDENTIAL", "Secrecy", "is_schema", "looks_secret", "says_phone", "secrecy"]

#: for texts, where a name may have anything before it; words of a name may be joined by _ or -
CONFIDENTIAL = (
    r"pass(?:word|wd|phrase|code)|"
    r"(?<![A-Za-z<$])(?:pass|pwd|pw|psw|secret)|"
    r"client[_-]?secret|apikey|"
    r"(?:api|access|secret|private|account|encryption|signing|master|auth|subscription|license)"
    r"[_-]?key|"
    r"(?:access|auth|refresh|session|security|bearer|api|oauth|bot|id|sas)[_-]?token|"
    r"credentials?|connection[_-]?string"
)
_MAX_NAME = 80
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
#: how the name of a password or a key ends: even a number is one there
_KEYS = re.compile(
    r"pass(?:word|wd|phrase|code)$|(?:^|_)(?:pwd|pw|psw)$|secrets?$|"
    r"(?:api|access|secret|private|account|encryption|signing|master|auth|shared|subscription|"
    r"license)_?keys?$"
)
#: and where only a text is: there are numbers of tokens
_TEXTS = re.compile(
    r"(?:access|auth|refresh|session|security|bearer|api|oauth|bot|id|sas|service|csrf|xsrf)"
    r"_?token$|authorization$|(?:^|_)cred(?:ential)?s?$|conn(?:ection)?_?str(?:ing)?s?$|"
    r"^x_(?:amz|goog)_signature$"
)
#: and where it is one only if it looks like one: a token of a text, a test that was passed
_MAYBE = re.compile(r"(?:^|_)(?:token|auth|pass|bearer|jwt|sig|signature|cookies?)$")


class Secrecy:
    """What a name says of its value."""

    NONE, MAYBE, TEXT, ANY = range(4)


@lru_cache(maxsize=4096)  # logs repeat their names
def secrecy(name: str) -> int:
    """One of `Secrecy`: whether a value under this name is a secret as a whole."""
    if len(name) > _MAX_NAME:
        return Secrecy.NONE
    plain = "_".join(_WORDS.findall(name)).lower()
    if _KEYS.search(plain):
        return Secrecy.ANY
    if _TEXTS.search(plain):
        return Secrecy.TEXT
    return Secrecy.MAYBE if _MAYBE.search(plain) else Secrecy.NONE


_PHONES = re.compile(
    r"(?:^|_)(?:tele|mobile|cell)?_?(?:phone|mobile|cell|fax|tel|whatsapp|msisdn)"
    r"(?:_?(?:number|num|no|nr))?$"
)


@lru_cache(maxsize=4096)
def says_phone(name: str) -> bool:
    """Whether a number under this name is somebody's telephone."""
    if not name or len(name) > _MAX_NAME:
        return False
    return _PHONES.search("_".join(_WORDS.findall(name)).lower()) is not None


def looks_secret(text: str) -> bool:
    """`abc12345` and `Bearer abc12345`; no word, no number, no sentence."""
    token = text.strip().rpartition(" ")[2] if len(text) <= 4096 else text
    has_digit = any(map(str.isdigit, token))
    return len(token) >= 8 and has_digit and any(map(str.isalpha, token))


_SCHEMA_TYPES = frozenset(
    {"string", "number", "integer", "boolean", "object", "array", "null", "STRING", "OBJECT"}
)


def is_schema(value: Mapping[str, Any]) -> bool:
    """Whether it describes a value of that name, as the parameters of a tool do."""
    kind = value.get("type")
    if isinstance(kind, list):
        return bool(kind) and all(isinstance(k, str) and k in _SCHEMA_TYPES for k in kind)
    if isinstance(kind, str):
        return kind in _SCHEMA_TYPES
    return any(name in value for name in ("$ref", "anyOf", "oneOf", "allOf", "enum"))
