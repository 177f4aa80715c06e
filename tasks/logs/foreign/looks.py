"""What a file looks like that is of no kind we know: its syntax, and its first keys or words.

Keys and columns are quoted as they are, unless they look like data themselves (an address, a long
number); of a text only words that can be no name.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from tasks.logs.shapes.records import Json

_MAX_NAMES = 8
_MAX_NAME_CHARS = 40
_MAX_WORDS = 8
_DATA = re.compile(r"@|\d{5}|^\s*$|[\x00-\x1f\x7f]")
_WORD = re.compile(r"(?:[a-z][a-z-]*|[A-Z]{2,})[.,:;!?]?$")
_NUMBER = re.compile(r"[+-]?[\d.,:/ -]*\d[\d.,:/TZ %-]*$")
_DELIMITERS = (",", ";", "\t", "|")
#: a question and an answer, whatever an API or a person calls them
_ASKED = frozenset({"messages", "prompt", "input", "inputs", "question", "query", "contents",
                    "request", "instruction", "conversation", "system"})  # fmt: skip
_ANSWERED = frozenset({"response", "completion", "output", "outputs", "answer", "choices", "reply",
                       "candidates", "generation", "result", "text", "content"})  # fmt: skip


def of_json(values: Sequence[Json], *, one_a_line: bool) -> str:
    """Of the first values of a file: those of lines, or the one that the whole file is."""
    syntax = "JSON lines" if one_a_line else "a JSON document"
    items = _items(values)
    if not any(isinstance(item, dict) for item in items):
        kinds = Counter(_kind_of(item) for item in items)
        told = f" of {kinds.most_common(1)[0][0]}" if kinds else " with nothing in it"
        return f"{syntax}{told}"
    in_lists = any(isinstance(value, list) for value in values)
    within = " with a list of objects" if in_lists else " of objects" if one_a_line else ""
    keys = keys_of(values)
    if not keys:
        return f"{syntax}{within} without any key"
    return f"{syntax}{within}{_lacking(keys)}: the keys {names(keys)}"


def keys_of(values: Sequence[Json]) -> list[str]:
    """Of the first objects, in the order in which they come."""
    objects = [item for item in _items(values) if isinstance(item, dict)]
    return list(dict.fromkeys(key for item in objects[:20] for key in item))


def of_columns(kind: str, columns: Sequence[str]) -> str:
    """Of a table. `kind`: a CSV table, a Parquet table."""
    if not columns:
        return f"{kind} without columns"
    if _is_data(columns):
        return f"{kind} of {len(columns)} columns without a heading"
    return f"{kind}{_lacking(columns)}: the columns {names(columns)}"


def table_in(lines: Sequence[str]) -> list[str] | None:
    """The heading of lines that are a table, whatever the file is called; None: they are none."""
    if len(lines) < 3:
        return None
    for delimiter in _DELIMITERS:
        try:
            rows = list(csv.reader(lines[:20], delimiter=delimiter))
        except csv.Error:
            continue
        widths = Counter(map(len, rows))
        width, number = widths.most_common(1)[0]
        if width >= 3 and 10 * number >= 9 * len(rows):
            return rows[0]
    return None


def of_text(lines: Sequence[str]) -> str:
    """Of lines that are no JSON."""
    words = next((line.split() for line in lines if line.strip()), [])
    shown = [word if _WORD.match(word) else "…" for word in words[:_MAX_WORDS]]
    if not any(len(word) > 1 and word != "…" for word in shown):
        return "a text that is no JSON"
    return f"a text that is no JSON: it begins with {' '.join(_once(shown))}"


def of_bytes(head: bytes) -> str:
    return f"binary data of an unknown kind: it begins with the bytes {head[:8].hex(' ')}"


def names(keys: Iterable[str]) -> str:
    """The first of them, and how many more there are."""
    named = [_shown(key) for key in keys]
    more = f" and {len(named) - _MAX_NAMES} more" if len(named) > _MAX_NAMES else ""
    return ", ".join(named[:_MAX_NAMES]) + more


def _items(values: Sequence[Json]) -> list[Json]:
    lists = (value[:20] if isinstance(value, list) else [value] for value in values[:50])
    return [item for some in lists for item in some]


def _lacking(keys: Iterable[str]) -> str:
    """What of a call is not among the keys."""
    last = {key.lower().rpartition(".")[2] for key in keys}
    lacking = [what for what, known in (("messages", _ASKED), ("an answer", _ANSWERED))
               if last.isdisjoint(known)]  # fmt: skip
    return f" without {' or '.join(lacking)}" if lacking else " that no format knows"


def _shown(key: str) -> str:
    if _DATA.search(key):
        return "…"
    return key if len(key) <= _MAX_NAME_CHARS else key[:_MAX_NAME_CHARS] + "…"


def _is_data(columns: Sequence[str]) -> bool:
    """Whether the first row of a table is no heading."""
    cells = [cell[:_MAX_NAME_CHARS] for cell in columns]
    data = sum(bool(_NUMBER.match(cell) or _DATA.search(cell)) for cell in cells)
    return 3 * data >= len(columns)


def _once(words: Sequence[str]) -> list[str]:
    """What is left out stands there once, however many words it is."""
    pairs = zip(["", *words], words, strict=False)
    return [word for before, word in pairs if word != "…" or before != "…"]


def _kind_of(value: Json) -> str:
    if isinstance(value, str):
        return "texts"
    if isinstance(value, list):
        return "lists"
    if value is None:
        return "nothing but null"
    return "booleans" if isinstance(value, bool) else "numbers"
