from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from tasks.model.visible import one_line, visible

#: what Unicode says of the characters that change the order of reading
_TURNING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def test_escapes_and_overrides_are_shown():
    assert visible("a\x1b[31mb\x9b2J\x7f\x07") == "a\\x1b[31mb\\x9b2J\\x7f\\x07"
    assert visible("gnp.\u202etxt") == "gnp.\\u202etxt"
    assert visible("r\udcffn") == "r\\udcffn"
    assert visible("naïve 👩‍👩‍👧 \t\n日本 [red]") == "naïve 👩‍👩‍👧 \t\n日本 [red]"


def test_one_line_has_no_line_ends_of_any_kind():
    assert one_line(" a\r\nb\x85c\u2028d\x0be ") == "a\\x0d b\\x85c\\u2028d\\x0be"


@given(st.text(st.characters(exclude_categories=())))
def test_nothing_that_is_obeyed_is_left(text: str):
    shown = visible(text)
    shown.encode()
    left = {c for c in shown if unicodedata.category(c) == "Cc" and c not in "\n\t"}
    assert not left
    assert not {c for c in shown if unicodedata.bidirectional(c) in _TURNING}
    assert visible(shown) == shown
