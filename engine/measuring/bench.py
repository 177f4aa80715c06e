"""How fast a model runs here, against what this machine could do at best: `python -m engine bench`.

Random prompts that share nothing, answers of a fixed length. Drives the core itself, to see when
each request got its first token. Comparisons with other engines are in benchmarks/.
"""

from __future__ import annotations

import json
import random
import statistics
import time
from dataclasses import asdict, dataclass

from engine.errors import EngineError
from engine.measuring.roofline import Roofline, Shape, best, measure
from engine.options import EngineOptions
from engine.requests.request import Request
from engine.scheduling.core import MAX_RUNNING, EngineCore

__all__ = ["BenchResult", "Workload", "bench", "print_bench"]

WARM_UP_TOKENS = 2


@dataclass(frozen=True, slots=True)
class Workload:
    num_requests: int = 64
    prompt_tokens: int = 128
    output_tokens: int = 64


@dataclass(frozen=True, slots=True)
class BenchResult:
    """*_ratio: the share of the roofline that was reached, in time (1 is all there is)."""

    device: str
    dtype: str
    kernels: str
    batch_invariant: bool
    num_requests: int
    prompt_tokens: int
    output_tokens: int
    load_s: float
    generate_s: float
    output_tokens_per_s: float
    ttft_median_s: float
    ttft_last_s: float
    prefill_tokens_per_s: float
    generate_roofline_ratio: float
    prefill_roofline_ratio: float
    matmul_gflops_per_s: dict[int, float]
    bandwidth_gbytes_per_s: float
    bandwidth_readings_gbytes_per_s: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class _Timing:
    """Seconds from the start to each request's first token, and to the end."""

    first_s: list[float]
    total_s: float


def bench(model: str, options: EngineOptions, workload: Workload) -> BenchResult:
    core = EngineCore(model, options)
    length = workload.prompt_tokens + workload.output_tokens
    if min(asdict(workload).values()) < 1 or length > core.config.max_position:
        raise EngineError(
            "Numbers of requests and tokens must be at least 1, and prompt and output fit into "
            f"the model's {core.config.max_position} tokens. Received: {workload}."
        )
    draw = random.Random(0)  # noqa: S311
    before = _roofline(core, workload)
    _run(core, workload, WARM_UP_TOKENS, draw)
    prefill = _run(core, workload, 1, draw)
    generate = _run(core, workload, workload.output_tokens, draw)
    readings = (before, _roofline(core, workload))
    roof = best(readings)
    num_prompt = workload.num_requests * workload.prompt_tokens
    prefill_bound_s, decode_bound_s = _bounds_s(roof, workload)
    stats = core.stats()
    return BenchResult(
        device=stats.device,
        dtype=stats.dtype,
        kernels=stats.kernels,
        batch_invariant=stats.batch_invariant,
        **asdict(workload),
        load_s=stats.load_s,
        generate_s=generate.total_s,
        output_tokens_per_s=workload.num_requests * workload.output_tokens / generate.total_s,
        ttft_median_s=statistics.median(generate.first_s),
        ttft_last_s=max(generate.first_s),
        prefill_tokens_per_s=num_prompt / prefill.total_s,
        generate_roofline_ratio=(prefill_bound_s + decode_bound_s) / generate.total_s,
        prefill_roofline_ratio=prefill_bound_s / prefill.total_s,
        matmul_gflops_per_s={n: rate / 1e9 for n, rate in roof.matmul_flops_per_s.items()},
        bandwidth_gbytes_per_s=roof.bytes_per_s / 1e9,
        bandwidth_readings_gbytes_per_s=tuple(r.bytes_per_s / 1e9 for r in readings),
    )


def _roofline(core: EngineCore, workload: Workload) -> Roofline:
    rows = (min(workload.num_requests, MAX_RUNNING), core.max_batch_tokens)
    return measure(Shape.of(core.config), core.model.dtype, rows, core.model.device)


def _bounds_s(roof: Roofline, workload: Workload) -> tuple[float, float]:
    """Of prefill and of decode, as many requests at once as the engine runs at once."""
    prompts = [workload.prompt_tokens] * workload.num_requests
    decode_s = sum(
        roof.decode_s(part, [workload.output_tokens] * len(part))
        for part in (prompts[i : i + MAX_RUNNING] for i in range(0, len(prompts), MAX_RUNNING))
    )
    return roof.prefill_s(prompts, len(prompts)), decode_s


def _run(core: EngineCore, workload: Workload, output_tokens: int, draw: random.Random) -> _Timing:
    """Random prompts, all there from the start."""
    length = workload.prompt_tokens
    prompts = [
        [draw.randrange(core.config.vocab_size) for _ in range(length)]
        for _ in range(workload.num_requests)
    ]
    waiting = [Request(ids, length, length + output_tokens) for ids in prompts]
    started = time.perf_counter()
    first_s: list[float] = []
    for request in waiting:
        core.add(request)
    while core.has_work:
        for request in core.step():
            if request.error is not None:
                raise EngineError(f"A request failed, so nothing can be measured: {request.error}")
        now_s = time.perf_counter() - started
        still = [request for request in waiting if request.num_tokens == length]
        first_s += [now_s] * (len(waiting) - len(still))
        waiting = still
    return _Timing(first_s, time.perf_counter() - started)


def print_bench(result: BenchResult, as_json: bool) -> None:
    if as_json:
        print(json.dumps(asdict(result)))
        return
    rates = ", ".join(f"{rate:.0f} at {n} rows" for n, rate in result.matmul_gflops_per_s.items())
    rows = {
        "device": f"{result.device}, {result.dtype}, batch_invariant={result.batch_invariant}",
        "kernels": result.kernels,
        "workload": f"{result.num_requests} requests, {result.prompt_tokens} tokens in, "
        f"{result.output_tokens} out",
        "load": f"{result.load_s:.2f} s",
        "generate": f"{result.output_tokens_per_s:.0f} tokens/s, "
        f"{result.generate_roofline_ratio:.0%} of the roofline",
        "first token": f"median {result.ttft_median_s:.2f} s, last {result.ttft_last_s:.2f} s",
        "prefill": f"{result.prefill_tokens_per_s:.0f} tokens/s, "
        f"{result.prefill_roofline_ratio:.0%} of the roofline",
        "machine": f"GFLOP/s {rates}; {result.bandwidth_gbytes_per_s:.0f} GB/s "
        f"(best of {' and '.join(f'{r:.0f}' for r in result.bandwidth_readings_gbytes_per_s)})",
    }
    for name, text in rows.items():
        print(f"{name:12} {text}")
