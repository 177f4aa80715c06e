"""What secrets and personal data look like: one table of finders.

A finder yields spans of a text. Every pattern is linear: its quantifiers are bounded, or nothing
after them can fail. Each has hints, one of which must be in the text before the pattern is tried.
Sources: ISO 13616 (IBAN), ISO/IEC 7812 (Luhn), E.164, RFC 3986.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from functools import lru_cache

from tasks.privacy.finder import Accept, Finder, Span
from tasks.privacy.secrets import PRIVATE_KEYS, SECRETS
from tasks.privacy.sieve import GROUPED_DIGITS, SEVEN_DIGITS, TWELVE_DIGITS
from tasks.privacy.spellings import find_spelled_emails

__all__ = ["FINDERS", "KINDS", "Finder"]

KINDS = ("secret", "url", "email", "iban", "card", "ip", "phone")

#: stretches of digits as people group them; everything numeric is looked for only in there
_NUMBERS = re.compile(r"[0-9+(][0-9 .()\u00a0\u2000-\u2015\u202f\u2212/\r\n\t|_-]{6,80}+")
_MAX_STRETCH = 81
#: what may follow a stretch and still belong to the pattern or its look ahead
_SLACK = 48


@lru_cache(maxsize=1)  # several finders ask for the same text, one after the other
def _numbers(text: str) -> list[Span]:
    return [match.span() for match in _NUMBERS.finditer(text)]


def _numbers_with(needed: str) -> Callable[[str], list[Span]]:
    """Of those stretches the ones that may hold a kind; one cut off at its longest may go on."""
    needs = re.compile(needed)

    @lru_cache(maxsize=1)
    def of(text: str) -> list[Span]:
        return [
            (start, stop)
            for start, stop in _numbers(text)
            if stop - start == _MAX_STRETCH or needs.match(text, start, stop)
        ]

    return of


_SEVEN_DIGITS = _numbers_with(r"(?:[^0-9]*+[0-9]){7}")
_TWELVE_DIGITS = _numbers_with(r"(?:[^0-9]*+[0-9]){12}")
#: and something between them other than one blank or hyphen
_GROUPED_DIGITS = _numbers_with(
    r"(?=(?:[^0-9]{0,80}+[0-9]){12})(?:[0-9]|(?=[ -][0-9])[ -]){0,81}+[^0-9]{1,3}[0-9]"
)
_THREE_DOTS = _numbers_with(r"(?:[^.]*+\.){3}")


def _number(
    kind: str,
    where: Callable[[str], list[Span]],
    expression: str,
    accept: Accept,
    group: str,
    sieve: str,
    hints: tuple[str, ...] = (),
) -> Finder:
    compiled = re.compile(expression)

    def find(text: str) -> Iterator[Span]:
        for start, stop in where(text):
            for match in compiled.finditer(text, start, min(len(text), stop + _SLACK)):
                # what begins in the slack may be cut off there; it has a stretch of its own
                if match.start() < stop and accept(match):
                    yield match.span()

    return Finder(kind, hints, find, any_case=bool(hints), group=group, sieve=sieve)


# --- personal data -----------------------------------------------------------------------------

_URL = re.compile(r"(?i)(?<![\w@])(?:(?:https?|ftps?|wss?)://|www\.)[^\s<>\"'`\\{}|^]{1,2048}+")
_AFTER_A_URL = ".,;:!?)]"


def _find_urls(text: str) -> Iterator[Span]:
    """What ends a sentence or a bracket is no part of it."""
    for match in _URL.finditer(text):
        address = match.group().rstrip(_AFTER_A_URL)
        if "." in address or "://" in address:
            yield match.start(), match.start() + len(address)


_EMAIL_DOMAIN = re.compile(r"@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}(?![\w-])")
_MAX_LOCAL_PART = 64


def _find_emails(text: str) -> Iterator[Span]:
    """From the @ outwards: a text is mostly no address, so nothing is tried at every letter."""
    for match in _EMAIL_DOMAIN.finditer(text):
        at = start = match.start()
        while start and (text[start - 1].isalnum() or text[start - 1] in "._+%'-"):
            start -= 1
            if at - start > _MAX_LOCAL_PART:
                break
        while start < at and text[start] in "'.%":  # a quotation mark before it
            start += 1
        if 0 < at - start <= _MAX_LOCAL_PART:
            yield start, match.end()


#: length by country, ISO 13616 registry
_IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22,
    "BI": 27, "BR": 29, "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27,
    "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27,
    "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HN": 28, "HR": 21, "HU": 28,
    "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28,
    "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22,
    "MK": 19, "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23,
    "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24,
    "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "SO": 23, "ST": 25, "SV": 28,
    "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20, "YE": 30,
}  # fmt: skip
#: the check digits and eleven or more signs; before them stands the country. Digits first,
#: because texts have few
_IBAN_START = re.compile(
    r"[0-9]{2}(?<=[A-Za-z]{2}..)(?<![A-Za-z0-9].{4})(?=(?:[ -]?[A-Za-z0-9]){11})", re.DOTALL
)


def _find_ibans(text: str) -> Iterator[Span]:
    """As many letters and digits as the country has, in groups or not, with the right check."""
    for match in _IBAN_START.finditer(text):
        start = match.start() - 2
        length = _IBAN_LENGTHS.get(text[start : start + 2].upper())
        if length is None:
            continue
        end, kept = start, ""
        while end < len(text) and len(kept) < length:
            if text[end].isascii() and text[end].isalnum():
                kept += text[end]
            elif text[end] not in " -" or not kept[-1:] or text[end - 1] in " -":
                break
            end += 1
        if len(kept) == length and not text[end : end + 1].isalnum() and _is_iban(kept):
            yield start, end


def _is_iban(kept: str) -> bool:
    moved = (kept[4:] + kept[:4]).upper()
    return int("".join(str(int(c, 36)) for c in moved)) % 97 == 1


#: what a digit in the other places counts: twice itself, in one digit
_DOUBLED = dict(zip("0123456789", (0, 2, 4, 6, 8, 1, 3, 5, 7, 9), strict=True))


def _luhn(digits: str) -> bool:
    total = sum(map(int, digits[::-2])) + sum(map(_DOUBLED.__getitem__, digits[-2::-2]))
    return total % 10 == 0


_CARD_PREFIX = re.compile(r"3[0-9]|4|5[0-9]|6|2[2-7]|2131|1800")


#: what such a number is called when it is no card, and written in one piece
_NO_CARD = re.compile(
    r"(?:order|invoice|tracking|ticket|shipment|parcel|waybill)s?[\s_.:#-]{0,4}"
    r"(?:number|num|no|nr|id)?[\s_.:#=\"'-]{0,5}$"
)


def _is_card(match: re.Match[str]) -> bool:
    """Luhn holds, an issuer has the first digits; 12 digits only where Maestro has them."""
    written = match.group()
    digits = written if written.isdigit() else re.sub(r"[^0-9]", "", written)
    if not 12 <= len(digits) <= 19 or not _CARD_PREFIX.match(digits):
        return False
    if len(digits) == 12 and not re.match(r"5[0678]|6", digits):
        return False
    if not (len(set(digits)) > 1 and _luhn(digits)):
        return False
    return len(written) != len(digits) or _NO_CARD.search(_before(match)) is None


_CARD = _number(
    "card", _TWELVE_DIGITS,
    r"(?<![\w.+-])[1-6][0-9](?:(?=[0-9]|[ -][0-9])[ -]?[0-9]){10,17}+(?![\w-]|\.[0-9])", _is_card,
    "card", TWELVE_DIGITS,
)  # fmt: skip
#: grouped as it is printed, with anything between the groups: dots, slashes, line breaks
_GROUPED_CARD = _number(
    "card", _GROUPED_DIGITS,
    r"(?<!\w)(?<![0-9][^\w\s])[2-6][0-9]{3}(?P<gap>[\W_]{1,3})(?:[0-9]{4}(?P=gap)[0-9]{4}(?P=gap)"
    r"[0-9]{3,4}|[0-9]{6}(?P=gap)[0-9]{4,5})(?!\w|(?P=gap)[0-9])", _is_card,
    "grouped", GROUPED_DIGITS,
)  # fmt: skip


def _is_ip4(match: re.Match[str]) -> bool:
    return all(int(part) <= 255 for part in match.group().split("."))


# the first digit stands before the look behind, so that the search can skip to digits
_IP4 = _number(
    "ip",
    _THREE_DOTS,
    r"[0-9](?<![\w.-].)[0-9]{0,2}(?:\.[0-9]{1,3}){3}(?![\w-]|\.[0-9])",
    _is_ip4,
    "ip4",
    r"[0-9](?:\.[0-9]{1,3}){3}",
)


def _is_ip6(match: re.Match[str]) -> bool:
    text = match.group()
    # names such as cafe::bad of many programming languages are no addresses
    if text.count(":") < 2 or not any(c.isdigit() for c in text):
        return False
    if len(text) <= 12 and _SLICE.search(match.string, max(0, match.start() - 2), match.start()):
        return False
    try:
        return ipaddress.ip_address(text).version == 6
    except ValueError:
        return False


#: `items[::2]`, `items[1::2]` of Python
_SLICE = re.compile(r"[\w)\]]\[$")
_IP6_GATE = re.compile(r":[0-9A-Fa-f]{0,4}:")
_IP6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f:]{2,39}+(?:\.[0-9.]{5,11})?(?![\w:])")


def _find_ip6(text: str) -> Iterator[Span]:
    if _IP6_GATE.search(text) is not None:
        yield from (match.span() for match in _IP6.finditer(text) if _is_ip6(match))


# --- phone -------------------------------------------------------------------------------------

_EXTENSION = r"(?: ?(?:x|ext\.?) ?[0-9]{1,6})?"
_SEP = r"[ .\u00a0-]"
#: written as telephone numbers are and few other numbers: a country code, an area code in
#: brackets, the North American 3-3-4, or a leading zero with groups. Possessive throughout:
#: digits can be cut into groups in many ways, and only one is tried. What is repeated first looks
#: sign by sign whether it will match: Python before 3.11.5 goes on behind a repetition that failed
#: midway (gh-106052)
_PHONE_SURE = (
    rf"(?:\+|00[1-9]?-?)[0-9]{{1,3}}+(?:{_SEP}?\([0-9]{{1,4}}\))?"
    rf"(?:(?=[0-9]|{_SEP}[0-9]){_SEP}?[0-9]{{1,5}}+){{2,6}}+"
    rf"|\([0-9]{{2,5}}\){_SEP}?[0-9]{{3,4}}+{_SEP}?[0-9]{{3,4}}"
    rf"|[0-9]{{3}}{_SEP}[0-9]{{3}}{_SEP}[0-9]{{4}}"
    rf"|0[0-9]{{1,4}}+(?:(?={_SEP}[0-9][0-9]){_SEP}[0-9]{{2,4}}+){{2,4}}+"
    rf"|0[0-9]{{2,4}}+{_SEP}[0-9]{{5,7}}"
)
#: any run of digits and separators; a telephone number only next to a word that says so
_PHONE_MAYBE = (
    rf"\(?[0-9]{{2,5}}+\)?"
    rf"(?:(?=[0-9][0-9]|{_SEP}[0-9][0-9]){_SEP}?[0-9]{{2,7}}+){{1,5}}+"
)
#: not inside a longer number, a word, a sum of money, an address of the web
_NOT_AFTER = r"(?<![\w.+/#:=-])(?<![0-9][ ,])(?<!\()"
_NOT_BEFORE = r"(?![\w/]|[.,:-][0-9])"
#: of the lower-cased text before a number
_PHONE_WORDS = re.compile(
    r"\b(?:(?:tele)?phones?|tel|call(?:ed|ing)?|cell|mobile|dial|fax|whatsapp|sms|ring me|text me|"
    r"reach (?:me|us|him|her|them)|contact (?:me|us|him|her|them|number)|answer(?:ing)? at|"
    r"messages? to)\b|☎|📞"
)
#: one of them is in each text that has one of those
_PHONE_HINTS = (
    "phone", "tel", "call", "cell", "mobile", "dial", "fax", "whatsapp", "sms", "ring me",
    "text me", "reach ", "contact ", "answer", "message", "☎", "📞", "office",
)  # fmt: skip
_PHONE_WORDS_AFTER = re.compile(r"[\s-]{0,3}(?:office|fax|mobile|cell)\b", re.IGNORECASE)
#: numbers that are called something else, even where a telephone is spoken of
_OTHER_WORDS = re.compile(
    r"(?:order|ticket|invoice|case|ref(?:erence)?|tracking|serial|account|id|no|nr|code|item|sku|"
    r"model|version|part|booking|customer|policy|claim)[\s.:#-]{0,4}(?:number|num|no|nr|id)?"
    r"[\s.:#-]{0,4}[a-z]{0,4}[-#]?$"
)
_CONTEXT = 48
_DATE = re.compile(
    r"(?:19|20)[0-9]{2}[ .-][0-9]{2}[ .-][0-9]{2}|[0-9]{2}[ .-][0-9]{2}[ .-](?:19|20)[0-9]{2}"
)


def _num_digits(text: str) -> int:
    return sum(map(str.isdigit, text))


def _is_sure_phone(match: re.Match[str]) -> bool:
    if not 8 <= _num_digits(match.group()) <= 20 or _DATE.match(match.group()):
        return False
    return _OTHER_WORDS.search(_before(match)) is None


def _before(match: re.Match[str]) -> str:
    return match.string[max(0, match.start() - _CONTEXT) : match.start()].lower()


def _is_phone_in_context(match: re.Match[str]) -> bool:
    number = match.group()
    if not 7 <= _num_digits(number) <= 15 or _DATE.match(number):
        return False
    before = _before(match)
    said = _PHONE_WORDS.search(before) or _PHONE_WORDS_AFTER.match(match.string, match.end())
    return said is not None and _OTHER_WORDS.search(before) is None


_PHONES = (
    _number("phone", _SEVEN_DIGITS, rf"{_NOT_AFTER}(?:{_PHONE_SURE}){_EXTENSION}{_NOT_BEFORE}",
            _is_sure_phone, "phone", SEVEN_DIGITS),
    _number("phone", _SEVEN_DIGITS, rf"{_NOT_AFTER}(?:{_PHONE_MAYBE}){_EXTENSION}{_NOT_BEFORE}",
            _is_phone_in_context, "phone", SEVEN_DIGITS, _PHONE_HINTS),
)  # fmt: skip

#: in order: where two overlap, the first one has it
FINDERS: tuple[Finder, ...] = (
    *PRIVATE_KEYS,  # may hold anything
    # may hold any of the rest
    Finder("url", ("://", "www."), _find_urls, any_case=True, group="address"),
    *SECRETS,
    Finder("email", ("@",), _find_emails, group="email"),
    Finder("email", ("at)", "at]", "at}", "at>", "at )", "at ]", "(@", "[@", " dot "),
           find_spelled_emails, any_case=True, group="email",
           sieve=r"(?i:[\[({<]\s?(?:at|@)\s?[\])}>]|\bdot\b)"),
    Finder("iban", (), _find_ibans, group="iban",
           sieve=r"[A-Za-z]{2}[0-9]{2}(?:[ -]?[A-Za-z0-9]){11}"),
    _CARD,
    _GROUPED_CARD,
    _IP4,
    Finder("ip", (":",), _find_ip6, group="ip6", sieve=r":[0-9A-Fa-f]{0,4}:"),
    *_PHONES,
)  # fmt: skip
