"""Many calls masked by workers at once: finding is work for the processor alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa

from tasks.redact.masks import Masked, Masks
from tasks.workers.work import Work


def mask_all(tables: Iterable[pa.Table], masks: Masks, work: Work) -> Iterator[Masked]:
    """Every table, in order, by workers that have the masks. What they leave is masked here, where
    what they died of is met again and told."""
    is_masked = False
    for told in work.through(tables):
        for masked in told.answers:
            is_masked = True
            yield masked
        if told.is_last:
            if not is_masked:
                yield masks.mask(told.item)
            is_masked = False
