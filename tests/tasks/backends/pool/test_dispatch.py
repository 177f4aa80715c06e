from __future__ import annotations

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from tasks.backends.pool.dispatch import MAX_DEATHS_IN_A_ROW, Dispatch, Shard


def _row(dispatch: Dispatch, actor: int) -> list[tuple[int, ...]]:
    """What an actor answers that is alone at work."""
    taken = []
    while (shard := dispatch.take(actor)) is not None:
        taken.append(shard.places)
        dispatch.finished()
    return taken


def test_an_actor_has_neighbours_and_then_helps_from_the_far_end() -> None:
    shards = [(n,) for n in range(6)]
    assert _row(Dispatch(shards, 2), 0) == [(0,), (1,), (2,), (5,), (4,), (3,)]
    assert _row(Dispatch(shards, 2), 1) == [(3,), (4,), (5,), (2,), (1,), (0,)]


def test_a_shard_is_given_out_again_and_then_in_halves() -> None:
    dispatch = Dispatch([(0, 1, 2)], 1)
    shard = dispatch.take(0)
    assert shard is not None
    assert dispatch.died(shard) == ()
    again = dispatch.take(0)
    assert again == Shard((0, 1, 2), 1)
    assert dispatch.died(again) == ()
    halves = [dispatch.take(0), dispatch.take(0)]
    assert [half and half.places for half in halves] == [(0,), (1, 2)]
    assert not dispatch.is_done


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=12),
    st.integers(1, 4),
    st.sets(st.integers(0, 60), max_size=3),
    st.lists(st.integers(0, 200), max_size=40),
)
def test_whatever_dies_every_ask_is_answered_once_or_given_up(
    sizes: list[int], num_actors: int, deadly: set[int], dies_at: list[int]
) -> None:
    """`deadly`: asks that kill their actor each time; `dies_at`: shards in the course of which an
    actor dies for another reason."""
    places = iter(range(sum(sizes)))
    shards = [tuple(next(places) for _ in range(size)) for size in sizes]
    dispatch = Dispatch(shards, num_actors)
    answered: list[int] = []
    given_up: list[int] = []
    free = deque(range(num_actors))
    num_taken = 0
    while not dispatch.is_done:
        free.rotate(1)
        shard = dispatch.take(free[0])
        assert shard is not None
        num_taken += 1
        if deadly & set(shard.places) or num_taken in dies_at:
            given_up += dispatch.died(shard)
        else:
            dispatch.finished()
            answered += shard.places
        assert num_taken < 500
    assert sorted(answered + given_up) == list(range(sum(sizes)))
    assert deadly & set(answered) == set()
    if not dies_at:
        assert set(given_up) == deadly & set(range(sum(sizes)))
    assert dispatch.take(0) is None


def test_one_ask_that_kills_is_not_taken_for_a_pool_that_cannot_answer() -> None:
    """The largest shard there may be, and the worst order: all deaths in a row."""
    dispatch = Dispatch([tuple(range(1000))], 1)
    most = 0
    while not dispatch.is_done:
        shard = dispatch.take(0)
        assert shard is not None
        if 999 in shard.places:
            dispatch.died(shard)
        else:
            dispatch.finished()
        most = max(most, dispatch.num_deaths_in_a_row)
    assert most <= MAX_DEATHS_IN_A_ROW
