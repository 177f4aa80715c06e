"""Secrets and personal data out of texts: pure, shared by validate and redact.

Owns how a text and how a JSON value is masked; the patterns are patterns.py's. What is found is
replaced by a pseudonym such as <email:c3f2a9c41d07>: a keyed hash (HMAC-SHA256) of the normalised
value, so the same address has the same pseudonym everywhere and joins survive, while nobody without
the key can test a guess. Masking a masked text changes nothing.
"""

from __future__ import annotations

import hmac
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from tasks.errors import UsageError, did_you_mean
from tasks.privacy.finder import Looking
from tasks.privacy.names import Secrecy, is_schema, looks_secret, says_phone, secrecy
from tasks.privacy.patterns import FINDERS, KINDS
from tasks.privacy.persons import PERSON, person_finder
from tasks.privacy.public_rules import long_runs
from tasks.privacy.sieve import ODD, Groups, Sieve
from tasks.privacy.spellings import decoded_runs, normal_email, plain

__all__ = ["ALL_KINDS", "KINDS", "Redactor", "redact_text"]

#: KINDS are those that patterns find
ALL_KINDS = (*KINDS, PERSON)
_HASHED = "hashed"

_NUM_HEX = 12
_MASKED = re.compile(rf"<(?:{'|'.join((*ALL_KINDS, _HASHED))}):[a-f][0-9a-f]{{{_NUM_HEX - 1}}}>")
#: nothing we look for is shorter: ::1
_MIN_CHARS = 3
#: JSON inside a text inside a text …: deeper levels are masked as plain text
_MAX_NESTING = 8
#: roles, names and labels come again and again: what is found in a text this short is remembered
_MAX_SHORT = 48
_JSON_ENDS = {"{": "}", "[": "]", '"': '"'}
#: smaller numbers are counts and scores, whatever their name
_MIN_SECRET_NUMBER = 1_000
_MIN_NUMBER = 10**6
_MAX_NUMBER = 10**19
#: numbers that are drawn, so that one may pass for a card
_DRAWN = frozenset({"seed"})
#: of a member of which another member is the name: OTLP's attributes, headers, form fields
_NAMING = ("name", "key", "header", "field")
_NAMED = ("value", "val", "stringValue", "string_value")
#: of a schema, what may hold a value of what it describes
_EXAMPLES = ("default", "const", "example", "examples")


