from __future__ import annotations

import io
import re
from dataclasses import replace

import duckdb
import pytest
from rich.console import Console
from rich.progress import Progress

import flows.summary as summary
from flows.failures import exit_code_of
from flows.progress import _Bars, _bars_on, _Lines, shown
from flows.terminal import Table, print_table
from flows.turn import Outcome
from tasks.errors import DataError
from tasks.model.comparison import Interval, Ratio
from tasks.model.guardrail import GuardrailResult, GuardrailRule
from tasks.model.receipt import Receipt
from tasks.model.verdict import Rank, RecordedVerdict, SuiteResult
from tasks.report.warnings import warnings
from tasks.run import utc_now
from tasks.settings import parse_settings

SUITE = SuiteResult.from_json({
    "suite": "route", "metric": "exact_match@1", "num_samples": 84, "role": "primary",
    "champion": 0.62, "champion_ci": [0.5, 0.7], "challenger": 0.71, "challenger_ci": [0.6, 0.8],
    "difference": 0.09, "ci_low": 0.02, "ci_high": 0.16, "margin": 0.05, "verdict": "better",
})  # fmt: skip


GUARDRAIL = GuardrailResult(
    rule=GuardrailRule("length", "output_tokens", 0.1),
    verdict="worse", level=0.04, num_samples=84, num_clusters=80, num_unknown=0,
    too_many_unknown=False, champion=20.0, challenger=25.0,
    comparison=Ratio(1.25, Interval(1.21, 1.29), 80.0, "ratio of means (Fieller), Student's t"),
)  # fmt: skip


@pytest.fixture
def outcome() -> Outcome:
    receipts = (
        Receipt("ingest", "r", 10, 8, 0, 1, 1, 0.5, {"new_files": 2, "files": 2}),
        Receipt("validate", "r", 8, 7, 1, 0, 0, 1.0, {"by_reason": {"has_model": 1}}),
        Receipt("redact", "r", 7, 7, notes={"redactions": {"email": 3, "card": 0}}),
    )
    reasons = ("suite route: <b>0.71</b> | 0.62",)
    decided = RecordedVerdict("better", reasons, (SUITE,), (), utc_now(), (GUARDRAIL,))
    return Outcome("run-1", receipts, {"challenger": decided}, "m", None, None)


def test_summary_shows_every_count_score_interval_and_reason(outcome, capsys):
    summary.print_summary(outcome, parse_settings({}, base="."))
    shown_text = capsys.readouterr().out
    for part in (
        "8 new rows of 10 read (2 new of 2 files)",
        "1: has_model 1",
        "email 3",
        "62.0% [50.0 to 70.0]",
        "+9.0 [+2.0 to +16.0]",
        "BETTER: the challenger may ship",
        "25.0 output tokens",
        "+25.0% [+21.0% to +29.0%]",
        "10%",
        "<b>0.71</b>",
    ):
        assert part in shown_text
    assert "card" not in shown_text


def test_files_that_were_not_read_cannot_be_overlooked(outcome, capsys):
    files = [{"file": "/l/a.zip", "reason": "a ZIP archive: unpack it"}]
    unread = {"num": 1, "num_new": 1, "next": "flywheel ingest --format NAME", "files": files}
    notes = {"files": 2, "unrecognised": unread, "unread_keys": {"/l/b.jsonl": {"foo": 1_200}}}
    took_in = Receipt("ingest", "r", 1, 0, dead_letters=1, notes=notes)
    told = replace(outcome, receipts=(took_in, *outcome.receipts[1:]))
    summary.print_summary(told, parse_settings({}, base="."))
    lines = [line.split(maxsplit=2) for line in capsys.readouterr().out.splitlines() if line]
    assert [line[2] for line in lines if line[:2] == ["not", "read"]] == [
        "1 of 2 files, which no format recognises; flywheel ingest --format NAME reads one as what "
        "you say it is",
        "a.zip: a ZIP archive: unpack it",
    ]
    told_markdown = summary.summary_markdown(told)
    assert "- **not read**: a.zip: a ZIP archive: unpack it" in told_markdown
    assert "- **keys**: b.jsonl: keys not understood: foo (1,200)" in told_markdown


def test_a_verdict_that_ships_is_followed_by_the_command_that_promotes(outcome, tmp_path):
    settings = parse_settings({}, base=str(tmp_path))

    def told(verdict: str, champion: str = "a") -> list[str]:
        decided = replace(outcome.decided, verdict=verdict)
        receipts = (*outcome.receipts, Receipt("record", "r", 1, 1))
        ended = replace(
            outcome, receipts=receipts, verdicts={"challenger": decided},
            releases={"champion": champion, "challenger": "b"},
        )  # fmt: skip
        return [command for name, command in summary.pages(ended, settings) if name == "promote"]

    config = tmp_path / "flywheel.toml"
    assert told("better") == [f"flywheel promote run-1 --config {config}"]
    assert told("worse") == told("better", champion="b") == []


