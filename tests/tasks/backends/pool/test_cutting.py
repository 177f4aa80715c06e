from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from engine import SamplingParams
from tasks.backends.base import Ask
from tasks.backends.pool.cutting import cut, shard_name


def ask(text: str, seed: int = 0, *, system: str = "", max_tokens: int = 4) -> Ask:
    messages = ({"role": "system", "content": system}, {"role": "user", "content": text})
    return Ask(messages, SamplingParams(max_tokens=max_tokens, seed=seed))


@given(
    st.lists(st.tuples(st.text("ab", max_size=6), st.integers(0, 3)), max_size=90),
    st.integers(1, 5),
    st.integers(1, 4),
)
def test_every_ask_is_in_one_shard(
    asked: list[tuple[str, int]], num_actors: int, rounds: int
) -> None:
    asks = [ask(text, seed) for text, seed in asked]
    shards = cut(asks, num_actors, rounds)
    assert sorted(place for shard in shards for place in shard) == list(range(len(asks)))
    assert all(shards)
    assert len(shards) <= max(num_actors * rounds, 1)
    assert len(shards) >= min(num_actors, len(asks))


def test_the_same_asks_are_cut_the_same_way_in_whatever_order_they_come() -> None:
    asks = [ask(f"question {n}", system=f"system {n % 7}") for n in range(100)]
    mixed = random.Random(1).sample(asks, len(asks))
    shards = [[[row[p] for p in shard] for shard in cut(row, 3, 2)] for row in (asks, mixed)]
    assert shards[0] == shards[1]
    assert len({shard_name(shard) for shard in shards[0]}) == 6
    assert [shard_name(s) for s in shards[0]] == [shard_name(s) for s in shards[1]]


def test_a_cut_falls_between_prompts_that_share_little() -> None:
    """70 under one system prompt and 50 under another: the cut is there, not in the middle."""
    asks = [ask(f"question {n}", system="x" * 900 if n < 70 else "y" * 900) for n in range(120)]
    first, second = cut(asks, 2, 1)
    assert {len(first), len(second)} == {70, 50}


def test_shards_are_equal_in_work_and_not_in_number() -> None:
    asks = [ask(f"{n:03d}", max_tokens=1000 if n < 20 else 10) for n in range(120)]
    first, second = cut(asks, 2, 1)
    assert len(first) < 15
    assert len(second) > 105


def test_few_asks_are_one_shard_an_actor() -> None:
    assert len(cut([ask(str(n)) for n in range(40)], 2, 4)) == 2
    assert len(cut([ask("a")], 2, 4)) == 1
    assert cut([], 2, 4) == []
