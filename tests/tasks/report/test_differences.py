from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from tasks.report.differences import MAX_WORDS, word_difference

_TEXTS = st.text(alphabet=st.sampled_from("ab .,\n \tü失敗ก"), max_size=40)


def _others(old: str, new: str) -> tuple[list[str], list[str]]:
    before, after = word_difference(old, new)
    return [p.text for p in before if p.is_other], [p.text for p in after if p.is_other]


@given(_TEXTS | st.text(max_size=40), _TEXTS)
def test_pieces_joined_are_the_texts_and_what_is_alike_is_alike(old: str, new: str):
    before, after = word_difference(old, new)
    assert "".join(piece.text for piece in before) == old
    assert "".join(piece.text for piece in after) == new
    same = ["".join(p.text for p in pieces if not p.is_other) for pieces in (before, after)]
    assert "".join(same[0].split()) == "".join(same[1].split())
    assert not any(not piece.text for piece in (*before, *after))
    assert (old == new) == (not any(piece.is_other for piece in (*before, *after)))


def test_words_marks_and_characters_of_scripts_without_blanks_are_told_apart():
    assert _others("the cat sat.", "the dog sat!") == (["cat ", "."], ["dog ", "!"])
    assert _others("配送部門です", "請求部門です") == (["配送"], ["請求"])
    assert _others('{"order": "FW-1"}', '{"call": "FW-1"}') == (["order"], ["call"])
    assert _others("", "all new") == ([], ["all new"])
    assert _others("a  b", "a b") == (["a  "], ["a "])


def test_texts_too_long_to_compare_differ_as_a_whole_and_cost_no_time():
    old = " ".join(f"{n} x" for n in range(MAX_WORDS))
    new = " ".join(f"y {n * 7 % MAX_WORDS}" for n in range(MAX_WORDS))
    started = time.process_time()
    before, after = word_difference(f"same {old} end", f"same {new} end")
    assert time.process_time() - started < 2
    assert [piece.is_other for piece in before] == [False, True, False]
    assert after[-1].text.strip() == "end"
