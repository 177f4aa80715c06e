"""Python's garbage collection: seldom, and paused where many objects are made that all stay."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

#: objects made before circles among them are looked for, and how often older ones are looked at
_SELDOM = (200_000, 30, 30)


def collect_seldom() -> None:
    """For a process of ours, from now on: a stage makes millions of values that are in no circle,
    and Python's own thresholds took a quarter of its time for them."""
    gc.set_threshold(*_SELDOM)


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
