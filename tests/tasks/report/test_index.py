from __future__ import annotations

import re
import time
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from expectations.contracts import SPENDING
from tasks.model.audit import chained
from tasks.model.comparison import Interval
from tasks.model.history import History
from tasks.model.profile import Usage
from tasks.model.receipt import Receipt
from tasks.model.verdict import Standing
from tasks.report import index, trends, wording
from tasks.store import Store
from tasks.store.control import ledger
from tasks.store.control.history import read_history
from tests.tasks.record.turns import HOSTILE, NOW, fill, make_run

_RUNS = ("20261124-020000-1", "20261125-020000-2", "20261126-020000-3")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three nights: worse, a failure before the gate, better; the last with drift and money."""
    home = tmp_path_factory.mktemp("index")
    first, failed, last = (make_run(home, run_id=run_id) for run_id in _RUNS)
    fill(first)
    fill(last, verdict="better")
    with failed.open_store() as store:
        ledger.begin_run(store, failed.run_id, failed.request.to_json(), "x", NOW)
        ledger.finish_run(store, failed.run_id, "failed", NOW + timedelta(seconds=9), error=HOSTILE)
    with last.open_store() as store:
        drift = {"drift": {"alarms": [{"column": "model", "psi": 0.5}]}}
        ledger.finish_stage(store, last.run_id, Receipt("redact", "", 637, 637, notes=drift), NOW)
        ledger.finish_run(store, last.run_id, "completed", NOW + timedelta(seconds=75))
        spent = {
            column.name: 0 for column in SPENDING.columns if column.sql_type != "VARCHAR"
        } | {"journal_id": "j", "release_digest": "r", "run_id": last.run_id, "cost": 1.25,
             "currency": "EUR", "created_at": NOW}  # fmt: skip
        store.insert(SPENDING, [spent])
    return home


@pytest.fixture
def history(home: Path) -> History:
    with Store.open(home / "flywheel.duckdb", read_only=True) as store:
        return read_history(store, 10)


def test_every_run_is_told_as_it_stands_in_the_store(history: History, home: Path):
    assert [run.run_id for run in history.runs] == list(_RUNS)
    with duckdb.connect(str(home / "flywheel.duckdb"), read_only=True) as raw:
        verdicts = dict(raw.execute("SELECT run_id, verdict FROM verdicts").fetchall())
        states = dict(raw.execute("SELECT run_id, state FROM runs").fetchall())
        taken = raw.execute(
            "SELECT receipt->>'rows_in', receipt->>'rows_out', receipt->>'dead_letters' "
            "FROM run_stages WHERE stage = 'ingest' AND run_id = ?", [_RUNS[2]]
        ).fetchone()  # fmt: skip
    assert {run.run_id: run.verdict for run in history.runs if run.verdict} == verdicts
    assert {run.run_id: run.state for run in history.runs} == states
    first, failed, last = history.runs
    assert last.intake is not None
    assert taken == tuple(
        str(value) for value in (last.intake.num_read, last.intake.num_new, last.intake.num_dead)
    )
    assert (last.intake.num_quarantined, last.intake.drifted) == (3, ("model",))
    assert last.intake.reasons
    assert last.intake.held_share == pytest.approx(3 / 643)
    assert (last.spent, first.spent) == ({"EUR": 1.25}, {})
    assert (failed.error, failed.intake, failed.suites, failed.seconds) == (HOSTILE, None, (), 9.0)
    assert (first.champion, first.challenger) == ("prod", "candidate")
    assert history.last == last
    (made,) = history.sets
    assert (made.num_samples, made.num_decisions) == (40, 2)


def test_only_the_newest_runs_are_read_and_all_are_counted(home: Path):
    with Store.open(home / "flywheel.duckdb", read_only=True) as store:
        found = read_history(store, 1)
    assert [run.run_id for run in found.runs] == [_RUNS[2]]
    assert found.num_runs == 3


def test_looks_at_another_pair_begin_anew(history: History):
    looks = history.looks("tickets")
    assert [run.run_id for run, _ in looks] == [_RUNS[0], _RUNS[2]]
    other = replace(history.runs[0], pair=("another", "pair"))
    changed = replace(history, runs=(other, *history.runs[1:]))
    counts = [
        {line.name: line.num_looks for line in index.suite_lines(one)}["tickets"]
        for one in (history, changed)
    ]
    assert counts == [2, 1]


def test_the_page_shows_every_run_and_links_those_that_have_one(history: History):
    html = index.render(history, {_RUNS[0], _RUNS[2]})
    assert re.findall(r'href="([^"]*)"', html).count(f"{_RUNS[0]}/report.html") == 1
    assert f"{_RUNS[1]}/report.html" not in html
    assert all(run_id in html for run_id in _RUNS)
    assert "Last verdict: candidate against prod" in html
    assert "1.25 EUR" in html
    assert "drift: model" in html
    assert "−42.0 to −9.0" in html


def test_hostile_text_is_shown_and_not_obeyed(history: History):
    html = index.render(history, ())
    assert "<script" not in html
    assert "&lt;script&gt;alert(&#34;owned&#34;)" in html
    assert "default-src 'none'" in html


def test_nothing_decided_and_nothing_run_is_a_page_too(history: History):
    undecided = replace(history, runs=history.runs[1:2], sets=())
    assert "No verdict yet" in index.render(undecided, ())
    empty = index.render(History((), 0, ()), ())
    assert "No run yet." in empty
    assert "<svg" not in empty


def test_marks_have_the_colour_of_the_verdict_of_their_run(history: History):
    one = replace(history, runs=history.runs[:1])
    suites = one.runs[0].suites
    drawn = [
        trends.draw_suites(replace(one, runs=(replace(
            one.runs[0], suites=(replace(suites[0], verdict=verdict),)),)))
        for verdict in ("better", "worse")
    ]  # fmt: skip
    good, bad = "var(--good)", "var(--bad)"
    assert [(good in svg, bad in svg) for svg in drawn] == [(True, False), (False, True)]


def test_all_looks_together_are_shaded_from_the_second_on(history: History):
    def standing(low: float) -> Standing:
        return Standing(10, 0.0, Interval(low, 0.2), 10, 10, (1.0, 1.0), (1.0, 1.0), ())

    decided = (history.runs[0], history.runs[2])
    runs = tuple(
        replace(run, suites=(replace(run.suites[0], standing=standing(low)),))
        for run, low in zip(decided, (-0.4, -0.1), strict=True)
    )
    both, one = (trends.draw_suites(replace(history, runs=chosen)) for chosen in (runs, runs[1:]))
    assert ("fill-opacity: 0.18" in both, "fill-opacity: 0.18" in one) == (
        True, False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([], ""), ([0.1], ""), ([0.0, 1.0], "▁█"), ([0.0, None, 1.0, 0.5], "▁ █▅"),
        ([0.3, 0.3], "▄▄"),
    ],
)  # fmt: skip
def test_spark(values: list[float | None], shown: str):
    assert index.spark(values) == shown


@pytest.mark.parametrize(
    ("hours", "told"),
    [(0.5, "less than an hour ago"), (1, "1 hour ago"), (47.9, "47 hours ago"),
     (48, "2 days ago"), (-3, "less than an hour ago")],
)  # fmt: skip
def test_age(hours: float, told: str):
    now = datetime(2026, 11, 30, 12)  # noqa: DTZ001
    assert wording.since(now - timedelta(hours=hours), now) == told


def test_a_thousand_runs_are_read_in_a_second(tmp_path: Path):
    run = make_run(tmp_path)
    fill(run, num_samples=6)
    with run.open_store() as store:
        for table in ("runs", "run_stages", "verdicts"):
            store.execute(
                f"INSERT INTO {table} BY NAME SELECT t.* "
                f"REPLACE ('20270101-' || lpad(n::VARCHAR, 6, '0') AS run_id) "
                f"FROM {table} t, range(999) r(n)"
            )
    with Store.open(tmp_path / "flywheel.duckdb", read_only=True) as store:
        began = time.process_time()
        history = read_history(store, 1_000)
        seconds = time.process_time() - began
    assert len(history.runs) == history.num_runs == 1_000
    assert seconds < 2.0


def test_who_moved_the_champion_is_told_with_the_run_it_rests_on(history: History):
    first = chained(None, at=NOW, by=HOSTILE, action="promote", subject="candidate",
                    details={"run_id": _RUNS[2], "verdict": "no_worse"})  # fmt: skip
    second = chained(first, at=NOW, by="ada", action="rollback", subject="prod",
                     details={"why": HOSTILE})  # fmt: skip
    html = index.render(history, {_RUNS[2]}, [first, second])
    section = html[html.index("<h2>Champion</h2>") : html.index("<h2>Runs</h2>")]
    assert section.index("prod") < section.index("candidate")
    assert f'<a href="{_RUNS[2]}/report.html">' in section
    assert "no worse" in section
    assert "<script" not in section
    assert "<h2>Champion</h2>" not in index.render(history, ())


def test_cost_and_latency_of_releases_and_logs_are_told_in_one_unit(tmp_path: Path):
    run = make_run(tmp_path)
    fill(run, num_samples=6)
    with run.open_store() as store:
        used = {
            "champion": Usage(6, 0.9, "USD", 0.5, 1.25), "challenger": Usage(6, 0.45, "USD", 0.4, 2)
        }  # fmt: skip
        notes = {"usage": {role: one.to_json() for role, one in used.items()}}
        ledger.finish_stage(store, run.run_id, Receipt("gate", "", 6, 6, notes=notes), NOW)
        store.execute("UPDATE requests SET cost_usd = 0.002, latency_s = 3 + rowid, run_id = ?",
                      [run.run_id])  # fmt: skip
        ((num, lowest),) = store.rows("SELECT count(*), min(latency_s) FROM requests")
        found = read_history(store, 10)
    (past,) = found.runs
    assert {by: past.usage[by] for by in ("champion", "challenger")} == used
    served = past.usage["logs"]
    assert (served.num_requests, served.currency) == (num, "USD")
    assert served.cost_per_1000 == pytest.approx(2.0)
    assert served.latency_p50_s == pytest.approx(lowest + (num - 1) / 2)
    html = index.render(found, ())
    section = html[html.index("<h2>Cost and latency</h2>") : html.index("<h2>Runs</h2>")]
    for text in ("prod, champion", "candidate, challenger", "calls in the logs", "0.9 USD",
                 "0.45 USD", "2 USD", "1.25 s"):  # fmt: skip
        assert text in section, text
    assert section.count("<svg") == 1
    for title in ("cost of 1,000 requests, USD", "latency, median, seconds"):
        assert title in section


def test_what_nothing_tells_of_cost_and_latency_is_not_there(history: History):
    untold = replace(history, runs=tuple(replace(run, usage={}) for run in history.runs))
    assert "Cost and latency" not in index.render(untold, ())
