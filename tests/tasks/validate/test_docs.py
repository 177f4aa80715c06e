"""The Data Docs page: complete, harmless, and without a word of what users wrote."""

from __future__ import annotations

import os
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from expectations.calls import calls_rules
from expectations.checks import JudgedTable, Present
from expectations.contracts import LANDING
from expectations.rules import Rule, RuleSet
from tasks.errors import StoreError
from tasks.rules.ask import ask
from tasks.rules.outcomes import Failures, Judged
from tasks.store import Store
from tasks.validate.docs import Summary, render, write_docs
from tests.expectations.call_rows import BAD_ROWS, NOW, call

SUITE = calls_rules(300.0)
MARK = "raw-prompt-text-of-a-user"


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judged]:
    changes = [change for rows in BAD_ROWS.values() for change in rows]
    with Store.open(Path(tmp_path_factory.mktemp("store")) / "flywheel.duckdb") as store:
        store.insert(LANDING, [call(n, **change) for n, change in enumerate(changes)])
        for name in ("model", "status", "finish_reason", "session_id", "error_type"):
            store.execute(f"UPDATE landing SET {name} = ? WHERE rowid % 3 = 0", [f"<b>{MARK}"])
        store.execute("UPDATE landing SET messages = ? WHERE rowid % 2 = 0", [f'"{MARK}"'])
        yield ask(store, SUITE, JudgedTable("landing", NOW))


def summary(run_id: str = "run-1", *, stopped: bool = False) -> Summary:
    calls = Failures(100, {"has_model": 7, "has_messages": 2}, {"has_status": 3})
    return Summary(run_id, NOW, calls, stopped)


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.stack: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "br"):
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_loads_nothing_and_runs_nothing(judged: Judged) -> None:
    html = render([judged], summary(), ("run-0.html",))
    page = _Page(html)
    assert page.stack == []
    tags = {tag for tag, _ in page.elements}
    assert tags.isdisjoint({"script", "link", "img", "iframe", "object", "embed", "form", "base"})
    for _, attributes in page.elements:
        assert attributes.keys() <= {
            "class",
            "id",
            "href",
            "lang",
            "charset",
            "name",
            "content",
            "http-equiv",
            "colspan",
            "tabindex",
            "role",
            "aria-label",
        }
        href = attributes.get("href") or "#"
        assert href.startswith("#") or href == "run-0.html"
    for outside in ("http:", "https:", "//", "url(", "@import", "javascript:"):
        assert outside not in html
    assert "default-src 'none'" in html


def test_the_page_holds_no_value_of_a_call(judged: Judged) -> None:
    assert MARK not in render([judged], summary())


def test_every_expectation_is_on_the_page_with_severity_and_result(judged: Judged) -> None:
    text = " ".join(_Page(render([judged], summary())).text.split())
    for rule in SUITE.rules:
        assert f"{rule.id} ({rule.severity}): {rule.meaning}" in text
    assert "unexpected values found" in text


def test_a_missed_warning_does_not_look_like_a_failure(judged: Judged) -> None:
    html = render([judged], summary())
    rows = [row for row in html.split("<tr>") if "✗ fail" in row or "! warning" in row]
    warned = [row for row in rows if "(warning): " in row]
    assert len(warned) > 5
    assert len(rows) > len(warned)
    for row in rows:
        assert ("state warned" in row) == (row in warned)
        assert ("state missed" in row) == (row not in warned)
    assert "Failed" not in html
    missed = sum(not outcome.success for outcome in judged.outcomes)
    assert f"{len(SUITE.rules) - missed} of {len(SUITE.rules)} are met; " in html
    assert f"{len(warned)} missed with a warning only." in html


def test_a_rule_that_speaks_of_warnings_is_still_critical(tmp_path: Path) -> None:
    rule = Rule("x", "critical", Present("model"), "Not y (warning): $z {a} <b>.", "R.")
    rule_set = RuleSet("calls", LANDING, (rule,))
    with Store.open(tmp_path / "flywheel.duckdb") as store:
        store.insert(LANDING, [call(0, model=None)])
        judged = ask(store, rule_set, JudgedTable("landing", NOW))
    html = render([judged], Summary("run-1", NOW, Failures(1, {"x": 1}), False))
    assert "state missed" in html
    assert "$z {a} &lt;b&gt;." in html


def test_no_two_elements_share_an_id(judged: Judged) -> None:
    page = _Page(render([judged, judged], summary()))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_the_page_says_first_what_was_found_and_why_it_matters(judged: Judged) -> None:
    text = _Page(render([judged], summary())).text
    for part in (
        "run-1",
        "2026-11-24 12:00 UTC",
        "has_model",
        "7.0%",
        "batch accepted",
        SUITE.rule("has_model").reason,
    ):
        assert part in text
    assert "91passed" in text
    stopped = _Page(render([judged], summary(stopped=True))).text
    assert "batch stopped: nothing was moved" in stopped


def test_a_clean_batch_says_so(judged: Judged) -> None:
    clean = Summary("run-1", NOW, Failures(5), False)
    assert "Every call meets every expectation." in render([judged], clean)


def test_the_page_is_small(judged: Judged) -> None:
    assert len(render([judged], summary())) < 100_000


def test_the_index_is_the_newest_run_and_links_to_earlier_ones(
    judged: Judged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.validate.docs._MAX_HISTORY", 2)
    for number in range(5):
        index = write_docs(tmp_path, [judged], summary(f"run-{number:02}"))
    assert index == tmp_path / "index.html"
    text = index.read_text(encoding="utf-8")
    assert "<code>run-04</code>" in text
    assert 'href="run-03.html"' in text
    assert 'href="run-02.html"' in text
    assert 'href="run-01.html"' not in text
    assert sorted(os.listdir(tmp_path)) == [
        "index.html",
        "run-02.html",
        "run-03.html",
        "run-04.html",
    ]


def test_a_folder_that_cannot_be_written_is_one_clear_error(judged: Judged, tmp_path: Path) -> None:
    (tmp_path / "data-docs").write_text("in the way")
    with pytest.raises(StoreError, match="Data Docs cannot be written"):
        write_docs(tmp_path / "data-docs", [judged], summary())


def test_a_rule_that_no_row_is_under_says_so(tmp_path: Path) -> None:
    """GX gives the share of no rows as NaN%."""
    with Store.open(tmp_path / "flywheel.duckdb") as store:
        store.insert(LANDING, [call(1)])
        judged = ask(store, SUITE, JudgedTable("landing", NOW))
    page = _Page(render([judged], summary()))
    assert "NaN" not in page.text
    assert "no row to judge" in page.text
