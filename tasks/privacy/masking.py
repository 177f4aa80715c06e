"""Secrets and personal data out of texts: pure, shared by validate and redact.

Owns how a text is masked; the patterns are patterns.py's. What is found is replaced by
a pseudonym such as <email:c3f2a9c41d07>: a keyed hash (HMAC-SHA256) of the normalised value, so
the same address has the same pseudonym everywhere and joins survive, while nobody without the key
can test a guess. Masking a masked text changes nothing.
"""

from __future__ import annotations

import hmac
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import orjson

from tasks.errors import UsageError, did_you_mean
from tasks.privacy.patterns import FINDERS, KINDS, Finder, is_secret_name
from tasks.privacy.persons import PERSON, person_finder

__all__ = ["ALL_KINDS", "KINDS", "Redactor", "redact_text"]

#: KINDS are those that patterns find
ALL_KINDS = (*KINDS, PERSON)
_HASHED = "hashed"

_NUM_HEX = 12
#: nothing we look for is shorter: ::1
_MIN_CHARS = 3
#: JSON inside a text inside a text …: deeper levels are masked as plain text
_MAX_NESTING = 3
#: roles, names and labels come again and again: what is found in a text this short is remembered
_MAX_SHORT = 24
#: between the digits of a number
_SEPARATORS = dict.fromkeys(map(ord, " -.()\u00a0"))


def redact_text(
    text: str, kinds: Iterable[str] = KINDS, key: bytes = b""
) -> tuple[str, Counter[str]]:
    """The text with everything of these kinds masked, and how many of each there were."""
    redactor = Redactor(kinds, key)
    return redactor.text(text), redactor.counts


