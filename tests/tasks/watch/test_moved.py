from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from tasks.watch.moved import MAX_MOVED, moved_numbers, moved_values


def test_values_whose_share_changed_most_come_first_and_unchanged_ones_not():
    found = moved_values(Counter(a=90, b=10), Counter(a=20, b=5, c=25))
    assert [(one.value, one.old_share, one.new_share) for one in found] == [
        ("a", 0.9, 0.4), ("c", 0.0, 0.5),
    ]  # fmt: skip
    many = moved_values(Counter({str(n): n for n in range(1, 50)}), Counter(x=1))
    assert len(many) == MAX_MOVED
    assert (many[0].value, many[0].new_share) == ("x", 1.0)


def test_numbers_move_between_the_quartiles_they_had():
    before = np.arange(1.0, 101.0)
    after = np.concatenate([before[:50] + 60, np.full(50, np.nan)])
    found = {one.value: (one.old_share, one.new_share) for one in moved_numbers(before, after, "-")}
    assert found["-"] == (0.0, 0.5)
    assert found["up to 25.75"] == (0.25, 0.0)
    assert sum(new for _, new in found.values()) == pytest.approx(1.0)


@pytest.mark.parametrize("constant", [0.0, np.nan])
def test_one_value_before_is_no_error(constant: float):
    found = moved_numbers(np.full(9, constant), np.array([1.0, 2.0, 0.0]), "(none)")
    assert found[0].new_share != found[0].old_share
