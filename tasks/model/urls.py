"""Names of logs that are no paths: addresses, told without passwords, and standard input. Pure."""

from __future__ import annotations

import re

#: in place of a path: standard input
STDIN = "-"

_URL = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
#: not the container of abfs://container@account, which has no password behind it
_USER_AND_PASSWORD = re.compile(r"(?<=://)[^/]*:[^/]*@")


def is_url(text: str) -> bool:
    return _URL.match(text) is not None


def protocol_of(url: str) -> str:
    """In small letters; "" for a path."""
    scheme = _URL.match(url)
    return scheme[1].lower() if scheme else ""


def without_password(text: str) -> str:
    """A path as it is; an address without user and password."""
    return _USER_AND_PASSWORD.sub("", text, count=1) if is_url(text) else text
