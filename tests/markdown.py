"""What a page of Markdown shows: its blocks by what is in them, its code in the text, its links.

Of a block in backquotes the language says what it is, of one that is indented its first line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

_LANGUAGES = {
    "bash": "shell", "console": "shell", "json": "json", "jsonl": "json", "python": "python",
    "sh": "shell", "shell": "shell", "sql": "sql", "toml": "toml",
}  # fmt: skip
#: what a command line begins with; ours, and what stands beside it in such pages
_PROGRAMS = (
    r"(\$ |\$?[A-Z_]+=\S+ |\$[A-Z]+ |(flywheel|make|pip|python3?|prefect|mlflow|docker|git|cd|cp|"
    r"echo|export|curl|zcat|cat|npx|pytest|uv|sudo|mkdir)( |$))"
)
#: (what it is, how its first line begins), the first that fits
_SIGNS = (
    ("shell", _PROGRAMS),
    ("python", r"(from [\w.]+ import |import |def |class )"),
    ("toml", r"(\[{1,2}[\w.\"-]+\]{1,2}\s*(#|$)|[\w.\"-]+ = |#:schema|# [\w/.-]+\.toml$)"),
    ("json", r"\{"),
    ("sql", r"(?i:select|from|with) "),
)
_DRAWN = re.compile(r"[─│▶▼▲┌└]")
_CODE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_LINK = re.compile(r"\]\(([^()\s]+)\)")
#: a text of JSON, which is kept, or what is left out: a value behind its key, else any number
_LEFT_OUT = re.compile(r'(?P<kept>"(?:\\.|[^"\\])*")|(?P<key>: )…|…,?')
#: an indented block begins after an empty line (else it goes on with a paragraph or an item)
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?<=\n\n)((?: {4}.*\n)+(?:\n+(?: {4}.*\n)+)*)")


@dataclass(frozen=True, slots=True)
class Block:
    """`kind`: shell, toml, json, sql, python, drawing, or text where nothing tells."""

    page: str
    line: int
    kind: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True, slots=True)
class Page:
    """A file of Markdown, by its path in the repository."""

    path: Path
    name: str

    @property
    def text(self) -> str:
        return self.path.read_text()

    def blocks(self) -> Iterator[Block]:
        text = self.text
        for found in _FENCED.finditer(text):
            line = text.count("\n", 0, found.start()) + 2
            language, shown = found.groups()
            yield Block(self.name, line, _LANGUAGES.get(language) or _kind(shown), shown)
        unfenced = _blanked(_FENCED, text)
        for found in _INDENTED.finditer(unfenced):
            line = unfenced.count("\n", 0, found.start()) + 1
            shown = re.sub("^ {4}", "", found[1], flags=re.MULTILINE)
            yield from self._parts(line, shown)

    def _parts(self, line: int, text: str) -> Iterator[Block]:
        """A block may hold settings behind a command: paragraphs of one kind are a part."""
        paragraphs = [(found.start(), found[0]) for found in re.finditer(r"(?:.+\n)+", text)]
        if _kind(text) in ("text", "drawing"):
            yield Block(self.name, line, _kind(text), text)
            return
        for kind, group in groupby(paragraphs, key=lambda paragraph: _kind(paragraph[1])):
            parts = list(group)
            if kind == "text":  # what the command before it prints
                continue
            first = line + text.count("\n", 0, parts[0][0])
            yield Block(self.name, first, kind, "\n".join(part for _, part in parts))

    def code(self) -> list[str]:
        """The code in its sentences and tables, in one line each."""
        sentences = _blanked(_INDENTED, _blanked(_FENCED, self.text))
        found = _CODE.findall(sentences)
        return [" ".join(code.replace(r"\|", "|").split()) for code in found]

    def links(self) -> list[str]:
        return _LINK.findall(_blanked(_CODE, _blanked(_FENCED, self.text)))

    def anchors(self) -> set[str]:
        """Of its headings, as GitHub makes them."""
        headings = re.findall(r"^#+ +(.+)$", _blanked(_FENCED, self.text), re.MULTILINE)
        slugs = [re.sub(r"[^\w\- ]", "", one.strip().lower()).replace(" ", "-") for one in headings]
        return {
            slug if (before := slugs[:place].count(slug)) == 0 else f"{slug}-{before}"
            for place, slug in enumerate(slugs)
        }


def commands(text: str) -> Iterator[str]:
    """The command lines of a shell block, without what is said of them: behind `#`, or two blanks.

    Where some begin with `$`, all others are what was printed.
    """
    lines = text.splitlines()
    marked = [line[2:] for line in lines if line.startswith("$ ")]
    for line in marked or lines:
        if command := re.sub(r"(\s+#\s| {2,}).*", "", line).strip():
            yield command


def written_out(command: str) -> list[str]:
    """`a [--b C] D|E…`: without and with what is in brackets, each with D and with E."""
    optional = re.compile(r" \[([^]]*)\]")
    forms = dict.fromkeys((optional.sub("", command), optional.sub(r" \1", command)))
    found = []
    for form in forms:
        choice = re.search(r"(?<= )[A-Z]+(\|[A-Z]+)+", form)
        for word in choice[0].split("|") if choice else [""]:
            found.append(form.replace(choice[0], word) if choice else form)
    return [form.replace("…", "").strip() for form in found]


def json_values(text: str) -> Iterator[Any]:
    """One after the other, over any number of lines; `…` stands for something of no matter."""

    def said(found: re.Match[str]) -> str:
        return found["kept"] or (': "…"' if found["key"] else "")

    text = _LEFT_OUT.sub(said, text).strip()
    while text:
        value, end = json.JSONDecoder().raw_decode(text)
        yield value
        text = text[end:].lstrip()


def _kind(text: str) -> str:
    first = text.lstrip("\n").partition("\n")[0]
    for kind, sign in _SIGNS:
        if re.match(sign, first):
            return kind
    return "drawing" if _DRAWN.search(text) else "text"


def _blanked(pattern: re.Pattern[str], text: str) -> str:
    """The text without what is found, its lines kept."""
    return pattern.sub(lambda found: "\n" * found[0].count("\n"), text)
