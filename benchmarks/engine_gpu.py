"""This engine on one GPU, in one command under nine minutes: random weights of the shapes of
Llama-3.1-8B, Llama-3.2-1B and Qwen3-0.6B, bfloat16.

    python -m benchmarks.engine_gpu
    python -m benchmarks.engine_gpu --device cpu --tiny     the same steps with toy shapes anywhere

Measures generation against transformers' continuous batching on the same card, decode against the
card's measured bandwidth, prefill against its measured matrix rate, scoring against prefill,
log-likelihood requests of 930 tokens a second, whether 1,000 equal requests in changing batches
give one answer, and the cost of batch invariance. Prints a table with the targets of the project
and writes JSON.
"""

from __future__ import annotations

import argparse
import gc
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import torch

from benchmarks import results
from benchmarks.processes import ROOT, MeasuredProcess, SystemFailedError
from benchmarks.random_models import SHAPES, random_folder, tiny
from engine import LLM, Completion, SamplingParams, Score
from engine.loading.huggingface import folder_config
from engine.measuring.roofline import Roofline, Shape, best, measure

LLAMA_8B, LLAMA_1B, QWEN = "llama-3.1-8b", "llama-3.2-1b", "qwen3-0.6b"
A100_REQUESTS_PER_S = 207  # lm-eval issue 2418: Llama-3.2-1B, 930 tokens a request, transformers


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything; all lengths in tokens."""

    num_requests: int = 256
    prompt: tuple[int, int] = (64, 512)
    output: tuple[int, int] = (32, 256)
    decode_batch: int = 64
    decode_prompt: int = 128
    decode_steps: int = 128
    num_prefills: int = 32
    prefill: int = 1024
    num_scored: int = 512
    scored: int = 930
    num_equal: int = 1000
    num_others: int = 200
    equal_output: int = 64
    matrix_rows: int = 8192


TINY_SIZES = Sizes(
    6, (4, 40), (2, 6), 8, 16, 4, 2, 64, 8, 60, 40, 6, 4, 256
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """One measured number; the target is what the project promises, or None."""

    what: str
    value: float
    unit: str
    target: float | None = None
    at_most: bool = False

    @property
    def is_met(self) -> bool | None:
        if self.target is None:
            return None
        return self.value <= self.target if self.at_most else self.value >= self.target


class Bench:
    def __init__(
        self, device: str, is_tiny: bool, folder: Path, has_peers: bool, peer_timeout_s: float
    ) -> None:
        self.device = device
        self.has_peers = has_peers
        self.peer_timeout_s = peer_timeout_s
        self.sizes = TINY_SIZES if is_tiny else Sizes()
        self.dtype = "float32" if device == "cpu" else "bfloat16"
        self.configs = {name: tiny(c) if is_tiny else c for name, c in SHAPES.items()}
        self.folder = folder
        self.lines: list[Line] = []
        self.notes: list[str] = []
        self.draw = random.Random(0)

    def add(
        self, what: str, value: float, unit: str, target: float | None = None, **kw: Any
    ) -> None:
        self.lines.append(Line(what, value, unit, target, **kw))
        print(f"{what}: {value:.3g} {unit}", file=sys.stderr, flush=True)

    def llm(self, name: str, **settings: Any) -> LLM:
        self.release()
        return LLM(self.model(name), device=self.device, dtype=self.dtype, **settings)

    def model(self, name: str) -> Path:
        path = self.folder / name
        if not path.exists():
            random_folder(path, self.configs[name], getattr(torch, self.dtype), self.device)
        return path

    def shape(self, name: str) -> Shape:
        return Shape.of(folder_config(self.model(name)))

    def prompts(self, lengths: Sequence[int]) -> list[list[int]]:
        return [[self.draw.randrange(3, 500) for _ in range(n)] for n in lengths]

    def mixed(self) -> list[tuple[list[int], int]]:
        s = self.sizes
        prompts = self.prompts([self.draw.randint(*s.prompt) for _ in range(s.num_requests)])
        return [(prompt, self.draw.randint(*s.output)) for prompt in prompts]

    def seconds(self, run: Callable[[], object]) -> float:
        self._wait()
        started = time.perf_counter()
        run()
        self._wait()
        return time.perf_counter() - started

    def release(self) -> None:
        """Give the card's memory back: LLM and the peer take a share of what is free."""
        gc.collect()
        if self.device != "cpu":
            torch.cuda.empty_cache()

    def _wait(self) -> None:
        if self.device != "cpu":
            torch.cuda.synchronize(self.device)

    def generate(
        self, llm: LLM, work: Sequence[tuple[list[int], int]], logprobs: int = 0
    ) -> tuple[float, list[Completion]]:
        """Seconds and answers, without anything in the prefix cache."""
        llm._engine.reset()
        params = [SamplingParams(max_tokens=count, logprobs=logprobs) for _, count in work]
        answers: list[Completion] = []
        seconds = self.seconds(lambda: answers.extend(llm.generate([p for p, _ in work], params)))
        _raise_first_error(answers)
        return seconds, answers

    def generate_s(self, llm: LLM, work: Sequence[tuple[list[int], int]]) -> float:
        return self.generate(llm, work)[0]

    def score_s(self, llm: LLM, work: Sequence[tuple[list[int], list[int]]]) -> float:
        llm._engine.reset()
        answers: list[Score] = []
        seconds = self.seconds(lambda: answers.extend(llm.score(work)))
        _raise_first_error(answers)
        return seconds


