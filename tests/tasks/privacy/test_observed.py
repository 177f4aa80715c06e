"""Showing a bad value: short, on one line, masked before it is cut."""

from __future__ import annotations

from tasks.privacy.observed import MAX_SHOWN_CHARS, shown


def same(text: str) -> str:
    return text


def test_one_column_shows_its_value_and_several_their_names() -> None:
    assert shown(["model"], ["m"], same) == "m"
    assert shown(["a", "b"], ["1", None], same) == "a=1, b=NULL"


def test_nothing_and_blanks_are_told_apart() -> None:
    assert shown(["model"], [None], same) == "NULL"
    assert shown(["model"], [" \n\t"], same) == "(blank)"


def test_lines_become_one() -> None:
    assert shown(["model"], ["a\n  b\tc"], same) == "a b c"


def test_a_secret_across_the_cut_is_masked_whole() -> None:
    secret = "s" * 50
    text = "x" * (MAX_SHOWN_CHARS - 25) + secret
    assert "ss" not in shown(["model"], [text], lambda value: value.replace(secret, "[SECRET]"))


def test_a_long_value_says_how_long_it_was() -> None:
    text = shown(["model"], ["x" * 500], same)
    assert text == "x" * (MAX_SHOWN_CHARS - 1) + "… (500 characters)"


def test_a_column_whose_values_leave_the_store_hashed_or_not_at_all_is_not_shown() -> None:
    assert shown(["a", "b"], ["1", "2"], same, {"b"}) == "a=1, b=(not shown)"
    assert shown(["a"], [None], same, {"a"}) == "NULL"
