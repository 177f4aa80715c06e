"""What other scorers gave, wherever answers and verdicts are shown."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from flows.samples import print_sample
from tasks.model.answer import AlsoScored
from tasks.model.turn import Turn
from tasks.model.verdict import AlsoMeasured
from tasks.report import page
from tasks.report.also import also_told
from tasks.report.rows import COLUMNS, csv_text, to_object, to_rows
from tasks.run import Run
from tasks.tracking.values import parent_metrics
from tests.tasks.record.stores import read
from tests.tasks.record.turns import HOSTILE

SCORER = "length@1(at_most=3)"
MEASURED = AlsoMeasured(
    metric="length(at_most=3)",
    scorer=SCORER,
    num_samples=13,
    champion=0.5,
    challenger=0.25,
    difference=-0.25,
    ci_low=-0.4,
    ci_high=-0.1,
    num_unknown_champion=0,
    num_unknown_challenger=2,
    method="paired",
)


@pytest.fixture
def turn(decided: Run) -> Turn:
    """Its first suite has two more scorers, the second of which knows nothing."""
    turn = read(decided)
    silent = replace(
        MEASURED, metric=HOSTILE, scorer="x@1", challenger=None, difference=None,
        ci_low=None, ci_high=None, num_unknown_challenger=13,
    )  # fmt: skip
    suite, *others = turn.verdict.suites
    verdict = replace(turn.verdict, suites=(replace(suite, also=(MEASURED, silent)), *others))
    also = (
        AlsoScored(SCORER, 0.25, explanation=f"4 words {HOSTILE}"),
        AlsoScored("x@1", unscored_reason="it broke", fault="judge"),
    )
    judged = tuple(
        replace(
            item,
            answers={
                role: tuple(
                    answer if answer.is_missing else replace(answer, also=also) for answer in given
                )
                for role, given in item.answers.items()
            },
        )
        if item.sample.suite == suite.rule.name
        else item
        for item in turn.judged
    )
    return replace(turn, verdicts={"challenger": verdict}, judged=judged)


def test_the_report_has_a_table_of_them_and_every_answer_tells_them(turn: Turn) -> None:
    html = page.render(turn, None)
    assert html.count("Other scorers of the same answers</h2>") == 1
    assert "<code>length(at_most=3)</code>" in html
    assert "−25.0</strong>" in html
    assert "−40.0 to −10.0" in html
    assert "not scored 0 / 13" in html
    assert html.count("also length@1(at_most=3): 25.0%, 4 words") == sum(
        bool(given[0].also) for item in turn.judged for given in item.answers.values()
    )
    assert "also x@1: not scored: it broke" in html
    assert html.count("<script") == 1
    assert "Other scorers" not in page.render(turn.pair("challenger"), None).replace(
        "Other scorers of the same answers", ""
    )


def test_a_page_of_a_run_without_them_does_not_speak_of_them(decided: Run) -> None:
    assert "Other scorers" not in page.render(read(decided), None)


def test_rows_have_a_column_for_each_and_only_where_there_is_one(turn: Turn) -> None:
    rows = [row for item in turn.judged for row in to_rows(turn, item)]
    heading, *cells = csv.reader(io.StringIO(csv_text(rows), newline=""))
    assert tuple(heading[: len(COLUMNS)]) == COLUMNS
    more = heading[len(COLUMNS) :]
    assert sorted(more) == sorted(
        f"{role}_also_{name}" for role in ("champion", "challenger") for name in (SCORER, "x@1")
    )
    assert {len(row) for row in cells} == {len(heading)}
    place, suite = heading.index(f"champion_also_{SCORER}"), heading.index("suite")
    assert {(row[suite], row[place]) for row in cells} == {
        ("tickets", "0.25"), ("orders", ""), ("logged", ""),
    }  # fmt: skip
    item = next(item for item in turn.judged if item.answers["champion"][0].also)
    told = json.loads(json.dumps(to_object(turn, item)))
    first, second = told["champion"]["answers"][0]["also"]
    assert (first["scorer"], first["value"]) == (SCORER, 0.25)
    assert (second["value"], second["unscored_reason"]) == (None, "it broke")


def test_a_terminal_tells_them_of_a_suite_and_of_an_answer(turn: Turn) -> None:
    told, silent = also_told(turn.verdict.suites)
    assert told == (
        "tickets by length(at_most=3): champion 50.0%, challenger 25.0%, difference −25.0 points "
        "[−40.0 to −10.0], 2 answers not scored"
    )
    assert silent.endswith("champion 50.0%, challenger –, 13 answers not scored")
    written = io.StringIO()
    item = next(item for item in turn.judged if item.answers["champion"][0].also)
    print_sample(Console(file=written, width=300), item, "1 of 1")
    assert "also length@1(at_most=3): 25.0%, 4 words" in written.getvalue()
    assert "also x@1: not scored: it broke" in written.getvalue()


def test_mlflow_gets_their_numbers(turn: Turn) -> None:
    metrics = parent_metrics(turn)
    named = "tickets.also.length_at_most_3_"
    assert metrics.defined[f"{named}.difference"] == -0.25
    assert metrics.defined[f"{named}.ci_high"] == -0.1
    assert sum(name.endswith(".difference") for name in metrics.undefined) == 1
