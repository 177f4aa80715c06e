"""What cannot be read, kept as bytes with the reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tasks.logs.shapes.json_text import dump_bytes
from tasks.logs.shapes.records import Dead, Json, UnreadableError

T = TypeVar("T")


def dead(item: Json, reason: object) -> Dead:
    return Dead(str(reason), dump_bytes(item))


def or_dead(item: Json, read: Callable[..., T], *parts: object) -> T | Dead:
    """What `read` makes of the parts; where they are unreadable, the item as a dead letter."""
    try:
        return read(*parts)
    except UnreadableError as error:
        return dead(item, error)