def test_the_verdict_says_why_in_a_sentence_and_verbose_says_all(outcome, capsys):
    reasons = ("better: it wins on suite route.", "suite route: many numbers.", "noise: none.")
    floored = replace(SUITE, releases={
        role: replace(score, mean=0.01) for role, score in SUITE.releases.items()
    })  # fmt: skip
    (warning,) = warnings([floored], [])
    decided = replace(outcome.decided, reasons=(*reasons, warning), suites=(floored,))
    told = replace(outcome, verdicts={"challenger": decided})
    assert summary.briefly(told) == [
        reasons[0], warning, "2 more sentences: flywheel report -v run-1",
    ]  # fmt: skip
    assert told.to_dict()["warnings"] == [warning]
    blocked = replace(decided, verdict="blocked")
    assert summary.briefly(replace(told, verdicts={"challenger": blocked}))[:2] == [*reasons[:2]]
    settings = parse_settings({}, base=".")
    summary.print_summary(told, settings)
    assert "noise: none." not in capsys.readouterr().out
    summary.print_summary(told, settings, verbose=True)
    assert "noise: none." in capsys.readouterr().out
    page = summary.summary_markdown(told, "http://127.0.0.1/report.html")
    parts = ("[The whole report](http", reasons[0], warning[:20], "| suite", "### In full",
             "noise: none.", "| stage")  # fmt: skip
    places = [page.index(part) for part in parts]
    assert places == sorted(places), "the decision and its numbers come before all the rest"
    assert summary.briefly(outcome) == list(outcome.decided.reasons)


@pytest.fixture
def of_three(outcome) -> Outcome:
    """Of three challengers, one of which has a score that nobody knows."""
    verdicts = {
        role: replace(outcome.decided, verdict=verdict)
        for role, verdict in (
            ("challenger_2", "no_worse"), ("challenger", "worse"), ("challenger_3", "cannot_tell"),
        )
    }  # fmt: skip
    ranks = (("challenger_2", 0.7, 1, 2), ("champion", 0.6, 1, 3), ("challenger", 0.5, 3, 4),
             ("challenger_3", None, 1, 4))  # fmt: skip
    ranking = tuple(
        Rank(suite, role, mean, low, high, 84)
        for suite in ("", "route")
        for role, mean, low, high in ranks
    )
    names = {"champion": "now", "challenger": "a", "challenger_2": "b | <b>", "challenger_3": "c"}
    return replace(outcome, verdicts=verdicts, ranking=ranking, releases=names)


def test_several_challengers_are_told_in_a_table_first_and_the_leading_one_by_name(
    of_three, capsys
):
    table = summary.release_table(of_three)
    assert table.columns == ("release", "verdict", "rank", "route")
    assert table.rows == [
        ("b | <b>", "no_worse", "1–2", "70.0%"),
        ("now", "champion", "1–3", "60.0%"),
        ("a", "worse", "3–4", "50.0%"),
        ("c", "cannot_tell", "1–4", "–"),
    ]
    summary.print_summary(of_three, parse_settings({}, base="."))
    shown_text = capsys.readouterr().out
    assert shown_text.index("3–4") < shown_text.index("62.0% [50.0 to 70.0]")
    assert "b | <b>: NO WORSE: the challenger may ship" in shown_text
    markdown = summary.summary_markdown(of_three)
    assert markdown.startswith("## b \\| \\<b\\>: NO WORSE")
    assert "| a | worse | 3–4 | 50.0% |" in markdown
    told = of_three.to_dict()
    assert (told["verdict"], of_three.may_ship) == ("no_worse", True)
    assert [each["release"] for each in told["challengers"]] == ["b | <b>", "a", "c"]
    assert told["ranking"][3] == {
        "suite": "", "release": "c", "role": "challenger_3", "mean": None, "low": 1, "high": 4,
        "num_samples": 84,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("drift", "expected"),
    [
        ({"num_judged": 0, "not_judged": {"model": "reference: 0 calls, at least 200 are needed"}},
         "not judged: reference: 0 calls, at least 200 are needed"),
        ({"num_judged": 9, "num_new": 300, "num_reference": 4000, "alarms": []},
         "none in 9 columns, 300 new calls beside 4,000 before"),
        ({"num_judged": 9, "num_new": 300, "num_reference": 400,
          "alarms": [{"column": "model", "psi": 0.314}]},
         "ALARM in model (PSI 0.31); 300 new calls beside 400 before: flywheel drift"),
    ],
)  # fmt: skip
def test_drift_is_told_in_a_line(outcome, drift, expected):
    redacted = Receipt("redact", "r", 7, 7, notes={"redactions": {}, "drift": drift})
    facts = dict(summary.facts(replace(outcome, receipts=(redacted,))))
    assert facts["drift"] == expected


