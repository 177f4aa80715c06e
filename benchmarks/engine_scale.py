"""Does the engine's own work stay small? Time per token from 64 to 4,096 queued requests, and the
share of a step that is not the runner's, with 256 sequences running.

The share is measured where it counts, with the real model, and once with a model so small that the
scheduler's cost stands out. Started by `python -m benchmarks.engine --scale`.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks import results
from benchmarks.random_models import SHAPES, random_folder, tiny
from engine import LLM, SamplingParams
from engine.options import EngineOptions
from engine.requests.request import Request
from engine.scheduling.core import EngineCore

__all__ = ["run"]

QUEUES = (64, 256, 1024, 4096)
NUM_RUNNING = 256
NUM_STEPS = 16
PROMPT, OUTPUT = 32, 16


def run(gguf: Path, options: argparse.Namespace) -> None:
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        toy = random_folder(Path(folder), tiny(SHAPES["llama-3.2-1b"]), torch.float32, "cpu")
        report = {
            **results.header(),
            "queues": time_per_token(toy),
            "outside_runner": {
                "tiny model": share_outside_runner(toy),
                "SmolLM2-135M": share_outside_runner(gguf),
            },
        }
    print(table(report))
    results.write(report, options.out, "engine-scale")


def time_per_token(model: Path) -> dict[str, float]:
    """Microseconds a run token (prompts and answers), by the number of requests given at once."""
    found = {}
    llm = LLM(model, device="cpu", dtype="float32", kv_cache_bytes=64 << 20)
    for count in (QUEUES[0], *QUEUES):  # the first one warms up
        draw = random.Random(count)
        prompts = [[draw.randrange(512) for _ in range(PROMPT)] for _ in range(count)]
        before = llm.stats()
        llm.generate(prompts, SamplingParams(max_tokens=OUTPUT))
        after = llm.stats()
        tokens = after.num_run_tokens - before.num_run_tokens
        found[str(count)] = (after.run_s - before.run_s) / tokens * 1e6
    return found


def share_outside_runner(model: Path) -> float:
    """Share of a decode step that schedule and postprocess take, NUM_RUNNING sequences running."""
    options = EngineOptions(device="cpu", dtype="float32", kv_cache_bytes=1 << 30)
    core = EngineCore(model, options)
    core.end_ids = frozenset()
    core.scheduler.max_running = max(core.scheduler.max_running, NUM_RUNNING)
    inside = 0.0
    original = core._runner.run

    def timed(chunks: Any) -> Any:
        nonlocal inside
        started = time.perf_counter()
        try:
            return original(chunks)
        finally:
            inside += time.perf_counter() - started

    core._runner.run = timed  # type: ignore[method-assign]
    params = SamplingParams(max_tokens=1000)
    for i in range(NUM_RUNNING):
        core.add(Request([i % 500 + 3, 7, 9, 11], 4, 1000, params))
    while core.scheduler.waiting or any(r.num_uncomputed > 1 for r in core.scheduler.running):
        core.step()
    inside, started = 0.0, time.perf_counter()
    for _ in range(NUM_STEPS):
        core.step()
    total = time.perf_counter() - started
    assert len(core.scheduler.running) == NUM_RUNNING
    return 1 - inside / total


def table(report: dict[str, Any]) -> str:
    per_token = report["queues"]
    first = per_token[str(QUEUES[0])]
    lines = ["| queued requests | µs a token | against 64 |", "|---|---|---|"]
    lines += [f"| {n} | {us:.1f} | {us / first:.2f}× |" for n, us in per_token.items()]
    lines += ["", f"Share of a step outside the runner, {NUM_RUNNING} sequences running:"]
    lines += [f"- {name}: {share:.1%}" for name, share in report["outside_runner"].items()]
    return "\n".join(lines)