class Found(NamedTuple):
    """`value`: what it says in plain spelling, which is what the pseudonym is of."""

    start: int
    end: int
    kind: str
    value: str


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
        self.sieve = Sieve(self._finders)
        #: of the text that is being masked: what may be in it
        self._groups: Groups = None
        self._looking: dict[Groups, Looking] = {None: Looking(self._finders, None)}
        self._kinds = frozenset(wanted)
        self._key = key
        self._find_in_short = lru_cache(maxsize=4096)(self._find)
        self.counts: Counter[str] = Counter()

    def spans(self, text: str) -> Sequence[tuple[int, int, str]]:
        """(start, end, kind) of what would be masked: in order, without overlaps."""
        return [(found.start, found.end, found.kind) for found in self._found(text)]

    def _found(self, text: str) -> Sequence[Found]:
        if len(text) < _MIN_CHARS:
            return ()
        return self._find_in_short(text) if len(text) <= _MAX_SHORT else self._find(text)

    def _find(self, text: str) -> Sequence[Found]:
        taken: list[Found] = []
        groups = self._groups
        reads = plain(text) if groups is None or ODD in groups else None
        if reads is not None:
            for found in self._as_written(reads.text):
                start, end = reads.original(found.start, found.end)
                _claim(taken, Found(start, end, found.kind, found.value))
        for found in self._as_written(text, groups):
            _claim(taken, found)
        if groups is None or "run" in groups:
            for start, end, said in decoded_runs(text, long_runs(text)):
                inside = self._as_written(said)
                if inside:
                    whole = len(inside) == 1 and inside[0].value == said.strip()
                    value = inside[0].value if whole else said
                    _claim(taken, Found(start, end, inside[0].kind, value))
        return taken

    def _as_written(self, text: str, groups: Groups = None) -> list[Found]:
        looking = self._looking.get(groups)
        if looking is None:
            looking = self._looking[groups] = Looking(self._finders, groups)
        taken: list[Found] = []
        for place in looking.where(text):
            finder = self._finders[place]
            for start, end in finder.find(text):
                _claim(taken, Found(start, end, finder.kind, text[start:end]))
        return taken

    def text(self, text: str) -> str:
        taken = self._found(text)
        if not taken:
            return text
        pieces: list[str] = []
        position = 0
        for start, end, kind, value in taken:
            pieces += (text[position:start], self._pseudonym(kind, value))
            position = end
        return "".join((*pieces, text[position:]))

    def hashed(self, text: str) -> str:
        """The whole text as one pseudonym."""
        return text if _MASKED.fullmatch(text) else self._pseudonym(_HASHED, text)

    def value(self, value: Any, nesting: int = 0, name: str = "") -> Any:
        """A JSON value with everything in it masked: texts, numbers and the names of members.

        `name`: under which it stands. What stands under a name like `password` or `api_key` is
        masked whole. A text that is itself JSON (arguments of a tool call) is masked inside.
        """
        if isinstance(value, str):
            if says_phone(name) and _is_number(value):
                return self._number(value, value, name)
            return self._maybe_json(value, nesting, name)
        if isinstance(value, list):
            if len(value) == 2 and _is_header(value):
                return [value[0], self._secret(value[1], "secret" in self._kinds)]
            return [self.value(item, nesting, name) for item in value]
        if isinstance(value, dict):
            return self._object(value, nesting)
        if isinstance(value, bool) or value is None:
            return value
        digits = _digits(value)
        return value if digits is None else self._number(value, digits, name)

    def json(self, text: str, groups: Groups = None) -> str:
        """Canonical JSON text, masked; the very same text where there is nothing to mask.

        `groups`: what the sieve says of it.
        """
        value = orjson.loads(text)
        self._groups = groups
        try:
            masked = self.value(value)
        finally:
            self._groups = None
        if masked == value:
            return text
        return orjson.dumps(masked, option=orjson.OPT_SORT_KEYS).decode()

    def _object(self, value: dict[str, Any], nesting: int) -> dict[str, Any]:
        said = next((value[n] for n in _NAMING if isinstance(value.get(n), str)), "")
        masked: dict[str, Any] = {}
        for name, item in value.items():
            known_by = said if said and name in _NAMED else name
            shown = self.text(name)
            while shown != name and (shown in masked or shown in value):
                shown += "'"  # two spellings of one address are two members still
            masked[shown] = self._member(known_by, item, nesting)
        return masked

    def _member(self, name: str, item: Any, nesting: int) -> Any:
        level = secrecy(name) if "secret" in self._kinds else Secrecy.NONE
        if level == Secrecy.NONE:
            return self.value(item, nesting, name)
        if isinstance(item, dict) and is_schema(item):
            return self._schema(item, level, nesting)
        if level == Secrecy.MAYBE:
            if isinstance(item, str) and (looks_secret(item) or "=" in item.strip("= ")):
                return self._secret(item)
            return self.value(item, nesting, name)
        return self._secret(item, numbers=level == Secrecy.ANY)

    def _schema(self, schema: Mapping[str, Any], level: int, nesting: int) -> dict[str, Any]:
        """What describes a secret is none, but for the examples."""
        return {
            name: self._secret(item, numbers=level == Secrecy.ANY)
            if name in _EXAMPLES
            else self.value(item, nesting, name)
            for name, item in schema.items()
        }

    def _secret(self, item: Any, numbers: bool = True) -> Any:
        """Every text in it as a pseudonym, and every number that is long enough to be one."""
        if isinstance(item, str):
            is_plain = item.strip() and not _MASKED.fullmatch(item)
            return self._pseudonym("secret", item) if is_plain else item
        if isinstance(item, list):
            return [self._secret(each, numbers) for each in item]
        if isinstance(item, dict):
            return {self.text(name): self._secret(each, numbers) for name, each in item.items()}
        if isinstance(item, bool) or item is None or not numbers:
            return item
        is_long = abs(item) >= _MIN_SECRET_NUMBER and item == item // 1
        return self._pseudonym("secret", str(int(item))) if is_long else item

    def _number(self, value: Any, digits: str, name: str) -> Any:
        """As a pseudonym where it is a card, or stands under a name such as `phone`."""
        if "phone" in self._kinds and says_phone(name) and 7 <= sum(map(str.isdigit, digits)) <= 15:
            return self._pseudonym("phone", digits)
        if name in _DRAWN:
            return value
        before = f"{name}: "
        for found in self._found(before + digits):
            if found.start == len(before) and found.value == digits:
                return self._pseudonym(found.kind, digits)
        return self.text(value) if isinstance(value, str) else value

    def _maybe_json(self, text: str, nesting: int, name: str) -> str:
        if nesting < _MAX_NESTING and _JSON_ENDS.get(text[:1]) == text[-1:] != "":
            try:
                inner = orjson.loads(text)
            except orjson.JSONDecodeError:
                return self.text(text)
            groups = self._groups
            if groups is not None and ODD in groups:  # spelled in JSON's own way
                self._groups = None
            masked = self.value(inner, nesting + 1, name)
            self._groups = groups
            # untouched JSON keeps its own spelling
            return text if masked == inner else orjson.dumps(masked).decode()
        return self.text(text)

    def _pseudonym(self, kind: str, text: str) -> str:
        self.counts[kind] += 1
        message = f"{kind}:{_normalise(kind, text)}".encode("utf-8", "surrogatepass")
        digest = hmac.digest(self._key, message, "sha256").hex()
        # a letter in front: no pattern takes what follows a letter for a number of its own
        return f"<{kind}:{'abcdef'[int(digest[0], 16) % 6]}{digest[1:_NUM_HEX]}>"


def _is_number(text: str) -> bool:
    return len(text) <= 32 and _WRITTEN_NUMBER.fullmatch(text) is not None


_WRITTEN_NUMBER = re.compile(r"\+?[0-9][0-9 ./()-]{5,30}")


def _is_header(pair: Sequence[Any]) -> bool:
    """["Authorization", "Token abc123"]; not two names in a list of names."""
    name, value = pair
    if not isinstance(name, str) or not isinstance(value, str):
        return False
    return secrecy(name) >= Secrecy.TEXT and looks_secret(value)


def _digits(number: int | float) -> str | None:
    """Of a whole number that is long enough to be somebody's."""
    if not _MIN_NUMBER <= abs(number) < _MAX_NUMBER or number != number // 1:
        return None
    return str(int(abs(number)))


def _claim(taken: list[Found], found: Found) -> None:
    """Add what was found unless it overlaps something that is there."""
    if not taken or taken[-1].end <= found.start:
        taken.append(found)
        return
    place = bisect_left(taken, found)
    if place and taken[place - 1].end > found.start:
        return
    if place < len(taken) and taken[place].start < found.end:
        return
    taken.insert(place, found)


def _normalise(kind: str, text: str) -> str:
    """What makes two spellings the same thing."""
    if kind in ("card", "iban", "phone"):
        return (text if text.isalnum() else "".join(filter(str.isalnum, text))).upper()
    if kind == "email":
        return normal_email(text)
    return text.lower() if kind == "ip" else text