def _raise_first_error(answers: Sequence[Completion] | Sequence[Score]) -> None:
    for answer in answers:
        if answer.error is not None:
            raise RuntimeError(answer.error)


def read_card(bench: Bench, shape: Shape) -> Roofline:
    """Matrix rate (FLOP/s) for the model's own shapes, and bandwidth (bytes/s)."""
    dtype, rows = getattr(torch, bench.dtype), (bench.sizes.matrix_rows,)
    return measure(shape, dtype, rows, bench.device)


def against_continuous_batching(bench: Bench, name: str) -> None:
    """The peer first, in a process of its own; it gives the card back before ours starts."""
    work = bench.mixed()
    tokens = sum(count for _, count in work)
    theirs = _transformers_s(bench, name, work) if bench.has_peers else None
    llm = bench.llm(name)
    bench.generate_s(llm, work[:8])
    ours = bench.generate_s(llm, work)
    bench.add(f"{name}: generation", tokens / ours, "tokens/s")
    if theirs is not None:
        bench.add(f"{name}: transformers' continuous batching", tokens / theirs, "tokens/s")
        bench.add(f"{name}: ours is times faster", theirs / ours, "×", 3.0)


def _transformers_s(bench: Bench, name: str, work: Sequence[tuple[list[int], int]]) -> float | None:
    settings = {
        "model": str(bench.model(name)),
        "dtype": bench.dtype,
        "device": bench.device,
        "threads": torch.get_num_threads(),
    }
    script = ROOT / "benchmarks" / "peers" / "transformers_continuous.py"
    log = bench.folder / f"{name}.log"
    bench.release()
    command, limit_s = [sys.executable, str(script)], bench.peer_timeout_s
    try:
        peer = MeasuredProcess(f"transformers {name}", command, settings, log, limit_s)
        peer.ask("generate", work[:8], limit_s)
        seconds = peer.ask("generate", work, limit_s).seconds
        peer.end()
    except SystemFailedError as error:
        bench.notes.append(f"{name}: transformers' continuous batching was not measured: {error}")
        return None
    return seconds


def against_card(bench: Bench, name: str) -> None:
    """The card is read before and after the work; the higher numbers count."""
    s, shape = bench.sizes, bench.shape(name)
    before = read_card(bench, shape)
    llm = bench.llm(name)
    itemsize = getattr(torch, bench.dtype).itemsize

    prompts = bench.prompts([s.decode_prompt] * s.decode_batch)
    bench.generate_s(llm, [(prompt, 4) for prompt in prompts])
    first = bench.generate_s(llm, [(prompt, 1) for prompt in prompts])
    whole = bench.generate_s(llm, [(prompt, 1 + s.decode_steps) for prompt in prompts])
    step_s = (whole - first) / s.decode_steps
    keys = s.decode_batch * (s.decode_prompt + s.decode_steps / 2)
    read = (shape.layer_parameters + shape.head_parameters) * itemsize
    read += shape.kv_bytes(keys, itemsize)

    prompts = bench.prompts([s.prefill] * s.num_prefills)
    flops = 2.0 * shape.layer_parameters + shape.attention_flops(s.prefill / 2)
    flops = flops * s.prefill * s.num_prefills + 2.0 * shape.head_parameters * s.num_prefills
    work = [(prompt, 1) for prompt in prompts]
    bench.generate_s(llm, work)  # compiles the kernels of its sizes
    prefill = bench.generate_s(llm, work)
    cut = s.prefill - s.prefill // 32
    scored = [(prompt[:cut], prompt[cut:]) for prompt in prompts]
    bench.score_s(llm, scored)
    score = bench.score_s(llm, scored)

    del llm
    bench.release()
    card = best((before, read_card(bench, shape)))
    rate, width = max(card.layer_flops_per_s.values()), card.bytes_per_s
    bench.add(f"{name}: matrix rate, best of two readings", rate / 1e12, "TFLOP/s")
    bench.add("bandwidth, best of two readings", width / 1e9, "GB/s")
    bench.add(f"{name}: decode step at batch {s.decode_batch}", step_s * 1e3, "ms")
    bench.add(f"{name}: decode, share of bandwidth", read / step_s / width, "", 0.65)
    bench.add(f"{name}: prefill", s.num_prefills * s.prefill / prefill, "tokens/s")
    bench.add(f"{name}: prefill, share of matrix rate", flops / prefill / rate, "", 0.5)
    bench.add(f"{name}: scoring takes, of prefill", score / prefill, "×", 1.2, at_most=True)


