"""Do lm-eval's own tasks give the same accuracy through this engine as through lm-eval's Hugging
Face backend (float32, the same weights), item by item?

    python -m benchmarks.lm_eval_agreement

Four log-likelihood tasks and one generation task over the local files in lm_eval_tasks/, run by
lm-eval (1) in this process on the engine, (2) on its Hugging Face backend, (3) as
`local-completions` against `python -m engine serve`. Makes an environment of its own where lm-eval
is not installed. Prints a table, writes JSON, ends with 1 if any accuracy differs.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks import environments, results
from benchmarks.environments import HUGGING_FACE, Peer
from benchmarks.processes import ROOT, environment_for

TASKS_FOLDER = ROOT / "benchmarks" / "lm_eval_tasks"
TASKS = tuple(sorted(f"flywheel_{path.stem}" for path in TASKS_FOLDER.glob("*.yaml")))
ENVIRONMENT = Peer(
    "",
    "lm-eval-agreement",
    (
        *HUGGING_FACE,
        "lm-eval[api]==0.4.13",
        "gguf>=0.19",
        "fastapi",
        "uvicorn",
        "prometheus-client",
    ),
    (),
)
SERVER_START_S = 60
MODEL_NAME = "measured"


@dataclass(frozen=True, slots=True)
class TaskResult:
    """metrics by name; answers of every item: (log-likelihood, is greedy) pairs, or texts."""

    metrics: dict[str, float]
    answers: list[list[Any]]


def evaluate(model: Any, limit: int | None) -> dict[str, TaskResult]:
    """All tasks on one lm-eval model. The tasks' data files are named from the repository's root,
    so that is where this must run.
    """
    import lm_eval
    from lm_eval.tasks import TaskManager

    found = lm_eval.simple_evaluate(
        model=model,
        tasks=list(TASKS),
        task_manager=TaskManager(include_path=str(TASKS_FOLDER), include_defaults=False),
        bootstrap_iters=0,
        limit=limit,
        log_samples=True,
    )
    answers = {
        task: [sample["resps"] for sample in sorted(samples, key=lambda s: int(s["doc_id"]))]
        for task, samples in found["samples"].items()
    }
    metrics = {
        task: {
            name.partition(",")[0]: float(value)
            for name, value in values.items()
            if "," in name and "stderr" not in name
        }
        for task, values in found["results"].items()
    }
    return {task: TaskResult(metrics[task], answers[task]) for task in TASKS}


def largest_difference(one: TaskResult, other: TaskResult) -> float | None:
    """Of the log-likelihoods; None for texts."""
    pairs = zip(_flat(one.answers), _flat(other.answers), strict=True)
    gaps = [abs(a - b) for a, b in pairs if isinstance(a, float) and isinstance(b, float)]
    return max(gaps, default=None)


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _flat(item)
    else:
        yield value


@contextlib.contextmanager
def server(gguf: Path, threads: int) -> Iterator[str]:
    """`python -m engine serve` on a free port of loopback; the address of its completions."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "engine", "serve", "--model", str(gguf)]
    command += ["--name", MODEL_NAME, "--port", str(port), "--dtype", "float32"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment_for(threads))
    base = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + SERVER_START_S
        while True:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{base}/health", timeout=5):
                break
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the server did not start: {' '.join(command)}")
            time.sleep(0.2)
        yield f"{base}/v1/completions"
    finally:
        process.terminate()
        process.wait(30)


def run_backends(
    gguf: Path, folder: Path, options: argparse.Namespace, with_server: bool
) -> dict[str, dict[str, TaskResult]]:
    """Every backend's results by name, "huggingface" first: the reference."""
    from lm_eval.models.huggingface import HFLM

    from engine.integrations.lm_eval import EngineLM

    found = {
        "huggingface": evaluate(
            HFLM(pretrained=str(folder), dtype="float32", device="cpu", batch_size=16),
            options.limit,
        ),
        "engine": evaluate(EngineLM(gguf, device="cpu", dtype="float32"), options.limit),
    }
    if with_server:
        from lm_eval.models.openai_completions import LocalCompletionsAPI

        with server(gguf, options.threads) as url:
            client = LocalCompletionsAPI(
                base_url=url, model=MODEL_NAME, tokenizer=str(folder),
                tokenizer_backend="huggingface", num_concurrent=8,
            )  # fmt: skip
            found["local-completions"] = evaluate(client, options.limit)
    return found


def table(found: dict[str, dict[str, TaskResult]]) -> tuple[str, bool]:
    """Text, and whether all accuracies are equal."""
    reference = found["huggingface"]
    others = [name for name in found if name != "huggingface"]
    lines = [
        "| task | items | metric | "
        + " | ".join(["huggingface", *others])
        + " | largest Δ log-prob |",
        "|---" * (5 + len(others)) + "|",
    ]
    all_equal = True
    for task, expected in reference.items():
        gaps = [largest_difference(expected, found[name][task]) for name in others]
        known = [gap for gap in gaps if gap is not None]
        for metric, value in expected.metrics.items():
            values = [found[name][task].metrics[metric] for name in others]
            if metric != "perplexity":
                all_equal = all_equal and all(other == value for other in values)
            cells = [task, str(len(expected.answers)), metric]
            cells += [f"{v:.4f}" for v in [value, *values]]
            lines.append(" | ".join(["", *cells, f"{max(known):.1e}" if known else "", ""]).strip())
    return "\n".join(lines), all_equal


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gguf", type=Path, help="another model than SmolLM2-135M-Instruct")
    parser.add_argument("--limit", type=int, help="items of each task; all if left out")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cache", type=Path, default=environments.CACHE)
    parser.add_argument("--out", type=Path, default=results.FOLDER)
    options = parser.parse_args()
    os.chdir(ROOT)
    os.environ.update(environment_for(options.threads) | {"HF_DATASETS_OFFLINE": "1"})
    os.environ.setdefault("HF_DATASETS_CACHE", str(options.cache / "datasets"))
    if find_spec("lm_eval") is None or find_spec("accelerate") is None:
        interpreter = str(environments.python(ENVIRONMENT, options.cache))
        os.execv(interpreter, [interpreter, "-m", "benchmarks.lm_eval_agreement", *sys.argv[1:]])
    gguf = options.gguf or environments.gguf_file(options.cache)
    folder = environments.float32_folder(gguf, options.cache)
    has_server = (ROOT / "engine" / "__main__.py").exists()
    found = run_backends(gguf, folder, options, has_server)
    text, all_equal = table(found)
    print(text)
    if not has_server:
        print("local-completions was not measured: this version has no `python -m engine serve`")
    report = {
        **results.header(),
        "equal": all_equal,
        "backends": {
            name: {task: result.metrics for task, result in tasks.items()}
            for name, tasks in found.items()
        },
        "largest_logprob_difference": {
            name: {task: largest_difference(found["huggingface"][task], r) for task, r in t.items()}
            for name, t in found.items()
            if name != "huggingface"
        },
    }
    results.write(report, options.out, "lm-eval-agreement")
    if not all_equal:
        print("accuracies differ", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
