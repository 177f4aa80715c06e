"""Which questions of production no item is near: cosines against scikit-learn's."""

from __future__ import annotations

import gzip
import json
import random
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from expectations.contracts import REQUESTS
from flows.commands.suite_traffic import show_coverage
from tasks.errors import UsageError
from tasks.settings import read_settings
from tasks.store import Store
from tasks.suites.coverage import Asked, coverage, nearest

NOW = datetime.fromisoformat("2026-11-24T12:00:00")


def test_cosines_are_those_of_scikit_learn():
    text = pytest.importorskip("sklearn.feature_extraction.text")
    pairwise = pytest.importorskip("sklearn.metrics.pairwise")
    rng = random.Random(3)
    words = [f"w{n}" for n in range(30)]
    made = [" ".join(rng.choices(words, k=rng.randint(1, 12))) for _ in range(60)]
    calls, items = made[:45], made[45:]
    vectors = text.TfidfVectorizer(token_pattern=r"\w+", smooth_idf=True).fit(dict.fromkeys(made))
    expected = pairwise.cosine_similarity(vectors.transform(calls), vectors.transform(items))
    found = nearest(Asked(tuple(calls), (None,) * 45), Asked(tuple(items), (None,) * 15))
    np.testing.assert_allclose(found, expected.max(axis=1), atol=1e-9)


def test_a_call_is_covered_by_items_of_its_task_and_texts_without_words_by_none():
    calls = Asked(("my printer broke", "my printer broke", "my printer broke", "…"),
                  ("it", "sales", None, "it"))  # fmt: skip
    items = Asked(("my printer broke", "any question"), ("it", None))
    assert nearest(calls, items).round(6).tolist() == [1.0, 0.0, 1.0, 0.0]
    assert nearest(calls, Asked((), ())).tolist() == [0.0] * 4
    found = coverage(calls, items, near=0.5, near_duplicate=0.8)
    assert [(t.task, t.num_items, t.num_calls, t.num_uncovered) for t in found.tasks] == [
        (None, 2, 1, 0), ("it", 2, 2, 1), ("sales", 1, 1, 1),
    ]  # fmt: skip
    assert (found.num_calls, found.num_uncovered) == (4, 2)


def test_a_call_that_stands_for_others_counts_as_many():
    calls = Asked(("my printer broke", "another thing", "another thing"), ("it",) * 3, (1, 10, 2.5))
    found = coverage(calls, Asked(("my printer broke",), ("it",)), near=0.5, near_duplicate=0.8)
    assert (found.num_calls, found.num_uncovered) == (14, 12)
    assert [one.num_calls for one in found.uncovered] == [12]


def test_the_last_week_is_counted_and_what_is_asked_most_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "flywheel.toml").write_text('[suites.route]\nsamples = "route.jsonl"\n')
    line = {"input": "the printer on floor two broke down", "target": "hardware"}
    (tmp_path / "route.jsonl").write_text(json.dumps(line))
    monkeypatch.chdir(tmp_path)
    with Store.open(read_settings(None).store_path) as store:
        pass
    with pytest.raises(UsageError, match="no calls with a time"):
        show_coverage(7, 0.5, config=None, as_json=True)
    asked = ["the printer on floor two broke down again"] * 5
    asked += ["how do I cancel my monthly plan"] * 3 + ["where is your office in Lisbon"]
    asked += ["an old question that nobody asks any more"] * 2
    ages = [0] * 9 + [8] * 2
    with Store.open(read_settings(None).store_path) as store:
        store.insert(REQUESTS, [
            {"request_id": f"q{n}", "started_at": NOW - timedelta(days=age), "status": "ok",
             "prompt_name": "route", "messages": json.dumps([{"role": "user", "content": text}]),
             "sources": ["a:1"], "format": "canonical", "content_digest": "d", "run_id": "r",
             "ingested_at": NOW}
            for n, (text, age) in enumerate(zip(asked, ages, strict=True))
        ])  # fmt: skip
    assert show_coverage(7, 0.5, config=None, as_json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["num_calls"], told["num_uncovered"]) == (9, 4)
    assert [(one["question"], one["num_calls"]) for one in told["uncovered"]] == [
        ("how do I cancel my monthly plan", 3), ("where is your office in Lisbon", 1),
    ]  # fmt: skip
    show_coverage(30, 0.5, config=None, as_json=False)
    shown = capsys.readouterr().out
    assert "55% of the calls of the last 30 days (6 of 11) have none of 1 items near them" in shown


@pytest.mark.realdata
def test_the_default_tells_known_intents_from_others(shared: Path):
    """The row of the default in docs/suites.md."""

    def read(name: str) -> list[dict[str, str]]:
        with gzip.open(shared / "datasets" / f"clinc_small_{name}.jsonl.gz", "rt") as file:
            return [json.loads(line) for line in file]

    def far(asked: list[dict[str, str]], items: list[dict[str, str]]) -> float:
        texts = [tuple(one["text"] for one in some) for some in (asked, items)]
        cosines = nearest(*(Asked(some, (None,) * len(some)) for some in texts))
        return round(float((cosines < 0.4).mean()), 2)

    rng = random.Random(0)
    known = read("train")
    rng.shuffle(known)
    items, others = known[:3750], known[3750:]
    intents = rng.sample(sorted({one["intent"] for one in known}), 30)
    without = [one for one in items if one["intent"] not in intents]
    assert far(others, items) == 0.13
    assert far([one for one in others if one["intent"] in intents], without) == 0.54
    assert far(read("oos"), items) == 0.82
