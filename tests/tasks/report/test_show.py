"""Which samples `flywheel show` and pages have, and what becomes of their texts."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import UsageError
from tasks.model.answer import UNSCORED, Answer, JudgedSample, Outcome
from tasks.model.reading import Group, Reading
from tasks.model.receipt import Receipt
from tasks.model.turn import Turn
from tasks.report import listing, page
from tasks.report.rows import COLUMNS, csv_text, from_cell, to_object, to_rows
from tasks.report.selection import Selection, select
from tasks.run import Run
from tests.tasks.record.stores import read
from tests.tasks.record.turns import HOSTILE


@pytest.fixture
def turn(decided: Run) -> Turn:
    return read(decided)


def _judged(item: JudgedSample, champion: Answer, challenger: Answer) -> JudgedSample:
    return replace(item, answers={"champion": (champion,), "challenger": (challenger,)})


@pytest.mark.parametrize(
    ("champion", "challenger", "outcome", "is_reworded"),
    [
        (Answer(1.0, text="a"), Answer(0.0, text="b"), "lost", False),
        (Answer(0.2, text="a"), Answer(0.4, text="b"), "won", False),
        (Answer(0.0, text="a"), Answer(0.0, text="b"), "both_failed", True),
        (Answer(0.0, text="a"), Answer(is_missing=True, fault="release"), "both_failed", True),
        (Answer(1.0, text="a"), Answer(1.0, text="a"), "same", False),
        (Answer(1.0, text="a"), replace(UNSCORED, text="b"), "unscored", False),
        (UNSCORED, UNSCORED, "unscored", False),
    ],
)
def test_a_sample_is_one_of_five_and_another_text_besides(
    turn: Turn, champion: Answer, challenger: Answer, outcome: Outcome, is_reworded: bool
):
    item = _judged(turn.judged[0], champion, challenger)
    assert (item.outcome, item.is_reworded) == (outcome, is_reworded)


def test_samples_are_selected_by_suite_outcome_and_slice_losses_first(turn: Turn):
    everything = select(turn, Selection())
    assert len(everything) == len(turn.judged) == 40
    lost = select(turn, Selection(outcomes=("lost",)))
    assert everything[: len(lost)] == lost
    assert len(lost) == 10
    both = select(turn, Selection(outcomes=("lost", "unscored"), is_changed=True))
    assert {item.outcome for item in both} == {"lost", "unscored"}
    asked = Selection(suite="orders", outcomes=("lost",), slices=("origin=failure",))
    found = select(turn, asked)
    assert found
    assert {item.sample.suite for item in found} == {"orders"}
    assert select(turn, replace(asked, slices=("origin=failure", "task=orders"))) == found


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (Selection(suite="oders"), "no suite 'oders': did you mean 'orders'?"),
        (Selection(slices=("orign=x",)), "no sample has a slice 'orign': did you mean 'origin'?"),
        (Selection(slices=("origin=failures",)), "did you mean 'failure'?"),
        (Selection(slices=("origin",)), "KEY=VALUE"),
        (Selection(suite="orders", slices=("task=tickets",)), "no sample is in slice"),
    ],
)
def test_what_the_run_does_not_have_is_told_in_a_line(turn: Turn, asked: Selection, told: str):
    with pytest.raises(UsageError, match=re.escape(told)):
        select(turn, asked)


_CELLS = st.text(alphabet=st.sampled_from("=+-@'\"\t\r\n ,;a1\0＝"), max_size=8) | st.text(
    alphabet=st.characters(codec="utf-8"), max_size=20
)


@given(_CELLS)
def test_no_cell_is_a_formula_and_every_cell_comes_back(text: str):
    row = dict.fromkeys(COLUMNS, text)
    heading, cells = list(csv.reader(io.StringIO(csv_text([row]), newline="")))
    assert tuple(heading) == COLUMNS
    assert [from_cell(cell) for cell in cells] == [text] * len(COLUMNS)
    assert not cells[0].lstrip(" \n").startswith(("=", "+", "-", "@", "\t", "\r", "＝"))


def test_a_row_has_all_of_a_sample_and_numbers_stay_numbers(turn: Turn):
    item = select(turn, Selection(outcomes=("lost",)))[0]
    (row,) = to_rows(turn, item)
    assert tuple(row) == COLUMNS
    (cells,) = csv.DictReader(io.StringIO(csv_text([row]), newline=""))
    assert float(cells["difference"]) == -1.0
    assert cells["must_pass"] in ("true", "false")
    assert cells["champion_text"] == item.answers["champion"][0].text
    assert json.loads(cells["slices"]) == dict(item.sample.slices)
    told = to_object(turn, item)
    assert told["challenger"]["answers"][0]["score"] == 0.0
    assert json.loads(json.dumps(told)) == told
    lost = next(item for item in turn.judged if item.answers["challenger"][0].text is None)
    (row,) = to_rows(turn, lost)
    assert row["challenger_error"] == "the prompt is longer than the context"


def test_repeats_are_a_row_each(turn: Turn):
    item = turn.judged[0]
    twice = replace(item, answers={role: given * 2 for role, given in item.answers.items()})
    assert [row["repeat"] for row in to_rows(turn, twice)] == [1, 2]


def test_page_has_all_samples_and_says_what_is_left_out_of_it(
    turn: Turn, monkeypatch: pytest.MonkeyPatch
):
    html = page.render(turn, None)
    assert html.count('<details class="sample"') == 40
    assert len(set(html.split('id="s-')[1:])) == 40
    assert "are left out" not in html
    for said in ("10 lost, 0 won, 1 scored on one side only", "On 0 both releases failed",
                 'data-outcome="unscored"', "<del>shipping</del>",
                 "<ins>I cannot say"):  # fmt: skip
        assert said in html, said
    monkeypatch.setattr(listing, "MAX_SAMPLES", 30)
    html = page.render(turn, None)
    assert html.count('<details class="sample"') == 30
    assert "10 of 40 samples are left out of this page" in html
    assert f"flywheel show {turn.run_id} --csv" in html
    monkeypatch.setattr(listing, "MAX_CHARS", 600)
    assert 0 < page.render(turn, None).count('<details class="sample"') < 30


def test_page_of_selected_samples_escapes_them_and_counts_what_is_not_shown(turn: Turn):
    item = next(item for item in turn.judged if HOSTILE in str(item.sample.messages))
    html = page.render_answers(turn, [item], 7)
    assert html.count('<details class="sample"') == 1
    assert html.count("<script") == 1
    assert "1 of 7 samples" in html
    assert "&lt;script&gt;" in html
    assert "No samples." in page.render_answers(turn, [], 0)


def test_both_pages_tell_that_the_history_was_read_in_part(turn: Turn):
    reading = Reading(2_000, 290, (Group("unjudged", "route", 2_000, 290, 0.15),)).to_json()
    told = "290 of 2,000 calls of the history were read"
    for one, expected in (
        (turn, False),
        (replace(turn, receipts=(Receipt("curate", "d", 1, 1, notes={"reading": reading}),)), True),
        # of a set that another run curated
        (
            replace(turn, receipts=(), eval_set=replace(turn.eval_set, rule={"reading": reading})),
            True,
        ),
    ):
        assert (told in page.render(one, None)) is expected
        assert (told in page.render_answers(one, one.judged[:1], 1)) is expected
