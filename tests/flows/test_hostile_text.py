"""Text of data that a terminal, rich, a browser or a reader of the source would obey."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from flows.progress import _Bars, _bars_on
from flows.terminal import Table, markdown_text, print_json, print_pairs, print_table
from tasks.errors import UsageError
from tasks.report.escaping import page_templates
from tasks.report.note import _text
from tasks.report.plot import plain
from tasks.store import Store
from tests.flows.application import Application

ESC = "\x1b[31mred\x9b0m\x7f\u202etxt"
SHOWN = "\\x1b[31mred\\x9b0m\\x7f\\u202etxt"
OBEYED = ("\x1b", "\x9b", "\x7f", "\u202e")


def empty_store(folder: Path) -> Application:
    application = Application(folder)
    with Store.open(application.home / "flywheel.duckdb"):
        pass
    return application


def test_sql_shows_escapes_of_values_and_names(tmp_path: Path):
    query = f"SELECT '{ESC}' AS \"[bold]{ESC}[/nothing]\""
    answer = empty_store(tmp_path).call("sql", query)
    assert answer.code == 0, answer.err
    assert SHOWN in answer.out
    assert f"[bold]{SHOWN}[/nothing]" in answer.out
    assert not any(mark in answer.out for mark in OBEYED)
    as_json = empty_store(tmp_path).call("sql", query, "--json")
    assert as_json.json["rows"] == [[ESC]]
    assert as_json.out.isascii()
    assert not any(mark in as_json.out for mark in OBEYED)


@pytest.mark.parametrize("query", ["", " ", ";", "-- nothing\n", "SELECT 1; SELECT 2"])
def test_sql_wants_one_query(tmp_path: Path, query: str):
    answer = empty_store(tmp_path).call("sql", "--", query)
    assert answer.code == 2
    assert "one SELECT" in answer.err
    assert len(answer.err.splitlines()) == 1


def test_file_names_in_errors_are_shown(tmp_path: Path):
    (tmp_path / f"[red]{ESC}\n.jsonl").write_text("{")
    answer = Application(tmp_path).call("ingest", str(tmp_path / "*.jsonl"))
    assert answer.code == 2
    assert SHOWN in answer.err
    assert not any(mark in answer.err for mark in OBEYED)
    told = Application(tmp_path).call("ingest", "--json", str(tmp_path / "*.jsonl"))
    assert ESC in json.loads(told.out)["received"]


def test_an_error_says_one_line():
    assert UsageError("a\x1b\udcffb\r\nc", received="\u2067d").line() == (
        "a\\x1b\\udcffb\\x0d c · received: \\u2067d"
    )


def test_tables_pairs_notes_plots_and_json_show_it(capsys: pytest.CaptureFixture[str]):
    out = io.StringIO()
    for width in (200, 10):
        screen = Console(file=out, width=width, highlight=False)
        print_table(screen, Table((f"[b]{ESC}", "x"), [(f"[/i]{ESC}", "1")], texts=()))
        print_pairs(screen, [(ESC, f"[/b]{ESC}")])
    print_json({ESC: ESC})
    shown = [out.getvalue(), capsys.readouterr().out, markdown_text(ESC), _text(ESC), plain(ESC)]
    assert not any(mark in text for mark in OBEYED for text in shown)
    assert f"[/b]{SHOWN}" in shown[0]


def test_progress_obeys_no_markup_of_a_file_name():
    out = io.StringIO()
    bars = _bars_on(Console(file=out, width=200, force_terminal=False))
    with bars:
        _Bars(bars)("ingest", 1, 3, f"[/nothing]{ESC}[red]")
        bars.refresh()
    assert f"[/nothing]{SHOWN}[red]" in out.getvalue()


def test_pages_show_it():
    page = page_templates("tasks.report").from_string("<p>{{ text }}</p>").render(text=f"<b>{ESC}")
    assert page == f"<p>&lt;b&gt;{SHOWN}</p>"