class Redactor:
    """Masks texts and JSON values under one key; `counts` adds up what was masked.

    Raises UsageError for an unknown kind, and where what finds persons is not installed.
    """

    def __init__(
        self, kinds: Iterable[str] = KINDS, key: bytes = b"", person_model: str = ""
    ) -> None:
        wanted = tuple(kinds)
        for kind in wanted:
            if kind not in ALL_KINDS:
                raise UsageError(
                    f"unknown kind of redaction {kind!r}{did_you_mean(kind, ALL_KINDS)}",
                    received=kind,
                    allowed=", ".join(ALL_KINDS),
                    next="correct kinds in [redact] of flywheel.toml",
                )
        # in the order of the table, whatever the order asked for: the first finder wins an overlap
        self._finders = tuple(finder for finder in FINDERS if finder.kind in wanted)
        if PERSON in wanted:
            self._finders += (person_finder(person_model),)
        self._hints = _by_sign(_by_hint(self._finders, any_case=False))
        self._hints_any_case = _by_hint(self._finders, any_case=True)
        self._gates = [(f.gate, place) for place, f in enumerate(self._finders) if f.gate]
        self._secrets = "secret" in wanted
        self._key = key
        self._find_in_short = lru_cache(maxsize=4096)(self._find)
        self.counts: Counter[str] = Counter()

    def spans(self, text: str) -> Sequence[tuple[int, int, str]]:
        """(start, end, kind) of what would be masked: in order, without overlaps."""
        if len(text) < _MIN_CHARS:
            return ()
        return self._find_in_short(text) if len(text) <= _MAX_SHORT else self._find(text)

    def _find(self, text: str) -> Sequence[tuple[int, int, str]]:
        taken: list[tuple[int, int, str]] = []
        hinted = {
            place
            for sign, hints in self._hints
            if sign in text
            for hint, place in hints
            if hint in text
        }
        lowered = text.lower()
        hinted.update(place for hint, place in self._hints_any_case if hint in lowered)
        hinted.update(place for gate, place in self._gates if gate(text))
        for place in sorted(hinted):
            finder = self._finders[place]
            for start, end in finder.find(text):
                _claim(taken, start, end, finder.kind)
        return taken

    def text(self, text: str) -> str:
        taken = self.spans(text)
        if not taken:
            return text
        pieces: list[str] = []
        position = 0
        for start, end, kind in taken:
            pieces += (text[position:start], self._pseudonym(kind, text[start:end]))
            position = end
        return "".join((*pieces, text[position:]))

    def hashed(self, text: str) -> str:
        """The whole text as one pseudonym."""
        return text if _is_masked(text) else self._pseudonym(_HASHED, text)

    def value(self, value: Any, nesting: int = 0) -> Any:
        """A JSON value with every text in it masked; keys stay as they are.

        A text under a name like `password` or `api_key` is masked whole. A text that is itself
        JSON (arguments of a tool call) is masked inside.
        """
        if isinstance(value, str):
            return self._maybe_json(value, nesting)
        if isinstance(value, list):
            return [self.value(item, nesting) for item in value]
        if isinstance(value, dict):
            return {name: self._member(name, item, nesting) for name, item in value.items()}
        return value

    def json(self, text: str) -> str:
        """Canonical JSON text, masked; the very same text where there is nothing to mask."""
        value = orjson.loads(text)
        masked = self.value(value)
        if masked == value:
            return text
        return orjson.dumps(masked, option=orjson.OPT_SORT_KEYS).decode()

    def _member(self, name: str, item: Any, nesting: int) -> Any:
        if self._secrets and isinstance(item, str) and is_secret_name(name) and item.strip():
            return item if _is_masked(item) else self._pseudonym("secret", item)
        return self.value(item, nesting)

    def _maybe_json(self, text: str, nesting: int) -> str:
        if nesting < _MAX_NESTING and text[:1] in ("{", "[") and text[-1:] in ("}", "]"):
            try:
                inner = orjson.loads(text)
            except orjson.JSONDecodeError:
                return self.text(text)
            masked = self.value(inner, nesting + 1)
            # untouched JSON keeps its own spelling
            return text if masked == inner else orjson.dumps(masked).decode()
        return self.text(text)

    def _pseudonym(self, kind: str, text: str) -> str:
        self.counts[kind] += 1
        message = f"{kind}:{_normalise(kind, text)}".encode("utf-8", "surrogatepass")
        digest = hmac.digest(self._key, message, "sha256").hex()
        # a letter in front: no pattern takes what follows a letter for a number of its own
        return f"<{kind}:{'abcdef'[int(digest[0], 16) % 6]}{digest[1:_NUM_HEX]}>"


def _by_hint(finders: Sequence[Finder], *, any_case: bool) -> list[tuple[str, int]]:
    """(hint, place of its finder): a text has few of them, so most finders are never asked."""
    return [
        (hint, place)
        for place, finder in enumerate(finders)
        if finder.any_case == any_case
        for hint in finder.hints
    ]


def _by_sign(hints: Sequence[tuple[str, int]]) -> list[tuple[str, list[tuple[str, int]]]]:
    """The hints by a sign in them that few texts have, the rest by none."""
    groups: dict[str, list[tuple[str, int]]] = {"_": [], "-": [], "": []}
    for hint, place in hints:
        groups[next(sign for sign in groups if sign in hint)].append((hint, place))
    return list(groups.items())


def _claim(taken: list[tuple[int, int, str]], start: int, end: int, kind: str) -> None:
    """Add the span unless it overlaps one that is there."""
    place = bisect_left(taken, (start, end, kind))
    if place and taken[place - 1][1] > start:
        return
    if place < len(taken) and taken[place][0] < end:
        return
    taken.insert(place, (start, end, kind))


def _normalise(kind: str, text: str) -> str:
    """What makes two spellings the same thing."""
    if kind in ("card", "iban", "phone"):
        return text.translate(_SEPARATORS).upper()
    return text.lower() if kind in ("email", "ip") else text


def _is_masked(text: str) -> bool:
    kind = text[1:].partition(":")[0]
    return text.startswith("<") and text.endswith(">") and kind in (*ALL_KINDS, _HASHED)
