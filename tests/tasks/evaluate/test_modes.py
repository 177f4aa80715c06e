"""Suites that choose and weigh, from their files to scores and verdict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.curate.task import curate
from tasks.errors import ConfigurationError, UsageError
from tasks.evaluate.task import evaluate
from tasks.gate.task import gate
from tasks.model.likelihoods import from_text
from tasks.model.run import RunRequest
from tasks.preflight import require
from tasks.settings import Settings
from tests.tasks.evaluate.stage import begin, rows, settings_for

SUITES: dict[str, dict[str, Any]] = {
    "pick": {"mode": "choose", "samples": "pick.jsonl", "role": "report"},
    "plain": {"mode": "choose", "template": "raw", "samples": "pick.jsonl",
              "also": [{"name": "multiple_choice", "normalised": True}]},
    "text": {"mode": "perplexity", "samples": "text.jsonl"},
}  # fmt: skip


def _settings(folder: Path, model: Path | str, **changes: Any) -> Settings:
    pick = [
        {"input": f"question {n}", "choices": ["yes", "no, never", f"it is {n}"], "target": n % 3}
        for n in range(12)
    ]
    text = [{"input": f"question {n}", "target": f"The answer is {n}."} for n in range(8)]
    for name, lines in (("pick", pick), ("text", text)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return settings_for(folder, model, suites=SUITES, **changes)


def test_a_suite_of_choices_is_judged_and_asked_once(tmp_path: Path, tiny_model: Path):
    settings = _settings(tmp_path, tiny_model)
    run = begin(settings, "r1", eval_set=None)
    curate(run)
    receipt = evaluate(run)
    assert (receipt.notes["computed"], receipt.notes["unscored"]) == (2 * (12 + 12 + 8), 0)
    assert gate(run).notes["challengers"].keys() == {"challenger"}
    found = rows(
        settings,
        "SELECT s.suite, s.target, c.text, x.scorer, x.value, x.answer "
        "FROM scores x JOIN completions c USING (release_digest, sample_id, seed) "
        "JOIN samples s USING (sample_id)",
    )
    assert len(found) == 2 * (12 + 2 * 12 + 8)
    chosen = set()
    for suite, target, text, scorer, value, answer in found:
        weighed = from_text(text)
        if suite == "text":
            assert 0 < value < 1
            assert [one.text for one in weighed] == [target]
            continue
        by = (lambda one: one.logprob / len(one.text)) if "norm" in scorer else (
            lambda one: one.logprob)  # fmt: skip
        best = max(weighed, key=by).text
        assert (answer, value) == (best, float(best == target))
        chosen.add(value)
    assert chosen == {0.0, 1.0}

    # another way to count what was weighed computes nothing anew
    by_character = {
        **SUITES, "pick": {**SUITES["pick"], "scorer": {"name": "multiple_choice",
                                                        "normalised": True}},
    }  # fmt: skip
    other = settings_for(tmp_path, tiny_model, suites=by_character)
    again = begin(other, "r2", eval_set=None)
    notes = evaluate(again).notes
    assert (notes["computed"], notes["cached"]) == (0, 2 * (12 + 12 + 8))


def test_an_api_is_refused_before_anything_is_asked(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PLANTED", "sk-planted")
    settings = _settings(tmp_path, tiny_model)
    hosted = {"model": "m", "api": "openai", "base_url": "http://127.0.0.1:1/v1",
              "api_key_env": "PLANTED"}  # fmt: skip
    releases = {"one": settings.releases["one"].model_dump(exclude_unset=True), "far": hosted}
    settings = _settings(tmp_path, tiny_model, releases=releases)
    request = RunRequest(stages=("evaluate",), champion="one", challengers=("far",))
    with pytest.raises(ConfigurationError, match="no log-likelihood of a given text") as caught:
        require(settings, request)
    assert "releases.far.api" in [problem.key for problem in caught.value.problems]
    run = begin(settings, "r1", "one", "far", eval_set=None)
    curate(run)
    with pytest.raises(UsageError, match="'far' answers through an API"):
        evaluate(run)
