"""Demands on the text of an answer as one regular expression, which the scorer `regex` looks for.

Several demands hold together: each looks ahead from the beginning. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import regex

#: from the beginning; `.` is any character, line ends too
_BEGIN = r"(?s)\A"


def contains(text: str, *, ignore_case: bool = False) -> str:
    return rf"(?=.*{_literal(text, ignore_case)})"


def contains_any(texts: Sequence[str], *, ignore_case: bool = False) -> str:
    return rf"(?=.*(?:{'|'.join(_literal(text, ignore_case) for text in texts)}))"


def equals(text: str) -> str:
    return rf"(?={re.escape(text)}\Z)"


def starts_with(text: str) -> str:
    return rf"(?={re.escape(text)})"


def ends_with(text: str) -> str:
    return rf"(?=.*{re.escape(text)}\Z)"


def found(expression: str) -> str:
    """An expression of theirs, in which `.` is no line end."""
    return rf"(?=.*(?-s:{expression}))"


def compiles(expression: str) -> bool:
    """Whether theirs is an expression here too."""
    try:
        regex.compile(found(expression))
    except regex.error:
        return False
    return True


def negated(demand: str) -> str:
    """The demand that this one, of the above, does not hold."""
    return rf"(?!{demand.removeprefix('(?=')}"


def together(demands: Sequence[str]) -> str:
    return _BEGIN + "".join(demands)


def _literal(text: str, ignore_case: bool) -> str:
    return rf"(?i:{re.escape(text)})" if ignore_case else re.escape(text)