def requests_per_second(bench: Bench, name: str) -> None:
    s = bench.sizes
    llm = bench.llm(name)
    prompts = bench.prompts([s.scored] * s.num_scored)
    work = [(prompt[:-30], prompt[-30:]) for prompt in prompts]
    bench.score_s(llm, work[:8])
    seconds = bench.score_s(llm, work)
    what = f"{name}: log-likelihood requests of {s.scored} tokens"
    bench.add(what, s.num_scored / seconds, "1/s", A100_REQUESTS_PER_S)


def equal_requests(bench: Bench, name: str) -> None:
    """The same request many times among others that come and go: one answer, to the bit."""
    s = bench.sizes
    seconds = {}
    same = bench.prompts([s.prompt[1] // 2])[0]
    others = [(prompt, bench.draw.randint(*s.output)) for prompt, _ in bench.mixed()]
    work = [(same, s.equal_output)] * s.num_equal + others[: s.num_others]
    bench.draw.shuffle(work)
    for exact in (True, False):
        llm = bench.llm(name, batch_invariant=exact)
        bench.generate_s(llm, work[:8])
        seconds[exact], answers = bench.generate(llm, work, logprobs=1)
        mine = zip(work, answers, strict=True)
        distinct = {(a.token_ids, a.logprobs) for (prompt, _), a in mine if prompt is same}
        what = f"{name}: distinct answers of {s.num_equal} equal requests, invariance "
        what, target = (what + "on", 1) if exact else (what + "off", None)
        bench.add(what, len(distinct), "", target, at_most=True)
        del llm
    bench.add(
        f"{name}: cost of invariance", seconds[True] / seconds[False] - 1, "", 0.15, at_most=True
    )


def table(lines: Sequence[Line]) -> str:
    rows = ["| measured | value | target | met |", "|---|---|---|---|"]
    for line in lines:
        sign = "≤" if line.at_most else "≥"
        target = "" if line.target is None else f"{sign} {line.target:g}"
        met = {None: "", True: "yes", False: "no"}[line.is_met]
        rows.append(f"| {line.what} | {line.value:.4g} {line.unit} | {target} | {met} |")
    return "\n".join(rows)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="toy shapes and amounts, no meaning")
    parser.add_argument("--no-peers", action="store_true", help="only this engine")
    parser.add_argument("--peer-timeout", type=float, default=150, help="seconds a job of a peer")
    parser.add_argument("--out", type=Path, default=results.FOLDER)
    options = parser.parse_args(arguments)
    if options.device != "cpu" and not torch.cuda.is_available():
        parser.error("torch sees no CUDA device; --device cpu --tiny runs the same steps anywhere")
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        has_peers, limit_s = not options.no_peers, options.peer_timeout
        bench = Bench(options.device, options.tiny, Path(folder), has_peers, limit_s)
        against_card(bench, LLAMA_8B)
        against_continuous_batching(bench, LLAMA_8B)
        requests_per_second(bench, LLAMA_1B)
        against_continuous_batching(bench, QWEN)
        equal_requests(bench, QWEN)
    report = {
        **results.header(),
        "device": options.device,
        "tiny": options.tiny,
        "seconds": time.perf_counter() - started,
        "lines": [
            {"what": x.what, "value": x.value, "unit": x.unit, "target": x.target, "met": x.is_met}
            for x in bench.lines
        ],
        "notes": bench.notes,
    }
    print(table(bench.lines))
    print("\n".join([*bench.notes, f"{report['seconds']:.0f} seconds in all"]))
    results.write(report, options.out, "engine-gpu")


if __name__ == "__main__":
    main()
