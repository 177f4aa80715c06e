"""What of accessibility can be told from a page's source (WCAG 2.2, AA)."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from tasks.report import index, page, plot
from tasks.run import Run
from tasks.store.control.history import read_history
from tests.tasks.record.stores import read

_VOID = {"meta", "br", "input", "link", "img", "hr"}
_SOFT = ("good", "bad", "warn")


class _Outline(HTMLParser):
    """Headings in order, texts of cells of headings, elements that scroll, ids and labels."""

    def __init__(self) -> None:
        super().__init__()
        self.headings: list[int] = []
        self.heads: list[str] = []
        self.scrolling: list[dict[str, str | None]] = []
        self.ids: list[str] = []
        self.unlabelled: list[str] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "th":
            self.heads.append("")
        if "scroll" in (given.get("class") or "").split():
            self.scrolling.append(given)
        if given.get("id"):
            self.ids.append(str(given["id"]))
        if tag in ("input", "select") and "label" not in self._open:
            self.unlabelled.append(str(given))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            while self._open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if "th" in self._open:
            self.heads[-1] += data


@pytest.fixture
def html(decided: Run) -> str:
    turn = read(decided)
    return page.render(turn, plot.draw(turn))


@pytest.fixture(params=["report", "answers", "index"])
def outline(decided: Run, html: str, request: pytest.FixtureRequest) -> _Outline:
    turn = read(decided)
    with decided.open_store(read_only=True) as store:
        runs = index.render(read_history(store, 10), {decided.run_id})
    pages = {
        "report": html,
        "answers": page.render_answers(turn, turn.judged, 40),
        "index": runs,
    }
    parsed = _Outline()
    parsed.feed(pages[request.param])
    return parsed


def test_headings_are_in_order_and_none_is_left_out(outline: _Outline):
    assert outline.headings[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(outline.headings))


def test_every_column_is_named_and_every_field_labelled(outline: _Outline):
    assert all(text.strip() for text in outline.heads)
    assert outline.unlabelled == []


def test_what_scrolls_is_named_and_can_be_reached_by_key(outline: _Outline):
    for given in outline.scrolling:
        assert (given.get("tabindex"), given.get("role")) == ("0", "region")
        assert given.get("aria-label")
    names = [given["aria-label"] for given in outline.scrolling]
    assert len(names) == len(set(names))


def test_no_id_is_there_twice(outline: _Outline):
    assert len(outline.ids) == len(set(outline.ids))


@pytest.mark.parametrize("outline", ["report", "answers"], indirect=True)
def test_the_script_finds_every_element_it_names(outline: _Outline, html: str):
    script = html[html.index("<script>") : html.index("</script>")]
    named = set(re.findall(r'(?:field|value|getElementById)\("([a-z]+)"\)', script))
    assert {"search", "outcome", "suite", "slice", "order", "status", "samples"} <= named
    assert named <= set(outline.ids)


def test_no_column_is_cut_off_on_paper(html: str):
    printed = html[html.index("@media print") : html.index("</style>")]
    for widths in re.findall(
        r"([.\w-]+) \{[^}]*min-width:(?!0)", html[: html.index("@media print")]
    ):
        assert re.search(rf"{re.escape(widths)}[^}}]*\{{ min-width:0", printed), widths
    assert ".scroll { overflow:visible; }" in printed


def _luminance(colour: str) -> float:
    """Relative luminance of #rgb or #rrggbb, as WCAG defines it."""
    digits = colour.lstrip("#")
    digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_what_it_stands_on(html: str, scheme: str):
    blocks = re.findall(r":root \{([^}]*)\}", html)
    light, dark = (dict(re.findall(r"--([a-z-]+):(#[0-9a-f]{3,6})", block)) for block in blocks[:2])
    colours = {"light": light, "dark": {**light, **dark}}[scheme]
    pairs = [(ink, ground) for ink in ("ink", "dim", "good", "bad", "warn", "accent")
             for ground in ("card", "paper", "soft")]  # fmt: skip
    pairs += [(name, f"{name}-soft") for name in _SOFT]
    pairs += [("ink", f"{name}-soft") for name in _SOFT]
    low = {
        pair: round(_contrast(*(colours[name] for name in pair)), 2)
        for pair in pairs
        if _contrast(*(colours[name] for name in pair)) < 4.5
    }
    assert low == {}
    assert _contrast(colours["edge"], colours["card"]) >= 3  # edges of what can be used


def test_contrast_is_computed_as_its_definition_has_it():
    assert _contrast("#000", "#ffffff") == pytest.approx(21)
    assert _contrast("#767676", "#fff") == pytest.approx(4.54, abs=0.01)  # of WebAIM's checker
