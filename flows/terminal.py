"""Tables and lines of texts: on a terminal however narrow, as Markdown, and as JSON.

Text of data arrives here as it is; nothing in it is obeyed, by the terminal or by rich.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.model.visible import one_line, visible

if TYPE_CHECKING:
    from rich.console import Console

#: in a pipe or a CI log there is no terminal to fit
_PIPED_WIDTH = 160


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells under their columns; those named in `texts` begin at the left."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    texts: tuple[str, ...]


def console() -> Console:
    """Standard output, without colours of its own making."""
    from rich.console import Console

    terminal = Console(highlight=False)
    if not terminal.is_terminal:
        terminal.width = _PIPED_WIDTH
    return terminal


def print_table(console: Console, shown: Table) -> None:
    """A table where it fits; on a narrow terminal a paragraph a row, for no number may be cut."""
    from rich import box, table
    from rich.columns import Columns
    from rich.padding import Padding
    from rich.text import Text

    unbounded = console.options.update(width=10_000)
    for between_words in (" ", "\n"):  # headings on one line where they fit, else on several
        drawn = table.Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for name in shown.columns:
            heading = Text(one_line(name).replace(" ", between_words))
            left = name in shown.texts
            drawn.add_column(heading, justify="left" if left else "right", no_wrap=True)
        for row in shown.rows:
            drawn.add_row(*(Text(visible(value)) for value in row))
        if console.measure(drawn, options=unbounded).maximum <= console.width:
            console.print(drawn)
            return
    for row in shown.rows:
        console.print(Text(visible(row[0]), style="bold"))
        named = zip(shown.columns[1:], row[1:], strict=True)
        cells = [
            Text(f"{one_line(name)} {visible(value)}", overflow="fold") for name, value in named
        ]
        console.print(Padding(Columns(cells, padding=(0, 3)), (0, 0, 0, 2)))
    console.print()


def print_pairs(
    console: Console, pairs: Sequence[tuple[str, str]], styles: Mapping[str, str] = {}
) -> None:
    """A line each: a name, and what is said of it, which is not cut. `styles`: of some names."""
    from rich.text import Text

    width = max((len(name) for name, _ in pairs), default=0)
    for name, value in pairs:
        line = Text(visible(f"{name:<{width}}  {value}"), style=styles.get(name, ""))
        console.print(line, soft_wrap=True)


def say(console: Console, text: str, style: str = "") -> None:
    """A paragraph."""
    from rich.text import Text

    console.print(Text(visible(text), style=style))


def print_json(value: object) -> None:
    """One object on one line of standard output, in ASCII without any control character."""
    # the one that JSON leaves as it is
    print(json.dumps(value, default=str).replace("\x7f", "\\u007f"))


def markdown_table(shown: Table) -> str:
    lines = [" | ".join(shown.columns), " | ".join("---" for _ in shown.columns)]
    lines += [" | ".join(markdown_text(value) for value in row) for row in shown.rows]
    return "\n".join(f"| {line} |" for line in lines)


def markdown_text(text: str) -> str:
    """Text of names and data inside Markdown: no cell break, no markup of its own."""
    text = one_line(text)
    for mark in ("\\", "`", "*", "_", "<", ">", "[", "]", "|"):
        text = text.replace(mark, f"\\{mark}")
    return text
