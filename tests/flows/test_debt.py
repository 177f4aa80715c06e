"""`flywheel audit debt`: one of each kind planted in store and folder, and none in a clean one."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from expectations import contracts
from tasks.model.receipt import Receipt
from tasks.rules.in_force import calls_rules, feedback_rules, samples_rules
from tasks.run import utc_now
from tasks.settings import read_settings
from tasks.store import Store
from tasks.store.control import ledger
from tests.flows.application import Application
from tests.flows.test_hostile_text import ESC, OBEYED
from tests.tasks.store.test_links import row

_SETTINGS = """
logs = ["logs/*.jsonl", "gone/*.jsonl", "quiet/"]

[gate]
alpha = 0.05
margin = 0.02

[releases.used]
model = "a"
prompt = "prompts/used.md"
[releases.never]
model = "b"
prompt = "prompts/never.md"
sampling = { max_tokens = 64 }

[suites.fresh]
owner = "support"
[suites.unused]
owner = "support"
[suites.old]
owner = "support"
[suites.due]
owner = "support"
review_by = 2020-01-01
[suites.nobodys]
role = "report"
"""
_RULES = """
suite = "calls"
[[rules]]
id = "no_price"
kind = "between"
column = "cost_usd"
min = 0
[[rules]]
id = "fired"
kind = "not_null"
column = "user_hash"
[[rules]]
id = "fired_behind"
kind = "not_null"
column = "release"
"""


def _write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def _judged(*suites: str) -> str:
    return json.dumps([{"suite": name, "metric": "exact", "role": "report"} for name in suites])


@pytest.fixture
def indebted(tmp_path: Path) -> Application:
    folder = tmp_path / "application"
    pin = {"suite": "old", "input": "q", "target": "a", "request_id": "call-9", "why": "w",
           "owner": "support", "expires": "2020-02-03"}  # fmt: skip
    _write(folder, {
        "flywheel.toml": _SETTINGS, "expectations/own.toml": _RULES,
        "prompts/used.md": "a", "prompts/never.md": "b", "prompts/forgotten.md": "c",
        "prompts/notes.rst": "d", "prompts/.hidden.md": "e",
        "logs/a.jsonl": "", "quiet/b.jsonl": "", "pins.jsonl": json.dumps(pin) + "\n",
    })  # fmt: skip
    settings = read_settings(str(folder / "flywheel.toml"), {})
    with Store.open(settings.store_path) as store:
        _fill(store, folder, settings)
    return Application(folder)


def _fill(store: Store, folder: Path, settings: Any) -> None:
    now = utc_now()
    request = json.dumps({"champion": "used", "challengers": ["used"]})
    runs = {"recent": now - timedelta(days=1), "long ago": now - timedelta(days=40)}
    for run_id, at in runs.items():
        store.insert(contracts.RUNS, [
            row(contracts.RUNS, run_id=run_id, request=request, started_at=at,
                eval_set_digest="newset" if run_id == "recent" else "oldset")
        ])  # fmt: skip
    store.insert(contracts.VERDICTS, [
        row(contracts.VERDICTS, run_id="recent", role="challenger", created_at=runs["recent"],
            suites=_judged("fresh", "old", "due", "nobodys")),
        row(contracts.VERDICTS, run_id="long ago", role="challenger", created_at=runs["long ago"],
            suites=_judged("fresh", "unused")),
    ])  # fmt: skip
    sets = {"oldset": now - timedelta(days=200), "newset": now - timedelta(days=100)}
    for digest, at in sets.items():
        made = row(contracts.EVAL_SETS, eval_set_digest=digest, created_at=at, num_samples=7,
                   rule=json.dumps({"judged_by": samples_rules(settings).version}))  # fmt: skip
        store.insert(contracts.EVAL_SETS, [made])
    for sample, suite, digest in [("s1", "old", "oldset"), ("s1", "old", "newset"),
                                  ("s2", "due", "oldset")]:  # fmt: skip
        made = row(contracts.SAMPLES, sample_id=sample, suite=suite)
        store.insert(contracts.SAMPLES, [made], existing="keep")
        member = row(contracts.EVAL_SET_SAMPLES, eval_set_digest=digest, sample_id=sample)
        store.insert(contracts.EVAL_SET_SAMPLES, [member])
    for path, rows_out, days in [("logs/a.jsonl", 5, 1), ("quiet/b.jsonl", 4, 33),
                                 ("quiet/b.jsonl", 0, 1), ("elsewhere/c.jsonl", 70, 2),
                                 ("elsewhere/d.jsonl", 7, 2), ("empty/e.jsonl", 0, 2)]:  # fmt: skip
        values = {"path": str(folder / path), "digest": f"{path}{days}", "rows_out": rows_out,
                  "read_at": now - timedelta(days=days)}  # fmt: skip
        store.insert(contracts.SOURCES, [row(contracts.SOURCES, **values)])
    notes = {"by_reason": {}, "warnings": {"fired": 3},
             "suite_version": calls_rules(settings).version,
             "feedback": {"rows_in": 11, "by_reason": {}, "warnings": {}}}  # fmt: skip
    ledger.finish_stage(store, "recent", Receipt("validate", "k", 900, 900, notes=notes), now)
    ledger.finish_stage(store, "recent", Receipt("evaluate", "k", 2, 2), now)
    behind = row(contracts.QUARANTINE, quarantine_id="q", also_failed=["fired_behind"])
    store.insert(contracts.QUARANTINE, [behind])


def _found(application: Application, *options: str) -> dict[str, dict[str, Any]]:
    answer = application.here("audit", "debt", "--json", *options)
    assert answer.code == 0, answer.err
    assert sum(answer.json["counts"].values()) == len(answer.json["findings"])
    return {f"{one['kind']} {one['subject']}": one for one in answer.json["findings"]}


def test_one_of_each_kind_is_found_and_nothing_else(indebted: Application):
    found = _found(indebted)
    day = utc_now().date()
    expected: dict[str, object] = {
        "unused_suite unused": f"{day - timedelta(days=40)}",
        "stale_suite due": "2020-01-01",
        "stale_suite old": f"{day - timedelta(days=200)}",
        "stale_set newset": f"{day - timedelta(days=100)}",
        "no_owner suites.nobodys": None,
        "silent_rule own.toml: no_price": 900,
        "unevaluated_release never": None,
        "dead_input gone/*.jsonl": None,
        "dead_input quiet/": f"{day - timedelta(days=33)}",
        f"undeclared_input {indebted.folder / 'elsewhere'}": 77,
        "unused_prompt prompts/forgotten.md": None,
        "expired_pin call-9": "2020-02-03",
        "default_setting gate.alpha": 5,
        "default_setting releases.never.sampling.max_tokens": 14,
    }
    assert {name: one["value"] for name, one in found.items()} == expected
    assert all(one["next"] and one["evidence"] for one in found.values())
    assert len({one["kind"] for one in found.values()}) == 11


def test_what_counts_as_unused_and_as_stale_can_be_said(indebted: Application):
    later = _found(indebted, "--days", "50", "--max-age", "300")
    assert not {
        "unused_suite unused",
        "dead_input quiet/",
        "stale_suite old",
        "stale_set newset",
    } & (later.keys())
    assert "stale_suite due" in later
    sooner = _found(indebted, "--days", "1")
    assert {"unused_suite fresh", "dead_input logs/*.jsonl"} <= sooner.keys()


def test_built_in_rules_are_told_apart(indebted: Application):
    value = indebted.here("audit", "debt", "--json").json
    settings = read_settings(str(indebted.folder / "flywheel.toml"), {})
    sets = [calls_rules(settings), feedback_rules(settings), samples_rules(settings)]
    ours = [r.id for s in sets for r in s.rules if not r.origin and r.severity != "batch"]
    assert value["silent_built_in_rules"] == sorted(ours)
    assert value["num_judged"] == 900 + 11 + 14


def test_only_strict_fails(indebted: Application):
    answer = indebted.here("audit", "debt")
    assert answer.code == 0
    for text in ("unused suite", "owner = ", "flywheel.toml:5 says the default", "14 found"):
        assert text in answer.out, answer.out
    assert indebted.here("audit", "debt", "--strict").code == 1


def test_a_clean_application_has_none(tmp_path: Path):
    _write(tmp_path, {"flywheel.toml": '[releases.a]\nmodel = "m"\n[judges.j]\nrelease = "a"\n'
                      'rubric = "r"\n'})  # fmt: skip
    application = Application(tmp_path)
    answer = application.here("audit", "debt", "--strict", "--json")
    assert (answer.code, answer.json["findings"]) == (0, [])
    assert not application.home.exists()
    with Store.open(application.home / "flywheel.duckdb"):
        pass
    told = application.here("audit", "debt", "--strict")
    assert (told.code, told.out) == (0, "nothing is unused, stale or without an owner\n")


def test_without_a_store_what_is_declared_was_never_used(tmp_path: Path):
    _write(tmp_path, {"flywheel.toml": 'logs = ["s3://bucket/*.jsonl"]\n[suites.a]\nowner = "o"\n'
                      '[releases.r]\nmodel = "m"\n'})  # fmt: skip
    assert _found(Application(tmp_path)).keys() == {
        "unused_suite a", "unevaluated_release r", "dead_input s3://bucket/*.jsonl",
    }  # fmt: skip


def test_names_are_shown_and_not_obeyed(tmp_path: Path):
    name = json.dumps(f"[red]{ESC}").replace("\x7f", "\\u007f")
    _write(tmp_path, {"flywheel.toml": f"[suites.{name}]\n"})
    application = Application(tmp_path)
    for options in ([], ["--json"]):
        answer = application.here("audit", "debt", *options)
        assert answer.code == 0, answer.err
        assert not any(mark in answer.out for mark in OBEYED)
        assert "[red]" in answer.out
