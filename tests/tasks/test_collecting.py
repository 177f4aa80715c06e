from __future__ import annotations

import gc

import pytest

from tasks.collecting import without_collecting


def test_nothing_is_collected_within_and_all_is_as_before_after_it() -> None:
    with without_collecting():
        with without_collecting():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_a_function_that_fails_leaves_it_as_it_was() -> None:
    @without_collecting()
    def failing() -> None:
        assert not gc.isenabled()
        raise ValueError("failed")

    with pytest.raises(ValueError, match="failed"):
        failing()
    assert gc.isenabled()
