"""Secrets by the formats of hundreds of issuers: the rules of Betterleaks, taken over as data.

The data and its licence lie in `rules/`; `benchmarks.secret_rules` makes it. Its expressions are
written for RE2: here each becomes one of Python's, at the first text that has one of its keywords.
A secret also has a digit, and as much entropy as its rule states, or _ENOUGH where it states more:
the most that every drawn one has, in hexadecimal too.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from tasks.privacy.finder import Span

__all__ = [
    "RULES_PATH",
    "PublicRule",
    "find_by_public_rules",
    "has_long_run",
    "long_runs",
    "public_rules",
    "public_sieve",
]

RULES_PATH = Path(__file__).with_name("rules") / "betterleaks.json"

#: what every secret of these rules has somewhere, and hardly a text in plain words
_LONG_RUN = re.compile(r"[A-Za-z0-9_+/=.~-]{14,}+")
_DRAWN = re.compile("[0-9][A-Za-z]|[A-Za-z][0-9]")
#: characters between a keyword and its secret, at most
_MAX_BETWEEN = 120
#: characters
_MIN_SECRET = 8
#: characters; no keyword is shorter
_NUM_START = 3
#: bits a character
_ENOUGH = 2.9
#: how a rule says that its secret ends: a quote, a blank or the end. In prose it may as well be
#: a comma or a bracket, so anything that a secret has not
_ENDS = (r"""(?:\\?['"\x60]|[\s;]|\\[nr]|$)""", r"""(?:[\x60'"\s;]|\\[nr]|$|\b)""")
_END = r"(?![A-Za-z0-9_])"
_MID_FLAG = re.compile(r"(?<!^)\(\?i\)")


@dataclass(frozen=True, slots=True)
class PublicRule:
    """`keywords`: lower-case; a match has one of them. `entropy`: bits a character, at least."""

    rule_id: str
    expression: str
    keywords: tuple[str, ...]
    entropy: float = 0.0
    group: int = 0

    def find(self, text: str) -> Iterator[Span]:
        compiled = _compiled(self.expression)
        for match in compiled.finditer(text):
            group = self.group or min(1, compiled.groups)
            start, end = match.span(group)
            if end - start < _MIN_SECRET:  # another branch matched, or the group is not the secret
                start, end = match.span()
            secret = text[start:end]
            if any(map(str.isdigit, secret)) and entropy(secret) >= min(self.entropy, _ENOUGH):
                yield start, end


@cache
def public_rules() -> tuple[PublicRule, ...]:
    data = json.loads(RULES_PATH.read_text())
    return tuple(
        PublicRule(
            rule["id"], rule["regex"], tuple(rule["keywords"]),
            rule.get("entropy", 0.0), rule.get("group", 0),
        )
        for rule in data["rules"]
    )  # fmt: skip


@cache
def _by_keyword() -> dict[str, list[int]]:
    places: dict[str, list[int]] = {}
    for place, rule in enumerate(public_rules()):
        for keyword in rule.keywords:
            places.setdefault(keyword, []).append(place)
    return places


@cache
def _by_start() -> dict[str, list[str]]:
    starts: dict[str, list[str]] = {}
    for keyword in _by_keyword():
        starts.setdefault(keyword[:_NUM_START], []).append(keyword)
    return starts


@cache
def _compiled(expression: str) -> re.Pattern[str]:
    return re.compile(python_expression(expression))


def python_expression(expression: str) -> str:
    """The same expression as Python writes it: RE2 has classes and flags that `re` has not."""
    for end in _ENDS:
        if expression.endswith(end):
            expression = expression[: -len(end)] + _END
    expression = expression.replace(r"\z", r"\Z").replace("[[:alnum:]]", "[A-Za-z0-9]")
    expression = expression.replace("[:alnum:]", "A-Za-z0-9")
    # (?i) in the middle holds to the end of its group
    while (flag := _MID_FLAG.search(expression)) is not None:
        stop = _end_of_group(expression, flag.end())
        scoped = f"(?i:{expression[flag.end() : stop]})"
        expression = expression[: flag.start()] + scoped + expression[stop:]
    return expression


def _end_of_group(expression: str, start: int) -> int:
    depth, place, in_class = 0, start, False
    while place < len(expression):
        sign = expression[place]
        if sign == "\\":
            place += 1
        elif in_class:
            in_class = sign != "]"
        elif sign == "[":
            in_class = True
        elif sign == "(":
            depth += 1
        elif sign == ")":
            if depth == 0:
                return place
            depth -= 1
        place += 1
    return place


def entropy(text: str) -> float:
    """Shannon's, in bits a character."""
    total = len(text)
    return -sum(n / total * math.log2(n / total) for n in Counter(text).values()) if text else 0.0


@lru_cache(maxsize=1)  # several finders ask for the same text
def long_runs(text: str) -> list[Span]:
    """Runs of the signs of a key, with a digit beside a letter."""
    spans = [match.span() for match in _LONG_RUN.finditer(text)]
    return [(start, end) for start, end in spans if _DRAWN.search(text, start, end)]


def has_long_run(text: str) -> bool:
    return bool(long_runs(text))


def public_sieve() -> str:
    """For RE2: one of the keywords."""
    keywords = "|".join(map(re.escape, _by_keyword()))
    return f"(?i:{keywords})"


def find_by_public_rules(text: str) -> Iterator[Span]:
    runs = long_runs(text)
    if not runs:
        return
    if len(text) > _MAX_BETWEEN * 4:  # a keyword stands in a run or not far before it
        near = " ".join(text[max(0, start - _MAX_BETWEEN) : end] for start, end in runs).lower()
    else:
        near = text.lower()
    rules, by_start = public_rules(), _by_start()
    # most texts have the start of none of the keywords
    begun = by_start.keys() & {near[at : at + _NUM_START] for at in range(len(near))}
    keywords = [keyword for start in begun for keyword in by_start[start] if keyword in near]
    asked = {place for keyword in keywords for place in _by_keyword()[keyword]}
    for place in sorted(asked):
        yield from rules[place].find(text)
