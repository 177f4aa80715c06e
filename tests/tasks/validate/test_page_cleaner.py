"""Cleaning HTML: what is kept, and what cannot get through."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.validate.page_cleaner import clean


@pytest.mark.parametrize(
    ("html", "kept"),
    [
        ("<p class='a' onclick='x()' style='y'>hi</p>", '<p class="a">hi</p>'),
        ("<script>alert(1)</script>after", "after"),
        ("<div><script><b>x</b></script>y</div>", "<div>y</div>"),
        ("<img src='https://x/y.png'>z<link href='//x'>", "z"),
        ("<a href='https://x'>x</a><a href='#s'>s</a>", '<a>x</a><a href="#s">s</a>'),
        ("<a href='javascript:x()'>x</a>", "<a>x</a>"),
        ("<section><b>x</b></section>", "<b>x</b>"),
        ("<div class='m collapse'><p>folded</p></div><p>shown</p>", "<p>shown</p>"),
        ("<a data-toggle='collapse' href='#x'>more</a>.", "."),
        ("<nav><nav>a</nav>b</nav>c", "c"),
        ("<style>p { background: url(x) }</style>d", "d"),
        ("<div><b>open", "<div><b>open</b></div>"),
        ("</div>stray", "stray"),
        ("1 &lt; 2 &amp; &quot;3&quot;", "1 &lt; 2 &amp; &quot;3&quot;"),
        ('<p id="a&quot;b">x</p>', '<p id="a&quot;b">x</p>'),
        ("<!-- a comment -->e<!doctype html>", "e"),
    ],
)
def test_only_harmless_elements_and_attributes_stay(html: str, kept: str) -> None:
    assert clean(html) == kept


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, list[str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, [name for name, _ in attrs]))


_PIECES = st.sampled_from(
    ["<script>", "</script>", "<img src=x onerror=y>", "<", ">", '"', "'", "</", "<b", " onload=",
     "<style>", "</style>", "<nav>", "</nav>", "<div class=collapse>", "</div>", "&lt;script&gt;",
     "<!--", "-->", "<svg/onload=x>", "<a href=//x>", "text"]
)  # fmt: skip


@given(st.lists(_PIECES, max_size=12).map("".join))
def test_no_mixture_of_pieces_leaves_a_dangerous_element(html: str) -> None:
    tags = _Tags()
    tags.feed(clean(html))
    tags.close()
    for tag, names in tags.seen:
        assert tag not in ("script", "img", "style", "link", "svg", "iframe")
        assert set(names) <= {"class", "id", "href"}