def test_what_moved_is_told_to_people_and_to_prefect(outcome):
    moved = [{"value": "m-9 | <b>", "old_share": 0.0, "new_share": 0.4}]
    alarm = {"column": "model", "psi": 0.3, "moved": moved}
    drift = {"num_judged": 9, "num_new": 3, "num_reference": 4, "alarms": [alarm]}
    redacted = Receipt("redact", "r", 7, 7, notes={"redactions": {}, "drift": drift})
    told = replace(outcome, receipts=(redacted,))
    assert ("moved", "model: m-9 | <b> 0% → 40%") in summary.facts(told)
    assert "- **moved**: model: m-9 \\| \\<b\\> 0% → 40%" in summary.summary_markdown(told)


def test_what_a_set_cannot_do_is_told_a_line_each(outcome):
    notes = {"cautions": ["suite order: too few", "session 'x' holds"], "num_samples": 3}
    curated = Receipt("curate", "r", 7, 7, notes=notes)
    facts = summary.facts(replace(outcome, receipts=(curated,)))
    assert [text for name, text in facts if name == "caution"] == notes["cautions"]


def test_that_the_history_was_read_in_part_is_told(outcome):
    groups = [{"kind": "unjudged", "task": "route", "num_calls": 90, "num_read": 9, "chance": 0.1}]
    notes = {"reading": {"num_calls": 90, "num_read": 9, "groups": groups}}
    curated = Receipt("curate", "r", 7, 7, notes=notes)
    facts = dict(summary.facts(replace(outcome, receipts=(curated,))))
    assert facts["history"].startswith("9 of 90 calls of the history were read")


def test_summary_tells_the_window_and_the_files_that_changed(outcome, capsys):
    notes = {
        "files": 4, "new_files": 4, "changed_files": ["/a", "/b", "/c", "/d"],
        "window": {"since": "2026-11-01T00:00:00Z", "until": None},
    }  # fmt: skip
    receipt = Receipt("ingest", "r", 1_210, 10, notes=notes, outside_window=1_200)
    summary.print_summary(replace(outcome, receipts=(receipt,)), parse_settings({}, base="."))
    shown_text = capsys.readouterr().out
    assert "since 2026-11-01T00:00:00Z until now: 1,200 calls outside were passed" in shown_text
    assert "/a, /b, /c and 1 more: not only grown" in shown_text


@pytest.mark.parametrize("empty", [["/a", "/b"], 2])
def test_files_without_a_byte_are_told_and_that_nothing_came_in(outcome, empty):
    receipt = Receipt("ingest", "r", 0, 0, notes={"files": 2, "new_files": 2, "empty_files": empty})
    facts = dict(summary.facts(replace(outcome, receipts=(receipt,))))
    assert facts["empty"] == "2 of 2 files hold no byte; nothing new came in"
    other = Receipt("ingest", "r", 3, 3, notes={"files": 3, "new_files": 3, "empty_files": empty})
    facts = dict(summary.facts(replace(outcome, receipts=(other,))))
    assert facts["empty"] == "2 of 3 files hold no byte"


def test_markdown_lets_no_text_become_markup(outcome):
    text = summary.summary_markdown(outcome)
    assert "\\<b\\>0.71\\</b\\> \\| 0.62" in text
    assert "| route | better | exact\\_match@1 | 84 |" in text


def test_missing_number_is_a_dash_and_not_a_zero(outcome):
    champion = replace(SUITE.releases["champion"], mean=None, interval=None)
    suite = replace(SUITE, releases={**SUITE.releases, "champion": champion}, comparison=None)
    rows = summary.suite_table((suite,)).rows
    assert rows[0][3] == "–"
    assert rows[0][4] == "71.0% [60.0 to 80.0]"
    assert rows[0][5] == "–"


def test_unexpected_error_is_one_line_and_its_traceback_a_file(capsys):
    assert exit_code_of(ZeroDivisionError("a\nb"), as_json=True) == 4
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert '"exit_code": 4' in captured.out


def test_full_disk_is_named_without_a_traceback(capsys):
    assert exit_code_of(OSError(28, "No space left on device", "file"), as_json=False) == 4
    line = capsys.readouterr().err
    assert line.startswith("flywheel: no space left on device · received: ")
    assert line.endswith(
        "then run the same command again: it goes on after what was stored whole\n"
    )


