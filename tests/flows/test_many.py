"""One champion and three challengers in one pass: a better one, an equal one and a worse one."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import duckdb
import pytest

from tests.flows.application import Application, make_application
from tests.flows.test_resume import comparable, finished_mlflow_runs, killed, tables
from tests.flows.test_same_release import RELEASE
from tests.mlflow_home import home_with_mlflow
from tests.tiny_model import write_tiny_model

_LETTERS = "abcd"
#: name → order in which its model numbers the letters, and from how many it draws: the right one is
#: always a or b
_RELEASES = {
    "current": ("abcd", 4), "twin": ("cdba", 4), "sharp": ("abcd", 2), "blunt": ("cdab", 2),
}  # fmt: skip
_ASKED = [part for name in ("twin", "sharp", "blunt") for part in ("--challenger", name)]
_RUN = ("run", "--inline", "--json", "--champion", "current", *_ASKED)


def make(folder: Path, tiny_model: Path, *, samples: int = 120) -> Application:
    application = make_application(folder / "application", tiny_model, calls=4)
    home_with_mlflow(application.home)
    path = application.folder / "flywheel.toml"
    text = path.read_text()
    sections = [
        RELEASE.format(name=name, top_k=top_k, model=write_tiny_model(folder / name, even=order))
        for name, (order, top_k) in _RELEASES.items()
    ]
    before, after = text.index("[releases.champion]"), text.index("[suites.route]")
    # what is sent to MLflow takes time
    path.write_text("".join([text[:before], "[mlflow]\nmax_rows = 10\n", *sections, text[after:]]))
    words = ("quartz", "velvet", "saddle", "turnip", "magnet", "pollen", "walrus", "tunnel")
    suite = [
        {"input": " ".join(words[(n // 8**k) % 8] for k in range(3)) + f" {n}",
         "target": _LETTERS[n % 2], "task": "route"}
        for n in range(samples)
    ]  # fmt: skip
    (application.folder / "suites" / "route.jsonl").write_text(
        "".join(json.dumps(sample) + "\n" for sample in suite)
    )
    return application


def _stage(result: dict[str, Any], name: str) -> dict[str, Any]:
    (stage,) = [stage for stage in result["stages"] if stage["stage"] == name]
    return stage


@pytest.fixture(scope="module")
def turned(
    tmp_path_factory: pytest.TempPathFactory, tiny_model: Path
) -> tuple[Application, dict[str, Any]]:
    application = make(tmp_path_factory.mktemp("many"), tiny_model)
    answer = application.here(
        *_RUN, "--junit", "verdict.xml", "--markdown", "verdict.md", "--github"
    )
    assert answer.code == 0, answer.err
    return application, answer.json


@pytest.mark.slow
def test_each_has_a_verdict_of_its_own_and_the_run_that_of_the_best_that_may_ship(turned: Any):
    _, result = turned
    told = {each["release"]: each for each in result["challengers"]}
    assert {name: each["verdict"] for name, each in told.items()} == {
        "sharp": "better", "twin": "cannot_tell", "blunt": "worse",
    }  # fmt: skip
    assert [each["role"] for each in result["challengers"]] == [
        "challenger_2", "challenger", "challenger_3",
    ]  # fmt: skip
    assert result["verdict"] == "better"
    assert result["reasons"] == told["sharp"]["reasons"]
    assert result["suites"] == told["sharp"]["suites"]
    champions = {each["suites"][0]["champion"] for each in told.values()}
    assert len(champions) == 1, "one and the same set of the champion's answers"
    (confidence,) = {each["suites"][0]["confidence"] for each in told.values()}
    assert confidence == pytest.approx(1 - 0.04 / 3)
    ranks = {(rank["suite"], rank["release"]): rank for rank in result["ranking"]}
    assert len(ranks) == 8
    for suite in ("", "route"):
        assert [ranks[suite, name]["low"] for name in ("sharp", "blunt")] == [1, 4]
        assert [ranks[suite, name]["high"] for name in ("sharp", "blunt")] == [1, 4]
        for name in ("current", "twin"):
            assert (ranks[suite, name]["low"], ranks[suite, name]["high"]) == (2, 3)
    evaluated, planned = _stage(result, "evaluate"), _stage(result, "plan")
    assert evaluated["rows_in"] == 4 * _stage(result, "gate")["rows_in"] > 4 * 120
    assert planned["notes"]["num_completions"] == evaluated["rows_in"]
    assert planned["notes"]["policy"]["gate.alpha"] == pytest.approx(0.05 / 3)


@pytest.mark.slow
def test_terminal_and_pages_show_all_of_them_and_then_the_leading_one(turned: Any):
    application, result = turned
    text = application.here("report", result["run_id"]).out
    rows = [line.split() for line in text.splitlines() if line.strip()]
    shown = [row for row in rows if row[0] in _RELEASES and len(row) == 4]
    assert [row[:3] for row in shown] == [
        ["sharp", "better", "1"],
        *sorted([["current", "champion", "2–3"], ["twin", "cannot_tell", "2–3"]],
                key=lambda row: [r[0] for r in shown].index(row[0])),
        ["blunt", "worse", "4"],
    ]  # fmt: skip
    assert "sharp: BETTER: the challenger may ship" in text

    report = Path(result["report"])
    pages = {path.name: path.read_text() for path in report.parent.glob("*.html")}
    assert set(pages) == {"report.html", "report-challenger.html", "report-challenger_3.html"}
    headlines = {
        "report.html": "sharp is better than current",
        "report-challenger.html": "twin and current cannot be told apart",
        "report-challenger_3.html": "blunt is worse than current",
    }
    for name, headline in headlines.items():
        page = pages[name]
        assert f"<h1>{headline}</h1>" in page
        linked = set(re.findall(r'href="([^"#]+)"', page))
        receipt = f"../../receipts/{result['run_id']}.receipt.json"
        assert linked == {*pages, receipt} - {name}
        assert page.index("All releases of this run") < page.index("<h2>Suites</h2>")
    again = "--champion current --challenger twin --challenger sharp --challenger blunt"
    assert all(again in page for page in pages.values())


@pytest.mark.slow
def test_mlflow_holds_a_run_a_release_with_what_one_compares(turned: Any, monkeypatch):
    application, result = turned
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{application.home}/mlflow.db")
    parent = client.get_run(result["mlflow_run_id"])
    assert parent.data.tags["flywheel.verdict"] == "better"
    assert "| sharp | better | 1 |" in parent.data.tags["mlflow.note.content"]
    assert parent.data.params["challenger_3"] == "blunt"
    (experiment,) = client.search_experiments(filter_string="name = 'flywheel'")
    children = client.search_runs(
        [experiment.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    )
    told = {child.data.tags["flywheel.release"]: child.data for child in children}
    assert {name: data.tags["flywheel.verdict"] for name, data in told.items()} == {
        "current": "better", "twin": "cannot_tell", "sharp": "better", "blunt": "worse",
    }  # fmt: skip
    scores = {name: data.metrics["route.score"] for name, data in told.items()}
    assert scores == {
        rank["release"]: pytest.approx(rank["mean"])
        for rank in result["ranking"]
        if rank["suite"] == "route"
    }
    for name in ("twin", "sharp", "blunt"):
        metrics = told[name].metrics
        assert metrics["route.difference"] == pytest.approx(scores[name] - scores["current"])
        assert metrics["route.difference_ci_low"] < metrics["route.difference"]
    assert (told["blunt"].metrics["rank_low"], told["sharp"].metrics["route.rank_high"]) == (4, 1)
    assert "route.difference" not in told["current"].metrics


@pytest.mark.slow
def test_files_for_ci_tell_every_challenger(turned: Any):
    application, _ = turned
    root = ElementTree.parse(application.folder / "verdict.xml").getroot()
    failed = {
        suite.get("name"): int(suite.get("failures", "-1"))
        for suite in root
        if (suite.get("name") or "").endswith(": verdict")
    }
    assert failed == {"sharp: verdict": 0, "twin: verdict": 1, "blunt: verdict": 1}
    assert (
        "sharp: BETTER: the challenger may ship" in (application.folder / "verdict.md").read_text()
    )


@pytest.mark.slow
def test_decided_again_on_the_stored_scores_it_is_the_same(turned: Any):
    application, result = turned
    decided = application.here("gate", "--json", "--challenger", "blunt")
    assert decided.code == 0, decided.err
    for key in ("ranking", "verdict"):
        assert decided.json[key] == result[key]
    verdicts = [(each["release"], each["verdict"]) for each in decided.json["challengers"]]
    assert verdicts == [(each["release"], each["verdict"]) for each in result["challengers"]]
    assert application.here("gate", "--challenger", "none").code == 2


@pytest.mark.slow
def test_killed_it_ends_like_an_undisturbed_one(tmp_path: Path, tiny_model: Path, turned: Any):
    reference, expected = turned
    application = make(tmp_path, tiny_model)
    assert killed(application, "evaluate", "chunk", *_RUN).returncode == -signal.SIGKILL
    answer = application.here(*_RUN)
    assert answer.code == 0, answer.err
    for key in ("challengers", "ranking"):
        assert answer.json[key] == expected[key]
    assert comparable(answer.json) == comparable(expected)
    counted = tables(application)
    assert counted["verdicts"] == 3
    assert counted | {"verdicts": 0} == tables(reference) | {"verdicts": 0}
    assert finished_mlflow_runs(application) == ["FINISHED"]


@pytest.mark.slow
def test_what_releases_share_is_computed_once(tmp_path: Path, tiny_model: Path):
    """A challenger that is the champion, and two whose prompts are the same text in two files."""
    application = make_application(tmp_path / "application", tiny_model, calls=0, samples=12)
    home_with_mlflow(application.home)
    path = application.folder / "flywheel.toml"
    copied = path.read_text().replace("[releases.challenger", "[releases.copy")
    copied = copied[copied.index("[releases.copy]") : copied.index("[suites.route]")]
    path.write_text(path.read_text() + copied.replace("two.md", "copy.md"))
    prompts = application.folder / "prompts"
    (prompts / "copy.md").write_text((prompts / "two.md").read_text())
    asked = [part for name in ("champion", "challenger", "copy") for part in ("--challenger", name)]
    told = application.here("eval", "--json", *asked)
    assert told.code == 0, told.err
    assert len(told.json["releases"]) == 4
    assert len({release["digest"] for release in told.json["releases"]}) == 2
    assert (told.json["computed"], told.json["rows_in"]) == (24, 24)
    assert len(told.json["engines"]) == 1
    decided = application.here("gate", "--json").json
    verdicts = {each["release"]: each["suites"][0] for each in decided["challengers"]}
    assert verdicts["challenger"] == verdicts["copy"]
    assert verdicts["champion"]["difference"] == 0
    with duckdb.connect(str(application.home / "flywheel.duckdb"), read_only=True) as store:
        counted = store.execute("SELECT count(*), count(DISTINCT release_digest) FROM completions")
        assert counted.fetchall() == [(24, 2)]
