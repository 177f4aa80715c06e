"""TOML as files and variables have it, whatever somebody wrote into them."""

from __future__ import annotations

import re
import tomllib
from typing import Any

#: a dotted key, at the beginning of a line or as the name of a table; reading one takes time and
#: memory with the square of its length
_PART = r"""(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')\s*\.\s*"""
_LONG_KEY = re.compile(rf"^[\s\[]*(?:{_PART}){{100}}", re.MULTILINE)


def read_toml(text: str) -> dict[str, Any]:
    """The values. Raises ValueError (of which TOMLDecodeError is one) with the reason."""
    if _LONG_KEY.search(text):
        raise ValueError("a key of more than 100 parts")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("lists or tables inside each other, too deep to be read") from None
