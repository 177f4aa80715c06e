"""A store filled by hand with one decided run: 40 samples, two releases, a verdict."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from expectations.contracts import (
    COMPLETIONS,
    EVAL_SET_SAMPLES,
    EVAL_SETS,
    QUARANTINE,
    RELEASES,
    REQUESTS,
    SAMPLES,
    SCORES,
    SOURCES,
    VERDICTS,
)
from tasks.model.receipt import Receipt
from tasks.model.run import RunRequest
from tasks.run import Run
from tasks.settings import parse_settings
from tasks.store import Store
from tasks.store.control import ledger

RUN_ID = "20261124-160700-3f9a1c"
NOW = datetime(2026, 11, 24, 16, 7)  # noqa: DTZ001 - the store keeps UTC without a zone
HOSTILE = '<script>alert("owned")</script> | <img src=x onerror=alert(1)> $x_{$ `tick`'


def digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def make_run(home: Path, *, run_id: str = RUN_ID, seed: int = 0, **mlflow: Any) -> Run:
    settings = parse_settings({"home": str(home), "mlflow": mlflow}, base=str(home))
    request = RunRequest(
        logs=(str(home / "logs" / "*.jsonl"),),
        champion="prod",
        challengers=("candidate",),
        seed=seed,
    )
    return Run(run_id, request, settings)


def fill(
    run: Run, *, num_samples: int = 40, same_release: bool = False, verdict: str = "worse"
) -> None:
    """Everything before record, as the other stages leave it."""
    with run.open_store() as store, store.transaction():
        _fill(store, run, num_samples, same_release, verdict)


def _fill(store: Store, run: Run, num_samples: int, same_release: bool, verdict: str) -> None:
    names = ("prod", "prod" if same_release else "candidate")
    digests = tuple(digest("release", name) for name in names)
    samples = [_sample(number) for number in range(num_samples)]
    set_digest = digest(*sorted(sample["sample_id"] for sample in samples))
    ledger.begin_run(store, run.run_id, run.request.to_json(), run.run_id, NOW)
    ledger.annotate_run(
        store,
        run.run_id,
        eval_set_digest=set_digest,
        champion_digest=digests[0],
        challenger_digest=digests[1],
    )
    store.insert(SAMPLES, samples, existing="keep")
    rule = json.dumps({"seed": 0, "max_samples": 200})
    eval_set = {
        "eval_set_digest": set_digest,
        "created_at": NOW,
        "run_id": run.run_id,
        "rule": rule,
        "num_samples": num_samples,
    }
    store.insert(EVAL_SETS, [eval_set], existing="keep")
    members = [
        {
            "eval_set_digest": set_digest,
            "sample_id": sample["sample_id"],
            "position": place,
            "cluster_id": f"cluster-{place // 2}",
            "is_counted": sample["origin"] != "failure",
        }
        for place, sample in enumerate(samples)
    ]
    store.insert(EVAL_SET_SAMPLES, members, existing="keep")
    releases = [_release(name) for name in dict.fromkeys(names)]
    store.insert(RELEASES, releases, existing="keep")
    for place, release in enumerate(releases):
        _answers(store, run, release["release_digest"], samples, better=place == 0)
    _logs(store, run, samples)
    store.insert(VERDICTS, [_verdict(run, verdict, num_samples)])
    for place, receipt in enumerate(_receipts(num_samples)):
        ledger.finish_stage(store, run.run_id, receipt, NOW + timedelta(seconds=place))


def _sample(number: int) -> dict[str, Any]:
    suite = ("tickets", "orders", "logged")[number % 3]
    text = f"Ticket {number}: my parcel of order A-{1000 + number} has not arrived. "
    text += HOSTILE if number == 5 else ""
    targets = {"tickets": "shipping", "orders": f"A-{1000 + number}"}
    target = targets.get(suite, f"Sorry about {number}.")
    return {
        "sample_id": digest("sample", number),
        "suite": suite,
        "task": suite if suite != "logged" else "chat",
        "messages": json.dumps([{"role": "user", "content": text}]),
        "system": "You sort tickets." if suite == "logged" else None,
        "target": target,
        "target_kind": "gold" if suite != "logged" else "logged",
        "origin": ("suite", "failure", "traffic")[number % 3],
        "slices": json.dumps(
            {"origin": ("suite", "failure", "traffic")[number % 3], "task": suite}
        ),
        "must_pass": number == 3,
        "weight": 1.0,
        "request_id": f"req-{number}",
    }


def _release(name: str) -> dict[str, Any]:
    prompts = {
        "tickets": [{"role": "system", "content": f"You sort tickets for {name}. {{{{topic}}}}"}],
        "orders": [{"role": "system", "content": "Answer with the order number."}],
    }
    return {
        "release_digest": digest("release", name),
        "name": name,
        "model": "models/smol.gguf",
        "model_digest": digest("model"),
        "prompt_digest": digest("prompt", name),
        "prompts": json.dumps(prompts),
        "sampling": json.dumps({"max_tokens": 32, "temperature": 0.0, "top_p": 1.0, "stop": []}),
        "engine": json.dumps({"dtype": "float32", "device": "cpu", "engine_version": "0.1.0"}),
        "created_at": NOW,
    }


def _answers(
    store: Store, run: Run, release_digest: str, samples: list[dict[str, Any]], *, better: bool
) -> None:
    completions, scores = [], []
    for number, sample in enumerate(samples):
        missing = not better and number == 7
        right = better or number % 4 != 1
        text = (
            sample["target"]
            if right
            else f"I cannot say {number}. {HOSTILE if number == 5 else ''}"
        )
        key = {
            "release_digest": release_digest,
            "sample_id": sample["sample_id"],
            "seed": run.request.seed,
        }
        completions.append(
            {
                **key,
                "text": None if missing else text,
                "finish_reason": "error" if missing else "stop",
                "input_tokens": 40,
                "cached_tokens": 10,
                "output_tokens": 8,
                "error": "the prompt is longer than the context" if missing else None,
                "fault": "release" if missing else None,
                "run_id": run.run_id,
                "created_at": NOW,
            }
        )
        if missing:
            continue
        graded = sample["suite"] == "logged"
        unscored = not better and number == 9
        scores.append(
            {
                **key,
                "scorer": "token_f1@1" if graded else "exact_match@1",
                "value": None if unscored else (1.0 if right else 0.25 if graded else 0.0),
                "unscored_reason": "the target is empty" if unscored else None,
                "fault": "judge" if unscored else None,
                "answer": text,
                "explanation": f"compared {text!r} with {sample['target']!r}",
            }
        )
    store.insert(COMPLETIONS, completions, existing="keep")
    store.insert(SCORES, scores, existing="keep")


def _logs(store: Store, run: Run, samples: list[dict[str, Any]]) -> None:
    path = f"{run.settings.home_path}/logs/day <1>.jsonl"
    requests = [
        {
            "request_id": sample["request_id"],
            "sources": [f"{path}:{number + 1}"],
            "format": "canonical",
            "content_digest": digest(number),
            "run_id": run.run_id,
            "ingested_at": NOW,
        }
        for number, sample in enumerate(samples)
    ]
    known = {request_id for (request_id,) in store.rows("SELECT request_id FROM requests")}
    store.insert(REQUESTS, [row for row in requests if row["request_id"] not in known])
    source = {column.name: 0 for column in SOURCES.columns if column.sql_type == "BIGINT"} | {
        "path": path,
        "digest": digest("log"),
        "format": "canonical",
        "parser_version": "1",
        "rows_in": len(samples),
        "rows_out": len(samples),
        "run_id": run.run_id,
        "read_at": NOW,
    }
    store.insert(SOURCES, [source], existing="keep")
    held = [
        {
            "quarantine_id": digest("q", run.run_id, number),
            "expectation": name,
            "also_failed": [],
            "suite_version": "1",
            "run_id": run.run_id,
            "created_at": NOW,
            "row": "{}",
            "state": "held",
        }
        for number, name in enumerate(["has_messages", "has_messages", "tokens_possible"])
    ]
    store.insert(QUARANTINE, held)


def _verdict(run: Run, verdict: str, num_samples: int) -> dict[str, Any]:
    per_suite = num_samples // 3

    def suite(name: str, metric: str, role: str, low: float, high: float) -> dict[str, Any]:
        middle = (low + high) / 2
        return {
            "suite": name,
            "metric": metric,
            "role": role,
            "owner": "support team",
            "num_samples": per_suite,
            "champion": 0.95,
            "challenger": 0.95 + middle,
            "difference": middle,
            "ci_low": low,
            "ci_high": high,
            "margin": 0.05,
            "verdict": "worse" if high < 0 else "cannot_tell" if low < -0.05 else "no_worse",
            "champion_ci": [0.9, 1.0],
            "challenger_ci": [0.9 + middle, 1.0 + middle],
            "num_clusters": per_suite // 2,
            "num_scored_champion": per_suite,
            "num_scored_challenger": per_suite - 1,
            "num_failed_champion": 0,
            "num_failed_challenger": 1,
            "num_unscored_challenger": 1,
            "effective_samples": per_suite / 4,
            "num_won": 1 if metric == "exact_match" else None,
            "num_lost": 7 if metric == "exact_match" else None,
            "pass_probability": 0.29,
            "num_samples_for_80": 345,
            "method": "paired clustered t",
        }

    suites = [
        suite("tickets", "exact_match", "primary", -0.42, -0.09),
        suite("orders", "exact_match", "guard", -0.08, 0.10),
        suite("logged", "token_f1", "report", -0.02, 0.06),
    ]
    slices = [
        {
            "suite": name,
            "slice": "origin",
            "value": value,
            "num_samples": 9,
            "num_clusters": 4,
            "champion": 0.9,
            "challenger": 0.9 + difference,
            "difference": difference,
            "ci_low": difference - 0.12,
            "ci_high": difference + 0.12,
        }
        for name, value, difference in [
            ("tickets", "suite", -0.31),
            ("tickets", "failure", -0.18),
            ("tickets", HOSTILE, 0.02),
            ("orders", "traffic", 0.04),
            ("orders", "失敗 😀", -0.01),
        ]
    ]
    reasons = [
        "tickets (primary): the difference is at most -0.09, below zero.",
        f"must-pass sample failed: {HOSTILE}",
    ]
    return {
        "run_id": run.run_id,
        "role": "challenger",
        "is_leading": True,
        "verdict": verdict,
        "reasons": json.dumps(reasons),
        "suites": json.dumps(suites),
        "slices": json.dumps(slices),
        "guardrails": json.dumps([_guardrail(num_samples)]),
        "created_at": NOW,
    }


def _guardrail(num_samples: int) -> dict[str, Any]:
    return {
        "guardrail": f"length {HOSTILE}", "measure": "output_tokens", "unit": "tokens",
        "margin": 0.1, "suites": [], "owner": "", "prices": {}, "verdict": "no_worse",
        "confidence": 0.96, "num_samples": num_samples - 1, "num_clusters": 19, "num_unknown": 1,
        "too_many_unknown": False, "champion": 20.0, "challenger": 20.6, "ratio": 1.03,
        "ci_low": 0.991, "ci_high": 1.068, "effective_samples": 18.5,
        "method": "ratio of means (Fieller), cluster-robust t",
    }  # fmt: skip


def _receipts(num_samples: int) -> list[Receipt]:
    return [
        Receipt("ingest", RUN_ID, 660, 640, duplicates=15, dead_letters=5, seconds=1.2),
        Receipt(
            "validate",
            RUN_ID,
            640,
            637,
            quarantined=3,
            seconds=4.0,
            notes={"by_reason": {"has_messages": 2, "tokens_possible": 1}},
        ),
        Receipt("redact", RUN_ID, 637, 637, seconds=0.3),
        Receipt("curate", "set", num_samples, num_samples, seconds=0.5),
        Receipt("evaluate", "set", num_samples * 2, num_samples * 2, seconds=31.0),
        Receipt("gate", RUN_ID, num_samples, num_samples, seconds=0.9),
    ]
