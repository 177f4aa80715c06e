"""Many calls masked by several processes at once: finding is work for the processor alone."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from queue import SimpleQueue

import pyarrow as pa

from tasks.on_ray.work import Work
from tasks.processes import OtherProcess, in_order
from tasks.redact.masks import Masked, Masks


def mask_all(tables: Iterable[pa.Table], masks: Masks, count: int) -> Iterator[Masked]:
    """Every table, in order. What a process dies of is met here again, and told by whoever asks."""
    idle: SimpleQueue[OtherProcess] = SimpleQueue()
    here = threading.Lock()
    with ExitStack() as stack:
        for _ in range(count):
            other = OtherProcess("tasks.redact.worker")
            stack.callback(other.end)
            with suppress(OSError):
                other.say(masks)
            idle.put(other)

        def mask(table: pa.Table) -> Masked:
            other = idle.get()
            try:
                other.say(table)
                masked: Masked = other.hear()
            except (EOFError, OSError):
                with here:
                    return masks.mask(table)
            finally:
                idle.put(other)
            return masked

        yield from in_order(mask, tables, count)


def mask_elsewhere(tables: Iterable[pa.Table], masks: Masks, work: Work) -> Iterator[Masked]:
    """Every table, in order, by workers that have the masks. What they die of is met here again."""
    is_masked = False
    for told in work.through(tables):
        for masked in told.answers:
            is_masked = True
            yield masked
        if told.is_last:
            if not is_masked:
                yield masks.mask(told.item)
            is_masked = False
