"""Versions of a suite in files and in the store, what differs, and how often each has decided."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from expectations.contracts import RUNS
from flows.commands.suite_diff import diff_suites
from flows.commands.suite_list import list_suites
from tasks.curate.assemble import assemble
from tasks.curate.suites import read_suite
from tasks.curate.targets import TargetResolver
from tasks.errors import UsageError
from tasks.evidence.reuse import MANY_DECISIONS, reuse_of
from tasks.evidence.worn import worn_suites
from tasks.settings import CurateSettings, Settings, read_settings
from tasks.store import Store
from tasks.store.control.verdicts import write_verdict
from tasks.store.evals.reuse import read_decided_suites, shares_of_sets
from tasks.store.evals.samples import read_eval_set, write_eval_set
from tasks.suites.differences import differences
from tasks.suites.versions import of_file, of_set

NOW = datetime.fromisoformat("2026-11-24T12:00:00")
CONFIG = """
[suites.route]
samples = "route.jsonl"
owner = "support"
purpose = "tickets reach the right queue"
review_by = 2020-01-01
[suites.other]
task = "other"
"""


def item(number: int, target: str = "hardware", **more: Any) -> dict[str, Any]:
    return {"input": f"ticket number {number} of today", "target": target, **more}


def write(path: Path, items: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in items))
    return path


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    (tmp_path / "flywheel.toml").write_text(CONFIG)
    write(tmp_path / "route.jsonl", [item(n) for n in range(10)])
    monkeypatch.chdir(tmp_path)
    return read_settings(None)


def keep_set(store: Store, settings: Settings, run_id: str) -> str:
    """The eval set of the suite file as it is now, as curate makes it."""
    drafts = read_suite("route", "route", settings.path("route.jsonl"))
    resolver = TargetResolver({}, drafts, use_logged=False)
    made = assemble(drafts, [], resolver, CurateSettings(), 0, gating=("route",)).eval_set
    write_eval_set(store, made.digest, made.samples, created_at=NOW, run_id=run_id,
                   parent_digest=None, rule="{}")  # fmt: skip
    return made.digest


def test_a_file_and_the_set_made_of_it_are_one_version_and_a_changed_file_is_not(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path = settings.path("route.jsonl")
    with Store.open(settings.store_path) as store:
        digest = keep_set(store, settings, "r1")
        kept = of_set(store, digest[:10], "")
        with pytest.raises(UsageError, match="no file, eval set or run"):
            of_set(store, "nothing", "")
        with pytest.raises(UsageError, match="no such suite"):
            of_set(store, digest, "other")
    old = of_file(path, settings)
    assert old.digest == kept.digest
    assert differences(old, kept).num_same == 10
    changed = [item(0, "billing"), item(1, must_pass=True), item(2, slices={"k": "v"}), item(99)]
    new_path = write(tmp_path / "next.jsonl", changed + [item(n) for n in range(4, 10)])
    found = differences(kept, of_file(new_path, settings, "route"))
    assert [one.question for one in found.added] == ["ticket number 99 of today"]
    assert [one.question for one in found.removed] == ["ticket number 3 of today"]
    assert [(one.before, one.after) for one in found.changed] == [
        ({"target": "hardware"}, {"target": "billing"}),
        ({"must_pass": False}, {"must_pass": True}),
        ({"slices": {}}, {"slices": {"k": "v"}}),
    ]
    assert found.num_same == 6
    assert diff_suites(digest[:8], str(new_path), "route", config=None, as_json=False) == 0
    text = capsys.readouterr().out
    assert "1 added, 1 removed, 3 changed, 6 the same" in text
    assert "~ ticket number 0 of today: target: hardware → billing" in text
    with pytest.raises(UsageError, match="there is no such file"):
        diff_suites("rout.jsonl", str(path), "", config=None, as_json=False)
    diff_suites(str(path), str(path), "", config=None, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["num_same"], told["added"], told["changed"]) == (10, [], [])
    assert told["old"]["digest"] == kept.digest


#: run, champion, challengers, seed, role of the suite
_TURNS: list[tuple[str, str, list[str], int, str]] = [
    ("r1", "A", ["B"], 0, "guard"),
    ("r2", "A", ["B"], 0, "guard"),  # the same look again
    ("r3", "A", ["B"], 1, "guard"),  # another seed
    ("r4", "A", ["C", "D"], 0, "primary"),  # two share its error rate
    ("r5", "B", ["C"], 0, "report"),  # it only informed
    ("r6", "B", ["C"], 0, "primary"),
]


def decide(store: Store, digest: str, turns: list[tuple[str, str, list[str], int, str]]) -> None:
    for day, (run_id, champion, challengers, seed, role) in enumerate(turns):
        request = json.dumps({"seed": seed, "repeats": 1})
        store.insert(RUNS, [{
            "run_id": run_id, "request": request, "request_digest": run_id, "state": "completed",
            "pid": 1, "started_at": NOW, "eval_set_digest": digest, "champion_digest": champion,
            "challenger_digest": challengers[0], "more_challengers": challengers[1:],
        }])  # fmt: skip
        for place in range(len(challengers)):
            write_verdict(
                store, run_id, "challenger" if place == 0 else f"challenger_{place + 1}",  # type: ignore[arg-type]
                verdict="no_worse", reasons=(), suites=(), slices=(), guardrails=(),
                now=NOW + timedelta(days=day), is_leading=place == 0,
            )  # fmt: skip
            store.execute(
                "UPDATE verdicts SET suites = ? WHERE run_id = ?",
                [json.dumps([{"suite": "route", "role": role}]), run_id],
            )


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with Store.open(settings.store_path) as opened:
        yield opened


def test_every_look_counts_once_and_challengers_of_a_run_share_its_error_rate(
    settings: Settings, store: Store
):
    digest = keep_set(store, settings, "r1")
    decide(store, digest, _TURNS)
    ids = [one.sample_id for one in of_set(store, digest, "route").items]
    decided = read_decided_suites(store)
    reuse = reuse_of("route", decided, shares_of_sets(store, ids), 0.05)
    # by hand: AB seed 0, AB seed 1, AC, AD (half each), BC
    assert (reuse.num_decisions, reuse.num_challengers, reuse.num_champions) == (5, 3, 2)
    assert reuse.spent == pytest.approx(0.025 * 4)
    assert reuse.last_used == NOW + timedelta(days=5)
    assert reuse_of("other", decided, shares_of_sets(store, ids), 0.05).num_decisions == 0
    # nine of ten items are nearly all, eight are not
    nine = shares_of_sets(store, [*ids[:9], "new"])
    eight = shares_of_sets(store, [*ids[:8], "new", "newer"])
    assert reuse_of("route", decided, nine, 0.05).num_decisions == 5
    assert reuse_of("route", decided, eight, 0.05).num_decisions == 0


def test_a_suite_that_has_decided_too_often_is_told_until_it_is_renewed(
    settings: Settings, capsys: pytest.CaptureFixture[str]
):
    def listed() -> dict[str, Any]:
        assert list_suites(config=None, as_json=True) == 0
        told: dict[str, Any] = json.loads(capsys.readouterr().out)
        return {"cautions": told["cautions"], **{one["suite"]: one for one in told["suites"]}}

    before = listed()  # there is no store yet
    assert (before["route"]["num_items"], before["route"]["num_decisions"]) == (10, 0)
    assert before["route"]["review_by"] == "2020-01-01"
    assert len(before["cautions"]) == 1
    assert "reviewed by 2020-01-01: its owner support" in before["cautions"][0]
    with Store.open(settings.store_path) as store:
        digest = keep_set(store, settings, "r")
        turns = [(f"r{n:02}", "A", [f"B{n}"], 0, "guard") for n in range(MANY_DECISIONS)]
        decide(store, digest, turns[:-1])
    assert listed()["route"]["is_worn"] is False
    with Store.open(settings.store_path) as store:
        decide(store, digest, turns[-1:])
        samples = read_eval_set(store, digest)
        told = list(worn_suites(store, samples, {"route", "other"}, 0.05))
        assert list(worn_suites(store, samples, {"other"}, 0.05)) == []
    worn = listed()
    assert told == worn["cautions"][:1]
    assert worn["route"]["is_worn"] is True
    assert worn["route"]["num_challengers"] == MANY_DECISIONS
    assert "chance of up to 50% (decisions × alpha / 2, alpha 0.05)" in worn["cautions"][0]
    assert list_suites(config=None, as_json=False) == 0
    shown = capsys.readouterr().out
    assert "caution: suite route has decided 20 times" in shown
    assert "tickets reach the right queue" in shown
    write(settings.path("route.jsonl"), [item(n) for n in range(2, 12)])
    renewed = listed()
    assert renewed["route"]["num_decisions"] == 0
    assert renewed["route"]["digest"] != worn["route"]["digest"]
