"""`flywheel pin` on a store with calls."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from expectations.contracts import FEEDBACK, REQUESTS
from flows.commands.pin import pin
from tasks.errors import UsageError
from tasks.settings import parse_settings
from tasks.store import Store

_NOW = datetime(2026, 11, 30, tzinfo=UTC).replace(tzinfo=None)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("pin")
    text = '[suites.route]\nowner = "support"\n[suites.mood]\n'
    (folder / "flywheel.toml").write_text(text)
    (folder / ".flywheel").mkdir()
    settings = parse_settings({"suites": {"route": {}}}, base=str(folder))
    with Store.open(settings.store_path) as store:
        store.insert(REQUESTS, [
            {"request_id": f"call-{n}", "prompt_name": task, "status": "ok",
             "messages": json.dumps([{"role": "user", "content": f"question {n}"}]),
             "response": json.dumps({"role": "assistant", "content": "billing"}),
             "sources": ["a:1"], "format": "canonical", "content_digest": "d", "run_id": "r",
             "ingested_at": _NOW}
            for n, task in ((1, "route"), (2, "route"), (30, "other"))
        ])  # fmt: skip
        store.insert(FEEDBACK, [
            {"feedback_id": "f", "request_id": "call-1", "kind": "correction",
             "corrected": "printer", "source": "a:1", "run_id": "r"}
        ])  # fmt: skip
    return str(folder / "flywheel.toml")


def _pin(config: str, request_id: str = "", *, as_json: bool = False, **asked: str) -> int:
    said = {"why": "it matters", "owner": "", "expires": "", "suite": "", "target": "", **asked}
    return pin(request_id, config=config, as_json=as_json, **said)


def test_a_call_is_pinned_with_the_answer_people_gave_and_listed(
    config: str, capsys: pytest.CaptureFixture[str]
):
    assert _pin(config) == 0
    assert "no call is pinned" in capsys.readouterr().out
    assert _pin(config, "call-1", why="ask ann@example.com", expires="2099-01-31") == 0
    assert "pinned in suite route" in capsys.readouterr().out
    assert _pin(config, "call-2", target="network", as_json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["suite"], told["target"], told["owner"]) == ("route", "network", "support")
    (first, _) = (Path(config).parent / "pins.jsonl").read_text().splitlines()
    kept = json.loads(first)
    assert (kept["target"], kept["expires"], kept["owner"]) == ("printer", "2099-01-31", "support")
    assert "ann@example.com" not in first
    _pin(config, as_json=True)
    pins = json.loads(capsys.readouterr().out)["pins"]
    assert [(one["request_id"], one["holds"]) for one in pins] == [
        ("call-1", True), ("call-2", True),
    ]  # fmt: skip
    _pin(config)
    assert "2099-01-31" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("request_id", "asked", "told"),
    [
        ("call-1", {"why": " "}, "needs a reason"),
        ("call-1", {"expires": "soon"}, "wants a day"),
        ("call-1", {"expires": "2001-01-01"}, "expired before it holds"),
        ("call-9", {}, "no call of the store"),
        ("call", {}, "3 calls have an id that begins so"),
        ("call-30", {"target": "x"}, "which suite asks such a call"),
        ("call-30", {"suite": "mod", "target": "x"}, "which suite asks such a call"),
        ("call-30", {"suite": "mood"}, "nobody has said what the right answer"),
    ],
)
def test_what_cannot_be_pinned_is_a_line(
    config: str, request_id: str, asked: dict[str, str], told: str
):
    with pytest.raises(UsageError, match=told):
        _pin(config, request_id, **asked)


def test_a_pin_of_a_suite_that_nobody_owns_has_no_owner(
    config: str, capsys: pytest.CaptureFixture[str]
):
    assert _pin(config, "call-30", suite="mood", target="good", as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["owner"] == ""
    _pin(config, as_json=True)
    assert json.loads(capsys.readouterr().out)["pins"][-1]["owner"] == ""
