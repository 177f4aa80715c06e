"""Secrets in texts: tokens by the formats their issuers publish, and what stands after a name
such as `password`. Every expression is linear: its quantifiers are bounded, or nothing after them
can fail.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from tasks.privacy.finder import Accept, Finder, Span, pattern

__all__ = ["PRIVATE_KEY", "SECRETS", "is_secret_name"]

_CONFIDENTIAL = (
    r"pass(?:word|wd|phrase)?|pwd|secret|api[_-]?key|apikey|access[_-]?key|secret[_-]?key|"
    r"access[_-]?token|auth[_-]?token|refresh[_-]?token|client[_-]?secret|private[_-]?key"
)
_SECRET_MEMBER = re.compile(
    rf"(?:[A-Za-z0-9]{{1,30}}[_.-])?(?:{_CONFIDENTIAL}|authorization|x-api-key)", re.IGNORECASE
)
#: what stands where a secret would stand in documentation
_PLACEHOLDER = re.compile(r"[<${*%\[]|x{4,}|\.{3}|your|none\b|null\b|true\b|false\b", re.IGNORECASE)


@lru_cache(maxsize=4096)  # logs repeat their names
def is_secret_name(name: str) -> bool:
    """Whether a value under this key is a secret as a whole."""
    return len(name) <= 64 and _SECRET_MEMBER.fullmatch(name) is not None


def _has_digit_and_letter(match: re.Match[str]) -> bool:
    token = match.group()
    return any(c.isdigit() for c in token) and any(c.isalpha() for c in token)


def _is_assigned_secret(match: re.Match[str]) -> bool:
    """`password=hunter2`, `"api_key": "…"`; not `password: required` in prose."""
    value, sign, quote = match["value"], match["sign"], match["quote"]
    if _PLACEHOLDER.match(value):
        return False
    return sign == "=" or bool(quote) or any(c.isdigit() for c in value)


def _bearer_has_digit(match: re.Match[str]) -> bool:
    return any(c.isdigit() for c in match[1])


_NAME_END = r"(?:\\?[\"'])?\s{0,3}"
#: of the lower-cased text; every confidential name ends like this
_ASSIGNED_GATE = re.compile(rf"(?:pass(?:word|wd|phrase)?|pwd|secret|key|token){_NAME_END}[=:]")
_ASSIGNED = re.compile(
    rf"(?i)(?<![A-Za-z<])(?:{_CONFIDENTIAL}){_NAME_END}(?P<sign>=|:)=?\s{{0,3}}"
    r"(?P<quote>\\?[\"'])?(?P<value>[^\s\"'\\,;&<>]{4,256})"
)


def _find_assigned(text: str) -> Iterator[Span]:
    if _ASSIGNED_GATE.search(text.lower()) is not None:
        for match in _ASSIGNED.finditer(text):
            if _is_assigned_secret(match):
                yield match.span("value")


def _token(prefix: str, rest: str, *hints: str, accept: Accept | None = None) -> Finder:
    """A token that begins with `prefix`, not in the middle of a longer word."""
    expression = rf"{prefix}(?<![A-Za-z0-9_-]{prefix}){rest}"
    return pattern("secret", hints or (prefix.replace("\\", ""),), expression, accept=accept)


PRIVATE_KEY = pattern(
    "secret", ("PRIVATE KEY",),
    r"(?s)-----BEGIN [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
    r".*?(?:-----END [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----|\Z)",
)  # fmt: skip
#: all others
SECRETS = (
    _token("eyJ", r"[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]{8,}+(?:\.[A-Za-z0-9_-]*+)?"),
    _token("sk-", r"[A-Za-z0-9_-]{16,}+", accept=_has_digit_and_letter),
    _token("AKIA", r"[0-9A-Z]{16}(?![0-9A-Za-z])"),
    _token("ASIA", r"[0-9A-Z]{16}(?![0-9A-Za-z])"),
    _token("gh[pousr]_", r"[A-Za-z0-9]{30,}+", "ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
    _token("github_pat_", r"[A-Za-z0-9_]{22,}+"),
    _token("glpat-", r"[A-Za-z0-9_-]{20,}+"),
    _token("xox[abeoprs]-", r"[A-Za-z0-9-]{10,}+", "xox"),
    pattern("secret", ("hooks.slack.com",), r"hooks\.slack\.com/services/[A-Za-z0-9/]{20,}+"),
    _token("[rsp]k_(?:live|test)_", r"[A-Za-z0-9]{10,}+", "k_live_", "k_test_"),
    _token("whsec_", r"[A-Za-z0-9+/=]{16,}+"),
    _token("AIza", r"[0-9A-Za-z_-]{30,}+"),
    _token(r"ya29\.", r"[0-9A-Za-z_-]{20,}+"),
    _token("hf_", r"[A-Za-z0-9]{30,}+"),
    _token("npm_", r"[A-Za-z0-9]{36}(?![A-Za-z0-9])"),
    _token("pypi-", r"[A-Za-z0-9_-]{40,}+"),
    _token(r"SG\.", r"[A-Za-z0-9_-]{16,}+\.[A-Za-z0-9_-]{16,}+"),
    pattern("secret", ("bearer", "basic"),
            r"(?i)\b(?:bearer|basic)\s{1,4}([A-Za-z0-9._~+/-]{16,}+={0,2})", group=1,
            accept=_bearer_has_digit, any_case=True),
    pattern("secret", ("://",), r"://[^\s:/@]{0,64}+:([^\s/@<>]{1,128}+)@", group=1),
    Finder("secret", ("pass", "pwd", "secret", "key", "token"), _find_assigned, any_case=True),
)  # fmt: skip
