"""How asks are cut into shards: neighbours share a prefix, and the same asks are cut the same way.

Pure: values in, values out.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import asdict
from itertools import accumulate, pairwise

from tasks.backends.base import Ask, ask_text

#: a smaller shard would leave an engine's batch half empty
_LEAST_ASKS = 16
#: of a shard's work: how far a cut may move to keep a shared prefix whole
_CUT_SLACK = 0.2
_LETTERS_A_TOKEN = 4


def shard_name(asks: Sequence[Ask]) -> str:
    """By content: of the same asks, the same."""
    hashed = hashlib.sha256()
    for ask in asks:
        hashed.update(f"{ask_text(ask)}{_drawn(ask)}\n".encode())
    return hashed.hexdigest()[:32]


def cut(asks: Sequence[Ask], num_actors: int, rounds: int) -> list[tuple[int, ...]]:
    """Places of the asks of each shard, about equal in work: `rounds` shards an actor, fewer where
    they would be small, and one an actor where there is as much to ask."""
    texts = [ask_text(ask) for ask in asks]
    drawn = [_drawn(ask) for ask in asks]
    order = sorted(range(len(asks)), key=lambda place: (texts[place], drawn[place]))
    count = max(min(num_actors, len(asks)), min(num_actors * rounds, len(asks) // _LEAST_ASKS))
    if count <= 1:
        return [tuple(order)] if order else []
    done = list(accumulate((_work(asks[place], texts[place]) for place in order), initial=0.0))
    slack = _CUT_SLACK * done[-1] / count

    def shared(number: int) -> int:
        """Letters that the asks on both sides of a cut have in common."""
        one, other = texts[order[number - 1]], texts[order[number]]
        differ = (n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
        return next(differ, min(len(one), len(other)))

    cuts = [0]
    for part in range(1, count):
        target = done[-1] * part / count
        last = len(order) - (count - part)  # so that each that follows has one ask
        first = min(max(bisect_left(done, target - slack), cuts[-1] + 1), last)
        near = range(first, max(min(bisect_right(done, target + slack), last + 1), first + 1))
        cuts.append(min(near, key=lambda k: (shared(k), abs(done[k] - target))))
    return [tuple(order[a:b]) for a, b in pairwise([*cuts, len(order)])]


def _drawn(ask: Ask) -> str:
    """How the answer is, the seed included."""
    drawn = [asdict(ask.sampling), ask.tool_choice, ask.is_single, ask.answer_format]
    return json.dumps(drawn, sort_keys=True, default=str)


def _work(ask: Ask, text: str) -> float:
    """About how many tokens it is."""
    return len(text) / _LETTERS_A_TOKEN + (0 if ask.choices else ask.sampling.max_tokens)
