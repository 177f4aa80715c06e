"""On which line a key of a TOML text stands, which its reader does not tell.

For texts that were read already: it looks at marks, strings and brackets, and refuses nothing.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from typing import Any

#: of keys their names, of lists places from 0 on: ("items", 3, "target")
KeyPath = tuple[str | int, ...]

_LEXEME = re.compile(
    r'"""(?:[^"\\]+|\\.|"(?!""))*"{3,5}'
    r"|'''(?:[^']+|'(?!''))*'{3,5}"
    r'|"(?:[^"\\\n]+|\\.)*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*|\n|[^\S\n]+|[\[\]{},=]|[^\s\[\]{},=\"'\#]+",
    re.DOTALL,
)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def key_lines(text: str) -> dict[KeyPath, int]:
    """Path → line, from 1 on, of every table, key and element of a list that is no inline table's.
    Linear in the length."""
    lines: dict[KeyPath, int] = {}
    counts: dict[KeyPath, int] = {}
    table: KeyPath = ()
    for line, lexemes in _statements(text):
        if lexemes[0][0] == "[":
            is_list = lexemes[1][0] == "["
            parts = _parts("".join(lexeme for lexeme, _ in lexemes).strip("[] \t\r"))
            table = _resolved(parts[:-1], counts) if is_list else _resolved(parts, counts)
            if is_list:
                table = (*table, parts[-1])
                lines.setdefault(table, line)
                counts[table] = counts.get(table, 0) + 1
                table = (*table, counts[table] - 1)
            _told(lines, table, line)
            continue
        equals = next(place for place, (lexeme, _) in enumerate(lexemes) if lexeme == "=")
        key = (*table, *_parts("".join(lexeme for lexeme, _ in lexemes[:equals])))
        _told(lines, key, line)
        for place, (_, where) in enumerate(_elements(lexemes[equals + 1 :])):
            lines[(*key, place)] = where
    return lines


def line_of(lines: dict[KeyPath, int], path: Sequence[str | int]) -> int:
    """Of the path, or of the nearest that holds it."""
    for length in range(len(path), 0, -1):
        if tuple(path[:length]) in lines:
            return lines[tuple(path[:length])]
    return 1


def _told(lines: dict[KeyPath, int], path: KeyPath, line: int) -> None:
    """A key of several parts stands for the tables that it is in."""
    for length in range(1, len(path) + 1):
        lines.setdefault(path[:length], line)


def _statements(text: str) -> Iterator[tuple[int, list[tuple[str, int]]]]:
    """First line of each, and its lexemes with their lines, without blanks at its beginning."""
    line, depth, started = 1, 0, 1
    lexemes: list[tuple[str, int]] = []
    for found in _LEXEME.finditer(text):
        lexeme = found[0]
        if lexeme == "\n" and depth == 0:
            if lexemes:
                yield started, lexemes
            lexemes = []
        elif not lexeme.startswith("#") and (lexemes or lexeme.strip()):
            started = started if lexemes else line
            lexemes.append((lexeme, line))
            depth += (lexeme in ("[", "{")) - (lexeme in ("]", "}"))
        line += lexeme.count("\n")
    if lexemes:
        yield started, lexemes


def _elements(lexemes: Sequence[tuple[str, int]]) -> Iterator[tuple[str, int]]:
    """The first lexeme of each element of a list."""
    depth, is_first = 0, False
    for lexeme, line in lexemes:
        if not lexeme.strip():
            continue
        if depth == 1 and is_first and lexeme != "]":
            yield lexeme, line
            is_first = False
        depth += (lexeme in ("[", "{")) - (lexeme in ("]", "}"))
        if depth == 0 and lexeme != "]":
            return  # the value is no list
        if depth == 1 and lexeme in ("[", ","):
            is_first = True
        elif depth == 1 and lexeme == "{":
            return


def _parts(key: str) -> tuple[str, ...]:
    plain = [part.strip() for part in key.split(".")]
    if all(map(_BARE_KEY.fullmatch, plain)):
        return tuple(plain)
    value: Any = tomllib.loads(f"{key} = 0")
    parts = []
    while isinstance(value, dict):
        ((part, value),) = value.items()
        parts.append(part)
    return tuple(parts)


def _resolved(parts: Sequence[str], counts: dict[KeyPath, int]) -> KeyPath:
    """A list of tables stands for its last one."""
    path: KeyPath = ()
    for part in parts:
        path = (*path, part)
        if path in counts:
            path = (*path, counts[path] - 1)
    return path
