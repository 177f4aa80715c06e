"""Answers come back whole and in order, whoever dies meanwhile."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tasks.workers.trouble import Trouble
from tasks.workers.turns import MAX_DEATHS, MAX_DEATHS_IN_A_ROW, Portion, Turns

_WAIT_S = 20.0


def _worker(turns: Turns, answers: list[list[bytes]], dies: float, seed: int) -> None:
    """Each answer is a portion; dies before some of them."""
    draw = random.Random(seed)
    while (turn := turns.take()) is not None:
        assert turn.item == b"%d" % turn.number
        mine = answers[turn.number]
        places = range(turn.skip, max(len(mine), turn.skip + 1))
        for place in places:
            if draw.random() < dies:
                turns.died(turn, "it was killed")
                break
            some = mine[place : place + 1]
            portion = Portion(b"".join(some), len(some), is_last=place + 1 >= len(mine))
            if not turns.put(turn, portion):
                break


def _taken(turns: Turns, num_items: int, ahead: int) -> tuple[list[list[bytes]], set[int]]:
    """What was handed back of each item, and which were given up; a few are given ahead."""
    taken: list[list[bytes]] = [[] for _ in range(num_items)]
    given_up: set[int] = set()
    num_given = 0
    for number in range(num_items):
        while num_given < min(num_items, number + ahead):
            turns.give(b"%d" % num_given)
            num_given += 1
        while True:
            portion = turns.next(_WAIT_S)
            assert isinstance(portion, Portion), portion
            taken[number] += [portion.data] if portion.num_answers else []
            if portion.is_given_up:
                given_up.add(number)
            if portion.is_last:
                break
    return taken, given_up


@given(
    sizes=st.lists(st.lists(st.integers(1, 30), max_size=6), min_size=1, max_size=12),
    num_workers=st.integers(1, 4),
    max_bytes=st.integers(0, 60),
    dies=st.sampled_from([0.0, 0.1, 0.3]),
    seed=st.integers(0, 9),
)
def test_every_item_is_answered_whole_or_given_up_behind_what_was_told(
    sizes: list[list[int]], num_workers: int, max_bytes: int, dies: float, seed: int
) -> None:
    answers = [[bytes([n]) * size for n, size in enumerate(item)] for item in sizes]
    turns = Turns(num_workers, max_bytes)
    threads = [
        threading.Thread(target=_worker, args=(turns, answers, dies, seed * 10 + n), daemon=True)
        for n in range(num_workers)
    ]
    for thread in threads:
        thread.start()
    taken, given_up = _taken(turns, len(answers), ahead=2 * num_workers + 1)
    turns.end()
    for thread in threads:
        thread.join(_WAIT_S)
    assert not any(thread.is_alive() for thread in threads)
    for number, mine in enumerate(answers):
        assert taken[number] == (mine[: len(taken[number])] if number in given_up else mine)
    assert dies or not given_up


def test_an_item_is_given_up_at_its_third_death_and_the_next_goes_on() -> None:
    turns = Turns(1, 100)
    for item in (b"deadly", b"mild"):
        turns.give(item)
    for death in range(MAX_DEATHS):
        turn = turns.take()
        assert turn is not None
        assert (turn.item, turn.skip) == (b"deadly", min(death, 1))
        if not death:
            assert turns.put(turn, Portion(b"x", 1, is_last=False))
        turns.died(turn, "")
    last = turns.take()
    assert last is not None
    assert last.item == b"mild"
    turns.put(last, Portion(b"y", 1, is_last=True))
    told = [turns.next(0) for _ in range(3)]
    assert [(each.data, each.is_last, each.is_given_up) for each in told] == [
        (b"x", False, False), (b"", True, True), (b"y", True, False),
    ]  # fmt: skip


def test_who_is_far_ahead_waits_and_leaves_for_what_is_needed_before() -> None:
    turns = Turns(2, 10)
    for item in (b"first", b"second"):
        turns.give(item)
    first, second = turns.take(), turns.take()
    went_on: list[bool] = []
    waits = threading.Thread(
        target=lambda: went_on.append(turns.put(second, Portion(b"x" * 50, 1, is_last=False)))
    )
    waits.start()
    time.sleep(0.2)
    assert waits.is_alive()  # there is no room
    turns.died(first, "")  # and nobody else who could do the first
    waits.join(_WAIT_S)
    assert went_on == [False]
    again = turns.take()
    assert again.item == b"first"
    turns.put(again, Portion(b"1", 1, is_last=True))
    later = turns.take()
    assert (later.item, later.skip) == (b"second", 1)
    turns.put(later, Portion(b"2", 1, is_last=True))
    assert [turns.next(0).data for _ in range(3)] == [b"1", b"x" * 50, b"2"]


def test_where_everybody_dies_it_ends_with_the_reason() -> None:
    turns = Turns(2, 100)
    for number in range(20):
        turns.give(b"%d" % number)
    met: Counter[bytes] = Counter()
    while (turn := turns.take()) is not None:
        met[turn.item] += 1
        turns.died(turn, "no memory")
    assert met.total() == MAX_DEATHS_IN_A_ROW + 1
    told = [turns.next(0) for _ in range(6)]
    assert [each.is_given_up for each in told[:4]] == [True] * 4
    assert isinstance(told[4], Trouble)
    assert "13 times in a row: no memory" in told[4].what


def test_where_no_worker_comes_back_it_ends() -> None:
    turns = Turns(2, 100)
    turns.give(b"1")
    turns.lost()
    assert turns.next(0) is None
    turns.lost()
    assert isinstance(turns.next(0), Trouble)
    assert turns.take() is None
