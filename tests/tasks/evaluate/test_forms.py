"""Calls whose answers had a form, or that had to call a tool, from the store's calls to scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from expectations.contracts import REQUESTS
from tasks.curate.task import curate
from tasks.evaluate.task import evaluate
from tasks.logs.shapes.json_text import dump
from tasks.scoring.tool_call import calls_of
from tasks.settings import parse_settings
from tasks.store import Store
from tests.fake_api import serving_api
from tests.tasks.evaluate.stage import NOW, begin, rows

SCHEMA = {
    "type": "object",
    "properties": {"why": {"enum": ["late", "lost"]}, "again": {"type": "boolean"}},
    "required": ["why", "again"],
    "additionalProperties": False,
}
BY_SCHEMA = {"type": "json_schema", "json_schema": {"name": "r", "strict": True, "schema": SCHEMA}}
TOOL = {"type": "function", "function": {"name": "find", "parameters": SCHEMA}}
NAMED = {"type": "function", "function": {"name": "find"}}
FORCED = {"tools": [TOOL], "tool_choice": NAMED}


def _settings(folder: Path, releases: dict[str, Any]) -> Any:
    suites = {task: {"scorer": "token_f1"} for task in ("form", "call")}
    return parse_settings(
        {"home": "home", "releases": releases, "suites": suites}, base=str(folder)
    )


def _store_calls(settings: Any) -> None:
    calls = [
        {
            "request_id": f"{task}-{number}",
            "format": "canonical",
            "sources": ["a.jsonl:1"],
            "content_digest": "d",
            "run_id": "r0",
            "ingested_at": NOW,
            "operation": "chat",
            "status": "ok",
            "prompt_name": task,
            "started_at": NOW,
            "messages": dump([{"role": "user", "content": f"question {number}"}]),
            "response": dump({"role": "assistant", "content": "an answer"}),
            "params": dump(params),
        }
        for task, params in (("form", {"response_format": BY_SCHEMA}), ("call", FORCED))
        for number in range(6)
    ]
    with Store.open(settings.store_path) as store, store.transaction():
        store.insert(REQUESTS, calls)


def test_the_engine_answers_in_the_form_and_calls_the_tool(tmp_path: Path, tiny_model: Path):
    pytest.importorskip("llguidance")
    release = {"model": str(tiny_model), "sampling": {"max_tokens": 600, "temperature": 1.0},
               "engine": {"device": "cpu", "dtype": "float32"}}  # fmt: skip
    (tmp_path / "two.md").write_text("Answer.")
    settings = _settings(tmp_path, {"one": release, "two": {**release, "prompt": "two.md"}})
    _store_calls(settings)
    run = begin(settings, "r1", eval_set=None)
    curate(run)
    assert evaluate(run).notes["computed"] == 24
    found = rows(
        settings, "SELECT s.task, c.text FROM completions c JOIN samples s USING (sample_id)"
    )
    assert len(found) == 24
    for task, text in found:
        values = [json.loads(text)] if task == "form" else [said for _, said in calls_of(text)]
        assert values, text
        for value in values:
            assert value.keys() == {"why", "again"}
            if task == "form":  # in the order of its schema, though the store sorts keys
                assert list(value) == ["why", "again"]
            assert value["why"] in ("late", "lost")
            assert isinstance(value["again"], bool)


def test_an_api_is_asked_for_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PLANTED", "sk-planted-key-0123456789")
    with serving_api() as api:
        release = {"model": "big-1", "api": "openai", "base_url": api.url, "api_key_env": "PLANTED"}
        settings = _settings(
            tmp_path, {"one": release, "two": {**release, "body": {"user": "two"}}}
        )
        _store_calls(settings)
        run = begin(settings, "r1", eval_set=None)
        curate(run)
        evaluate(run)
        bodies = api.books.bodies
    assert len(bodies) == 24
    forms = [body for body in bodies if "response_format" in body]
    assert len(forms) == 12
    for body in forms:
        assert json.dumps(body["response_format"]["json_schema"]["schema"]["properties"]) == (
            json.dumps(SCHEMA["properties"])
        )
        assert {**body["response_format"]["json_schema"]} == BY_SCHEMA["json_schema"]
    calls = [body for body in bodies if "tools" in body]
    assert len(calls) == 12
    assert all(body["tool_choice"] == NAMED and body["tools"] == [TOOL] for body in calls)
