"""Python's garbage collection, paused where many objects are made that all stay."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collecting() -> Iterator[None]:
    """Within, or in a function that it decorates, nobody looks for objects that only hold each
    other: again and again through all that were made, which takes up to a fifth of the time. Not
    for what may go on for long, such as an engine at work."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
