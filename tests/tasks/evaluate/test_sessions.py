"""Fifty sessions of an agent, two prompts, and a regression that was planted in the third step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from data import agent
from tasks.curate.task import curate
from tasks.evaluate.task import evaluate
from tasks.gate.task import gate
from tasks.settings import Settings, parse_settings
from tests.fake_api import serving_api
from tests.tasks.evaluate.stage import begin, rows

KEY = "sk-planted-key-0123456789"
OLD, NEW, BAD = "Follow the rule.", "Follow the rule, and be brief.", "Be generous."


def _turn(body: dict[str, Any]) -> Any:
    """The recorded agent; by a new prompt it writes the same calls in another way, and by the bad
    one it refunds the whole price whatever the rule is."""
    system, *messages = body["messages"]
    turn = agent.next_turn(messages)
    if isinstance(turn, str) or system["content"] == OLD:
        return turn
    name, arguments = turn
    if name == "refund" and system["content"] == BAD:
        found = json.loads(messages[2]["content"])
        arguments = {**arguments, "amount": found["price"]}
    written = {k: f" {v} " if isinstance(v, str) else v for k, v in arguments.items()}
    return name, dict(reversed(written.items()))


def _call(body: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    turn = _turn(body)
    return None if isinstance(turn, str) else turn


def _answer(body: dict[str, Any]) -> str:
    turn = _turn(body)
    return turn if isinstance(turn, str) else ""


def _settings(folder: Path, url: str) -> Settings:
    for name, text in (("old", OLD), ("new", NEW), ("bad", BAD)):
        (folder / f"{name}.md").write_text(text)
    lines = (json.dumps(line) + "\n" for line in agent.sessions(50))
    (folder / "agent.jsonl").write_text("".join(lines))
    release = {"model": "big-1", "api": "openai", "base_url": url, "api_key_env": "PLANTED"}
    return parse_settings({
        "home": "home",
        "releases": {
            name: {**release, "prompt": f"{name}.md"} for name in ("old", "new", "bad")
        },
        "suites": {"agent": {"samples": "agent.jsonl", "scorer": "step", "role": "guard"}},
    }, base=str(folder))  # fmt: skip


def test_the_step_at_which_a_prompt_departs_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANTED", KEY)
    with serving_api(call=_call, answer=_answer) as api:
        settings = _settings(tmp_path, api.url)
        run = begin(settings, "r1", "old", "new", more=("bad",), eval_set=None)
        curate(run)
        evaluate(run)
        receipt = gate(run)
        assert api.books.bodies[0]["tools"] == agent.TOOLS
    num_steps = sum(3 if n % 3 == 2 else 5 for n in range(50))
    assert rows(settings, "SELECT count(*), count(DISTINCT cluster_id) FROM eval_set_samples") == [
        (num_steps, 50)
    ]
    assert receipt.notes["challengers"] == {"challenger": "no_worse", "challenger_2": "worse"}
    told = {
        role: json.loads(reasons)
        for role, reasons in rows(settings, "SELECT role, reasons FROM verdicts")
    }
    late = sum(n % 3 == 1 for n in range(50))
    found = receipt.notes["sessions"]["agent"]
    assert found["challenger"]["departed"] == found["champion"]["departed"] == 0
    assert found["challenger_2"] == {
        "num_sessions": 50, "departed": late, "departures": {"3": late}, "tools": 50, "order": 50,
        "arguments": 50 - late, "length": 50, "goal": 50,
    }  # fmt: skip
    assert not any("departs" in reason for reason in told["challenger"])
    assert (
        f"Suite agent: in {late} of 50 sessions the challenger departs from what was recorded "
        f"before the champion does, in {late} of them at step 3: refund is called with other "
        "arguments."
    ) in told["challenger_2"]
