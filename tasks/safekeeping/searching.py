"""Whether bytes that nobody has parsed speak of a person or a call: lines that could not be read,
logs that were piped in, files of people.

Looked for are request ids, users by their hash, and whole texts, each as it stands between quotes
or blanks; JSON inside JSON is looked into. A text that is cut, or spelled otherwise, is not found.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

from tasks.logs.shapes.coerce import user_hash

#: shorter texts are said by many
MIN_TEXT_CHARS = 24
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_WORD = re.compile(rb"[^\s\"'\\,;=<>(){}\[\]]+")
#: between the words of a sentence
_BLANKS = re.compile(r"[\s\"'(),]+")
_MAX_NESTING = 4
#: how files begin that are packed or no text
_PACKED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"PAR1", b"\xfd7zXZ", b"PK")


class Search:
    """`safe_id`: how ids are stored where they hold something personal."""

    def __init__(
        self,
        request_ids: Collection[str],
        users: Collection[str],
        texts: Iterable[str] = (),
        safe_id: Callable[[str], str] = str,
    ) -> None:
        self._ids = frozenset(request_ids)
        self._known = {*request_ids, *texts}
        self._users = frozenset(users)
        self._safe_id = safe_id if any(each.startswith("<") for each in request_ids) else None
        self._beginnings = tuple(dict.fromkeys(text[:MIN_TEXT_CHARS] for text in texts))

    def holds(self, data: bytes) -> bool:
        """Whether it is of the person or of one of the calls."""
        return any(self._is_wanted(text) for text in _texts(data))

    def quotes(self, text: str) -> bool:
        """Whether a sentence of ours names one of the calls, or quotes a text from its beginning
        on."""
        words = (word.strip(".:;") for word in _BLANKS.split(text))
        return any(word in self._ids for word in words) or any(
            beginning in text for beginning in self._beginnings
        )

    def tells(self, text: str) -> bool:
        """Either of both: of what other programs keep of what we told them."""
        return self.quotes(text) or self.holds(text.encode("utf-8", "replace"))

    def _is_wanted(self, text: str) -> bool:
        if text in self._known or (self._users and user_hash(None, text) in self._users):
            return True
        return self._safe_id is not None and self._safe_id(text) in self._known


def _texts(data: bytes, nesting: int = 0) -> Iterator[str]:
    for word in _WORD.findall(data):
        yield word.strip(b":").decode("utf-8", "replace")
    for quoted in _QUOTED.findall(data):
        try:
            text = json.loads(b'"' + quoted + b'"', strict=False)
        except ValueError:
            text = quoted.decode("utf-8", "replace")
        yield text
        if b"\\" in quoted and nesting < _MAX_NESTING:
            yield from _texts(text.encode("utf-8", "surrogatepass"), nesting + 1)


def lines_with(paths: Iterable[Path], search: Search) -> list[str]:
    """FILE:LINE of every line of these files that holds what is looked for."""
    found = []
    for path in paths:
        if path.is_file():
            with path.open("rb") as file:
                found += [
                    f"{path}:{number}" for number, line in enumerate(file, 1) if search.holds(line)
                ]
    return found


def is_packed(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(8).startswith(_PACKED)


def without_lines(path: Path, has_it: Callable[[bytes], bool]) -> int:
    """Take the lines that have it out of a file, which is there whole at any time; how many."""
    draft, num = path.with_name(f".{path.name}.new"), 0
    with path.open("rb") as file, draft.open("wb") as left:
        for line in file:
            if has_it(line):
                num += 1
            else:
                left.write(line)
    if num:
        draft.replace(path)
    else:
        draft.unlink()
    return num
