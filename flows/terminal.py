"""Where tables are printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

#: in a pipe or a CI log there is no terminal to fit
_PIPED_WIDTH = 160


def console() -> Console:
    """Standard output, without colours of its own making."""
    from rich.console import Console

    terminal = Console(highlight=False)
    if not terminal.is_terminal:
        terminal.width = _PIPED_WIDTH
    return terminal
