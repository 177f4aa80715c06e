"""Other spellings of the same text: what a reader, a browser or a decoder makes plain again.

`plain` gives a text as it reads and where each sign of it stands in the original. Signs that look
like ASCII become ASCII (full-width, mathematical, digits of other scripts), signs of no width go,
and `%40`, `&#64;` and `\\u0040` become what they stand for. Sources: RFC 3986, HTML, JSON, UAX #15.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from functools import cache

from tasks.privacy.finder import Span

__all__ = ["Plain", "decoded_runs", "find_spelled_emails", "normal_email", "odd_spelling", "plain"]

_NO_WIDTH = "\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufe00-\ufe0f\ufeff"
_ESCAPED = re.compile(
    rf"[{_NO_WIDTH}]+"
    r"|%(?:25){0,3}([2-7][0-9A-Fa-f])"
    r"|&(?:amp;){0,2}(#[0-9]{2,4};|#[xX][0-9a-fA-F]{2,4};|commat;|period;|colon;|equals;|quot;|lowbar;)"
    r"|\\{1,4}u00([2-7][0-9a-fA-F])"
    r"|\\{1,4}x([2-7][0-9a-fA-F])"
)
#: all but Latin-1, whose ² and º stand in ordinary words, and the scripts of East Asia
_MAY_BE_FOLDED = (
    *range(0x100, 0x3000), *range(0xA600, 0xAC00), *range(0xFB00, 0x11000),
    *range(0x11000, 0x12000), *range(0x16A00, 0x16C00), *range(0x1D400, 0x1D800),
    *range(0x1E100, 0x1EA00), *range(0x1F100, 0x1F200), *range(0x1FBF0, 0x1FC00),
)  # fmt: skip
#: one of them is in every text that has another spelling, beside signs beyond ASCII
_MARKS = ("%", "&", "\\")


class Plain:
    """`text`: as it reads. `original` gives the span in the original of a span of it."""

    def __init__(self, text: str, starts: list[int], shifts: list[int]) -> None:
        self.text = text
        self._starts = starts
        self._shifts = shifts

    def original(self, start: int, end: int) -> Span:
        return self._place(start), self._place(end - 1, after=True)

    def _place(self, place: int, *, after: bool = False) -> int:
        """Of a sign, or of what comes after it: a sign that was escaped is several there."""
        at = bisect_right(self._starts, place + after) - 1
        return place + after + self._shifts[at]


def plain(text: str) -> Plain | None:
    """None where it reads as it is written."""
    if text.isascii():
        if not any(mark in text for mark in _MARKS):
            return None
        folded = text
    else:
        folded = text.translate(_folding()) if _foldable().search(text) else text
    pieces: list[str] = []
    starts, shifts = [0], [0]
    done = length = 0
    for match in _ESCAPED.finditer(folded):
        sign = _unescaped(match)
        if sign is None:
            continue
        pieces += (folded[done : match.start()], sign)
        length += match.start() - done + len(sign)
        done = match.end()
        starts.append(length)
        shifts.append(done - length)
    if not done and folded == text:
        return None
    pieces.append(folded[done:])
    return Plain("".join(pieces), starts, shifts)


def _unescaped(match: re.Match[str]) -> str | None:
    percent, entity, unicode, byte = match.groups()
    code = percent or unicode or byte
    if code is not None:
        sign = chr(int(code, 16))
    elif entity is not None:
        sign = html.unescape("&" + entity)
        if len(sign) != 1 or not " " <= sign <= "~":
            return None
    else:
        return ""
    return sign if sign != "\x7f" else None


@cache
def _folding() -> dict[int, str]:
    """One sign for one sign, so that places stay."""
    folding: dict[int, str] = {}
    for code in _MAY_BE_FOLDED:
        sign = chr(code)
        simple = str(unicodedata.decimal(sign, "")) or unicodedata.normalize("NFKC", sign)
        if len(simple) == 1 and "!" <= simple <= "~":
            folding[code] = simple
    return folding


@cache
def _foldable() -> re.Pattern[str]:
    """What may be folded; beyond the first plane a rough guess, which `re` looks up ten times as
    fast as the single ranges."""
    signs = "".join(chr(code) for code in _folding() if code < 0x10000)
    return re.compile(f"[{re.escape(signs)}]|[\U00010000-\U0001ffff]")


@cache
def odd_spelling() -> str:
    """For RE2: every JSON text matches that has in it what `plain` changes."""
    ranges: list[list[int]] = []
    for code in sorted(_folding()):
        if ranges and code == ranges[-1][1] + 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    signs = "".join(rf"\x{{{first:x}}}-\x{{{last:x}}}" for first, last in ranges)
    return (
        r"%(?:25)*[2-7]|&(?:amp;)*(?:#|commat|period|colon|equals|quot|lowbar)|\\+u[0-9A-Fa-f]{4}|\\\\+x[2-7]"
        rf"|[{_NO_WIDTH}{signs}]"
    )


# --- base64 ------------------------------------------------------------------------------------

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{12,65536}+={0,2}")
_READABLE = re.compile(r"[\t\n\r -~\u00a0-\uffff]+")


def decoded_runs(text: str, runs: Iterable[Span]) -> Iterator[tuple[int, int, str]]:
    """(start, end, what it says) of what in these runs is the base64 of a readable text."""
    for match in (match for run in runs for match in _BASE64.finditer(text, *run)):
        run = match.group().rstrip("=").replace("-", "+").replace("_", "/")
        if len(run) % 4 == 1:
            continue
        try:
            said = base64.b64decode(run + "=" * (-len(run) % 4)).decode()
        except (binascii.Error, UnicodeDecodeError):
            continue
        if _READABLE.fullmatch(said):
            yield match.start(), match.end(), said


# --- addresses for people ------------------------------------------------------------------------

_BRACKETED_AT = re.compile(r"\s{0,2}[\[({<]\s?(?:at|@)\s?[\])}>]\s{0,2}", re.IGNORECASE)
_PLAIN_AT = re.compile(r"(?i)\s{1,2}(?:at|@)\s{1,2}(?=[a-z0-9-]{1,63}\s{1,2}dot\s)")
_DOMAIN = re.compile(
    r"(?:[\w-]{1,63}(?:\s{0,2}[\[({<]\s?(?:dot|punkt|\.)\s?[\])}>]\s{0,2}|\s{1,2}dot\s{1,2}|\.))"
    r"{1,6}[^\W\d_]{2,24}(?![\w-])",
    re.IGNORECASE,
)
_LOCAL = re.compile(r"[\w.+%'-]{1,64}(?<!')$")
_TOP = frozenset(
    ["com", "org", "net", "edu", "gov", "io", "co", "ai", "dev", "app", "info", "biz", "eu", "uk",
     "de", "fr", "es", "it", "nl", "be", "ch", "at", "pl", "se", "no", "dk", "fi", "pt", "ie", "cz",
     "us", "ca", "mx", "br", "ar", "au", "nz", "in", "jp", "cn", "kr", "sg", "ru", "ua", "tr", "za"]
)  # fmt: skip
#: before `at amazon dot com` they are words of a sentence
_WORDS_BEFORE = frozenset(
    ["a", "again", "all", "and", "any", "available", "back", "books", "bought", "buy",
     "checkout", "found", "get", "happened", "here", "him", "hosted", "is", "it", "items", "job",
     "jobs", "look", "looked", "looking", "me", "much", "now", "online", "order", "ordered", "out",
     "people", "price", "prices", "products", "sells", "shop", "shopping", "sold", "something",
     "stuff", "that", "them", "there", "things", "this", "those", "up", "us", "visit", "was",
     "were", "work", "worked", "working", "works", "you"]
)  # fmt: skip
_WORDS_AFTER = frozenset(["the", "a", "that", "this", "each", "every", "its", "your", "our", "my"])


def find_spelled_emails(text: str) -> Iterator[Span]:
    """`ann (at) example.com`, `ann at example dot com`."""
    for match in _BRACKETED_AT.finditer(text):
        yield from _around(text, match, sure=True)
    for match in _PLAIN_AT.finditer(text):
        yield from _around(text, match, sure=False)


def _around(text: str, at: re.Match[str], *, sure: bool) -> Iterator[Span]:
    local = _LOCAL.search(text, max(0, at.start() - 64), at.start())
    domain = _DOMAIN.match(text, at.end())
    if local is None or domain is None:
        return
    if not sure:
        is_word = (
            local.group().lower() in _WORDS_BEFORE
            or domain.group().split()[0].lower() in _WORDS_AFTER
        )
        if is_word or domain.group().split()[-1].lower() not in _TOP:
            return
    yield local.start(), domain.end()


_AT = re.compile(r"\s*[\[({<]?\s?\b(?:at)\b\s?[\])}>]?\s*|\s*[\[({<]\s?@\s?[\])}>]\s*")
_DOT = re.compile(r"\s*[\[({<]?\s?\b(?:dot|punkt)\b\s?[\])}>]?\s*|\s*[\[({<]\s?\.\s?[\])}>]\s*")


def normal_email(text: str) -> str:
    """The address as a machine would write it."""
    text = text.lower()
    if "@" not in text or text.strip() != text or " " in text or "[" in text or "(" in text:
        local, _, domain = _AT.sub("@", text, count=1).partition("@")
        text = f"{local}@{_DOT.sub('.', domain)}"
    return text
