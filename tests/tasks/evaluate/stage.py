"""A store with an eval set, and runs over it: what the tests of the stage share."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from expectations.contracts import EVAL_SET_SAMPLES, EVAL_SETS, SAMPLES
from tasks.model.run import RunRequest
from tasks.run import Run, silent
from tasks.settings import Settings, parse_settings
from tasks.store import Store
from tasks.store.control import ledger

NOW = datetime(2026, 11, 24, 12, 0, 0)  # noqa: DTZ001 - the store keeps UTC without a zone
EVAL_SET = "set-1"


def settings_for(folder: Path, model: Path | str, **extra: Any) -> Settings:
    """Releases one, two (other prompt) and same (as one); suites words and labels."""
    for name, text in {"one": "Answer.", "two": "Answer briefly."}.items():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")
    sampling = {"max_tokens": 4}
    engine = {"device": "cpu", "dtype": "float32"}
    release = {"model": str(model), "sampling": sampling, "engine": engine}
    values: dict[str, Any] = {
        "home": "home",
        "releases": {
            "one": {**release, "prompt": "one.md"},
            "two": {**release, "prompt": "two.md"},
            "same": {**release, "prompt": "one.md"},
        },
        "suites": {"words": {"scorer": "token_f1"}, "labels": {"scorer": "choice"}},
    }
    return parse_settings({**values, **extra}, base=str(folder))


def sample(number: int, **changes: Any) -> dict[str, Any]:
    row = {
        "sample_id": f"sample-{number:03d}",
        "suite": "words" if number % 2 else "labels",
        "task": "words" if number % 2 else "labels",
        "messages": json.dumps([{"role": "user", "content": f"question {number}"}]),
        "system": None,
        "target": "an answer" if number % 2 else "yes | no",
        "target_kind": "gold",
        "origin": "suite",
        "slices": "{}",
        "must_pass": False,
        "weight": 1.0,
    }
    return {**row, **changes}


def store_eval_set(settings: Settings, samples: list[dict[str, Any]]) -> None:
    with Store.open(settings.store_path) as store, store.transaction():
        store.insert(SAMPLES, samples)
        row = {"eval_set_digest": EVAL_SET, "created_at": NOW, "run_id": "r0", "rule": "{}"}
        store.insert(EVAL_SETS, [{**row, "num_samples": len(samples)}])
        places = [
            {
                "eval_set_digest": EVAL_SET,
                "sample_id": each["sample_id"],
                "position": place,
                "cluster_id": each["sample_id"],
            }
            for place, each in enumerate(samples)
        ]
        store.insert(EVAL_SET_SAMPLES, places)


def begin(
    settings: Settings,
    run_id: str,
    champion: str = "one",
    challenger: str = "two",
    *,
    more: tuple[str, ...] = (),
    seed: int = 0,
    progress: Callable[..., None] = silent,
    eval_set: str | None = EVAL_SET,
) -> Run:
    request = RunRequest(champion=champion, challengers=(challenger, *more), seed=seed)
    run = Run(run_id, request, settings, progress, lambda: NOW)
    with run.open_store() as store, store.transaction():
        if store.scalar("SELECT count(*) FROM runs WHERE run_id = ?", [run_id]) == 0:
            ledger.begin_run(store, run_id, request.to_json(), request.digest(settings.digest), NOW)
            if eval_set is not None:
                ledger.annotate_run(store, run_id, eval_set_digest=eval_set)
    return run


def rows(settings: Settings, sql: str) -> list[tuple[Any, ...]]:
    with Store.open(settings.store_path, read_only=True) as store:
        return store.rows(sql)
