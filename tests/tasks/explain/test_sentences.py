from __future__ import annotations

from tasks.explain.sentences import sentences
from tasks.model.comparison import Interval
from tasks.model.explanation import Amount, Interaction, Part


def amount(value: float, half: float) -> Amount:
    return Amount(value, Interval(value - half, value + half))


def part(name: str, value: float, half: float, share: float | None) -> Part:
    return Part(name, "old", "new", amount(value, half), share)


def test_the_largest_part_comes_first_and_what_is_not_certain_says_so() -> None:
    parts = [part("model", -0.02, 0.01, 0.15), part("prompt", -0.111, 0.02, 0.85),
             part("engine", 0.0, 0.02, 0.0)]  # fmt: skip
    assert sentences(parts, [], amount(-0.131, 0.03)) == (
        "prompt makes −11.1 of the −13.1 points (85%)",
        "model makes −2.0 of the −13.1 points (15%)",
        "of engine it is not certain that it makes any",
        "of no two parts is it certain that they do together what they do not do alone",
    )


def test_two_parts_that_act_only_together_are_told_from_two_that_do_the_same() -> None:
    parts = [part("model", -0.065, 0.02, 0.5), part("prompt", -0.065, 0.02, 0.5)]
    whole = amount(-0.131, 0.03)
    both = ("model", "prompt")
    assert sentences(parts, [Interaction(both, amount(-0.12, 0.02))], whole)[-1] == (
        "model and prompt only together: −12.0 points (−14.0 to −10.0) of the −13.1"
    )
    assert sentences(parts, [Interaction(both, amount(0.12, 0.02))], whole)[-1] == (
        "model and prompt overlap: together +12.0 points (+10.0 to +14.0) against the sum of what "
        "each makes alone"
    )
    unsure = sentences(parts, [Interaction(both, amount(-0.12, 0.13))], whole)[-1]
    assert "of no two parts is it certain" in unsure


def test_parts_of_a_difference_of_nothing_have_no_share() -> None:
    parts = [part("model", -0.05, 0.02, None), part("prompt", 0.05, 0.02, None)]
    assert sentences(parts, [], amount(0.0, 0.03))[:2] == (
        "model makes −5.0 points", "prompt makes +5.0 points",
    )  # fmt: skip
