"""The counter of work finds what `re` finds, sees a quadratic, and leaves no trace."""

from __future__ import annotations

import re
import sys

import pytest

import tasks.privacy.masking
from tests.work import Work, _Counting, assert_linear, counting


@pytest.mark.parametrize(
    ("pattern", "piece", "is_linear"),
    [
        ("a+b", "a", False), ("a++b", "a", False), (r"(?<!a)a+b", "a", True),
        (r"(?<!a)(a|aa)+?b", "aa", False), (r"(?>a+)(?=c)", "ca", True), (r"(a)\1", "ab", True),
        (r"(?<!a)a*a*$", "a", True), (r"(?<!a)a*a*b", "a", False),
    ],
)  # fmt: skip
def test_an_expression_of_quadratic_work_is_seen(pattern: str, piece: str, is_linear: bool):
    work = Work()
    expression = _Counting(re.compile(pattern), work)

    def measure(size: int) -> int:
        return work.of(lambda: list(expression.finditer(piece * min(size, 40))))

    if is_linear:
        assert_linear(measure, 20)
    else:
        with pytest.raises(AssertionError, match="for twice as much"):
            assert_linear(measure, 20 if "|" not in pattern else 5)


def test_a_loop_in_a_loop_is_seen():
    def pairs(size: int) -> None:
        for _ in range(size):
            for number in range(size):
                abs(number)

    with pytest.raises(AssertionError, match="for twice as much"):
        assert_linear(lambda n: Work().of(lambda: pairs(n)), 20)


@pytest.mark.parametrize("with_package", [True, False])
def test_afterwards_the_module_is_the_old_one(with_package: bool):
    before = tasks.privacy, tasks.privacy.masking
    with pytest.MonkeyPatch.context() as patch:
        name = "tasks.privacy.masking"
        assert counting(patch, Work(), name, with_package=with_package) is not before[1]
    assert before == (tasks.privacy, tasks.privacy.masking)
    assert sys.modules["tasks.privacy.masking"] is before[1]