def test_full_disk_under_the_database_is_named_too(capsys):
    error = duckdb.TransactionException(
        'TransactionContext Error: Failed to commit: Could not write file "x.wal": '
        "No space left on device"
    )
    assert exit_code_of(error, as_json=False) == 4
    line = capsys.readouterr().err
    assert "flywheel: no space left on device" in line
    assert "traceback" not in line


def test_counts_of_a_stopped_batch_reach_the_script(capsys):
    error = DataError("too many")
    error.counts = {"rows_in": 3}
    assert exit_code_of(error, as_json=True) == 3
    assert '"rows_in": 3' in capsys.readouterr().out


def test_progress_without_a_terminal_is_a_line_a_stage(capsys):
    with shown() as progress:
        progress("evaluate", 0, None)
        progress("evaluate", 5, 10)
        progress("evaluate", 1, 1, "finished")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "evaluate: replay it on champion and challenger …"
    assert lines[1].startswith("evaluate: done in")


def test_lines_tell_rate_and_time_left_and_come_rarer_the_longer_it_takes(capsys):
    clock = iter([0.0, 5.0, 10.0, 25.0, 30.0, 245.0, 262.0, 300.0])
    progress = _Lines(lambda: next(clock))
    progress("evaluate", 0, None)
    progress("evaluate", 0, 4_000, "loading the model")
    for done in (40, 160, 200, 1_920, 2_056):
        progress("evaluate", done, 4_000, "both")
    progress("evaluate", 1, 1, "finished")
    assert capsys.readouterr().err.splitlines()[1:] == [
        "evaluate: 160 of 4,000, 8.0/s, about 8 min 0 s left (both)",
        "evaluate: 1,920 of 4,000, 8.0/s, about 4 min 20 s left (both)",
        "evaluate: done in 300.0 s",
    ]


def test_progress_on_a_terminal_is_a_bar():
    with Progress(console=Console(file=io.StringIO())) as bars:
        progress = _Bars(bars)
        progress("ingest", 0, None)
        progress("ingest", 5, 10, "file 1")
        progress("ingest", 1, 1, "finished")
        assert bars.tasks[0].finished


def test_bars_tell_rate_and_time_left():
    terminal, moments = io.StringIO(), iter(float(n) for n in range(1_000))
    with _bars_on(Console(file=terminal, force_terminal=True, width=120)) as bars:
        bars.get_time = lambda: next(moments)
        progress = _Bars(bars)
        progress("evaluate", 0, 400)
        progress("evaluate", 100, 400, "both")
        progress("evaluate", 200, 400, "both")
        bars.refresh()
    last = terminal.getvalue()
    assert "200/400" in last
    assert re.search(r"\d/s", last)
    assert re.search(r"\d\d:\d\d", last)


@pytest.mark.parametrize("width", [60, *range(70, 150, 3), 160])
def test_every_number_is_shown_whole_at_any_width(outcome, width, monkeypatch):
    paper = io.StringIO()
    monkeypatch.setattr(
        summary.terminal, "console", lambda: Console(file=paper, width=width, highlight=False)
    )
    rule = replace(SUITE.rule, name="a suite with a rather long name")
    long = replace(SUITE, rule=rule, num_samples=1234)
    decided = replace(outcome.decided, suites=(SUITE, long))
    summary.print_summary(
        replace(outcome, verdicts={"challenger": decided}), parse_settings({}, base=".")
    )
    text = paper.getvalue()
    for whole, count in (
        ("62.0% [50.0 to 70.0]", 2),
        ("71.0% [60.0 to 80.0]", 2),
        ("+9.0 [+2.0 to +16.0]", 2),
        ("margin", 1),
        ("exact_match@1", 2),
        ("1234", 1),
        (rule.name, 1),
        ("dead letters  1, kept", 1),
        (" 0.5", 1),
    ):
        assert text.count(whole) >= count, text
    assert "…" not in text
    assert max(len(line) for line in text.splitlines() if "[" in line) <= width


def test_a_row_too_wide_for_the_screen_is_told_cell_by_cell():
    paper = io.StringIO()
    rows = [("first", "x" * 90, "12"), ("second", "[b]", "3")]
    table = Table(("name", "text", "size"), rows, texts=("name", "text"))
    print_table(Console(file=paper, width=40, highlight=False), table)
    text = paper.getvalue()
    for whole in ("first\n", "size 12", "text [b]", "size 3"):
        assert whole in text
    assert text.count("x") == 92  # the two of the column's name
