"""The same items through `flywheel eval` and through lm-eval's Hugging Face backend: the same
log-likelihoods and accuracies, item by item, and how long each takes end to end.

    python -m benchmarks.lm_eval_suites --items 2000 --generations 200

Suites are made from public data sets in a folder beside the repository, by the definitions of
lm-eval's tasks `hellaswag`, `leaderboard_bbh_*` and `gsm8k`, which lm-eval runs itself over the
same items; what either asked is compared as text. A likelihood of GSM8K's answers is an additional
task, over gsm8k's own prompts. Both sides are processes of their own, one after the other, from the
start of Python to the last score; float32, greedy, on the CPU. GSM8K's answers are sums over some
hundred tokens, so lm-eval weighs them in float64 as well, and both sides' distances from that are
told. Makes an environment for lm-eval, or takes --lm-eval-python. Ends with 1 where an accuracy
differs at all, or a log-likelihood by 1e-3, unless ours is no farther from float64 than lm-eval's.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import torch

from benchmarks import environments, results
from benchmarks.environments import HUGGING_FACE, Peer
from benchmarks.lm_eval_items import BBH, WRITE, Task, bbh, gsm8k, hellaswag
from benchmarks.processes import ROOT, environment_for
from tasks.model.likelihoods import from_text
from tasks.store import Store

ENVIRONMENT = Peer(
    "", "lm-eval-suites", (*HUGGING_FACE, "lm-eval[hf]==0.4.13"), ()
)  # fmt: skip
SCRIPT = ROOT / "benchmarks" / "peers" / "lm_eval_tasks.py"
#: of lm-eval's gsm8k, and how many tokens its backend writes where a task sets nothing
STOP, MAX_TOKENS = ["Question:", "</s>", "<|im_end|>"], 256
MAX_DIFFERENCE = 1e-3
METRICS = {"multiple_choice": "acc", "multiple_choice(normalised=true)": "acc_norm"}


def write_ours(folder: Path, gguf: Path, tasks: Sequence[Task], dtype: str) -> None:
    text = 'challenger = "model"\n[releases.model]\n'
    text += f"model = {json.dumps(str(gguf))}\n"
    text += f'[releases.model.engine]\ndevice = "cpu"\ndtype = "{dtype}"\n'
    text += f"[releases.model.sampling]\nmax_tokens = {MAX_TOKENS}\nstop = {json.dumps(STOP)}\n"
    folder.mkdir(parents=True)
    for task in tasks:
        text += f'[suites.{task.name}]\nsamples = "{task.name}.jsonl"\n{task.settings}'
        lines = "".join(json.dumps(line) + "\n" for line in task.lines)
        (folder / f"{task.name}.jsonl").write_text(lines, encoding="utf-8")
    (folder / "flywheel.toml").write_text(text, encoding="utf-8")


def run_ours(folder: Path, threads: int) -> tuple[float, dict[str, Any]]:
    """Seconds, and what evaluate notes."""
    command = [sys.executable, "-W", "ignore", "-m", "flows", "eval", "--json"]
    environment = {**environment_for(threads), "PYTHONPATH": str(ROOT)}
    began = time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - began
    if not done.stdout.strip():
        raise RuntimeError(f"flywheel eval failed: {done.stderr[-2000:]}")
    return seconds, json.loads(done.stdout)


def ours(folder: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """suite → prompt → what was said, and the value by each scorer."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    with Store.open(folder / ".flywheel" / "flywheel.duckdb", read_only=True) as store:
        rows = store.rows(
            "SELECT suite, json_extract_string(messages, '$[0].content'), text, scorer, value "
            "FROM scores JOIN completions USING (release_digest, sample_id, seed) "
            "JOIN samples USING (sample_id)"
        )
    for suite, prompt, text, scorer, value in rows:
        kept = found.setdefault(suite, {}).setdefault(prompt, {"text": text, "values": {}})
        name, _, rest = scorer.partition("@")
        kept["values"][name + rest.lstrip("0123456789")] = value
    return found


def run_lm_eval(
    folder: Path, python: str, model: Path, tasks: Sequence[Task], threads: int, dtype: str
) -> tuple[float, dict[str, Any]]:
    folder.mkdir(parents=True)
    configs = {}
    for task in tasks:
        file = folder / f"{task.name}.jsonl"
        split = "validation" if task.name == "hellaswag" else "test"
        file.write_text("".join(json.dumps(row) + "\n" for row in task.documents))
        configs[task.name] = {
            **task.config,
            "dataset_path": "json",
            "dataset_name": None,
            "training_split": None,
            "dataset_kwargs": {"data_files": {split: str(file)}},
        }
    job, out = folder / "job.json", folder / "out.json"
    job.write_text(json.dumps({"model": str(model), "dtype": dtype, "threads": threads,
                               "tasks": configs, "out": str(out)}))  # fmt: skip
    environment = {**environment_for(threads), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1",
                   "HF_DATASETS_CACHE": str(folder / "cache"), "PYTHONPATH": ""}  # fmt: skip
    began = time.perf_counter()
    done = subprocess.run([python, "-W", "ignore", str(SCRIPT), str(job)], cwd=folder,
                          env=environment, capture_output=True, text=True, check=False)  # fmt: skip
    seconds = time.perf_counter() - began
    if not out.exists():
        raise RuntimeError(f"lm-eval failed: {done.stderr[-3000:]}")
    return seconds, json.loads(out.read_text())


def compare(
    task: Task, mine: dict[str, dict[str, Any]], theirs: list[dict[str, Any]]
) -> dict[str, Any]:
    """Counts, largest difference, both accuracies."""
    filtered = "strict-match" if task.name == "gsm8k" else "none"
    theirs = [one for one in theirs if one["filter"] == filtered]
    found: dict[str, Any] = {"items": len(theirs), "other_prompts": 0}
    gaps, same_text, ours_by, theirs_by = [], 0, {}, {}
    for item in theirs:
        said = mine.get(item["prompt"])
        if said is None:
            found["other_prompts"] += 1
            continue
        if task.settings == WRITE:
            # lm-eval's score is of the same text; what stands after it differs by nothing
            same_text += said["text"] == item["said"][0]
            pairs = {"exact_match": next(iter(said["values"].values()))}
        else:
            weighed = {one.text: one.logprob for one in from_text(said["text"])}
            for choice, (logprob, _) in zip(item["choices"], item["said"], strict=True):
                gaps.append(abs(weighed[choice] - float(logprob)))
            pairs = {METRICS[k]: v for k, v in said["values"].items() if k in METRICS}
        for name, value in pairs.items():
            if name in item["metrics"]:
                ours_by.setdefault(name, []).append(value)
                theirs_by.setdefault(name, []).append(item["metrics"][name])
    found["largest_difference"] = max(gaps, default=None)
    found["log_likelihoods"] = len(gaps)
    if task.settings == WRITE:
        found["same_text"] = same_text
    found["accuracy"] = {
        name: {"ours": sum(ours_by[name]) / len(ours_by[name]),
               "lm_eval": sum(theirs_by[name]) / len(theirs_by[name]),
               "items_that_differ": sum(a != b for a, b in zip(ours_by[name], theirs_by[name],
                                                               strict=True))}
        for name in ours_by
    }  # fmt: skip
    return found


def distances(
    mine: dict[str, dict[str, Any]],
    theirs: Sequence[dict[str, Any]],
    exact: Sequence[dict[str, Any]],
) -> dict[str, float]:
    """The largest distance of each side's log-likelihoods from those in float64."""
    found = {"ours": 0.0, "lm_eval": 0.0}
    for item, reference in zip(theirs, exact, strict=True):
        weighed = {one.text: one.logprob for one in from_text(mine[item["prompt"]]["text"])}
        for choice, said, true in zip(
            item["choices"], item["said"], reference["said"], strict=True
        ):
            found["ours"] = max(found["ours"], abs(weighed[choice] - float(true[0])))
            found["lm_eval"] = max(found["lm_eval"], abs(float(said[0]) - float(true[0])))
    return found


def is_equal(found: dict[str, Any]) -> bool:
    gap, from_float64 = found["largest_difference"] or 0.0, found.get("from_float64")
    return (
        not found["other_prompts"]
        and (
            gap < MAX_DIFFERENCE
            or (from_float64 is not None and from_float64["ours"] <= from_float64["lm_eval"])
        )
        and not any(one["items_that_differ"] for one in found["accuracy"].values())
    )


def definitions(python: str) -> dict[str, Any]:
    """Of the BBH tasks, as lm-eval has them."""
    code = (
        "import json, sys, yaml, lm_eval, pathlib\n"
        "folder = pathlib.Path(lm_eval.__file__).parent / 'tasks/leaderboard/bbh_mc'\n"
        "print(json.dumps({n: yaml.safe_load((folder / f'{n}.yaml').read_text())"
        " for n in sys.argv[1:]}))"
    )
    done = subprocess.run([python, "-W", "ignore", "-c", code, *BBH], capture_output=True,
                          text=True, check=True, env={**os.environ, "PYTHONPATH": ""})  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(
    name: str, tasks: Sequence[Task], folder: Path, options: argparse.Namespace,
    models: tuple[Path, Path], python: str,
) -> dict[str, Any]:  # fmt: skip
    gguf, float32 = models
    write_ours(folder / name / "ours", gguf, tasks, options.dtype)
    ours_s, notes = run_ours(folder / name / "ours", options.threads)
    again_s, _ = run_ours(folder / name / "ours", options.threads)
    lm_eval_s, theirs = run_lm_eval(
        folder / name / "lm-eval", python, float32, tasks, options.threads, options.dtype
    )
    mine = ours(folder / name / "ours")
    compared = {
        task.name: compare(task, mine.get(task.name, {}), theirs["items"][task.name])
        for task in tasks
    }
    if name == "perplexity":
        _, exact = run_lm_eval(
            folder / name / "float64", python, float32, tasks, options.threads, "float64"
        )
        for task in tasks:
            compared[task.name]["from_float64"] = distances(
                mine[task.name], theirs["items"][task.name], exact["items"][task.name]
            )
    return {
        "items": sum(len(task.lines) for task in tasks),
        "ours_s": round(ours_s, 2),
        "ours_again_s": round(again_s, 2),
        "lm_eval_s": round(lm_eval_s, 2),
        "ratio": round(lm_eval_s / ours_s, 2),
        "notes": notes,
        "versions": theirs["versions"],
        "tasks": compared,
    }


def table(parts: dict[str, dict[str, Any]]) -> str:
    lines = ["| part | items | ours s | again s | lm-eval s | ratio |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {name} | {part['items']:,} | {part['ours_s']} | {part['ours_again_s']} | "
        f"{part['lm_eval_s']} | {part['ratio']}× |"
        for name, part in parts.items()
    ]
    lines += ["", "| task | items | log-likelihoods | largest Δ | ours | lm-eval | equal |",
              "|---|---|---|---|---|---|---|"]  # fmt: skip
    for part in parts.values():
        for name, task in part["tasks"].items():
            gap = task["largest_difference"]
            shown = "" if gap is None else f"{gap:.1e}"
            if "from_float64" in task:
                shown += " (from float64: {ours:.1e}, {lm_eval:.1e})".format(**task["from_float64"])
            if "same_text" in task:
                shown = f"{task['same_text']} same texts"
            accuracies = [
                " ".join(f"{metric} {one[side]:.4f}" for metric, one in task["accuracy"].items())
                for side in ("ours", "lm_eval")
            ]
            lines.append(
                f"| {name} | {task['items']} | {task['log_likelihoods']} | {shown} | "
                f"{accuracies[0]} | {accuracies[1]} | {'yes' if is_equal(task) else 'NO'} |"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--items", type=int, default=2000, help="of multiple choice, half HellaSwag"
    )
    parser.add_argument("--generations", type=int, default=200, help="of GSM8K")
    parser.add_argument("--weighed", type=int, default=50, help="answers of GSM8K to weigh")
    parser.add_argument("--gguf", type=Path, help="another model than SmolLM2-135M-Instruct")
    parser.add_argument("--datasets", type=Path, default=ROOT.parent / "shared" / "datasets")
    parser.add_argument("--lm-eval-python", default="", help="an interpreter that has lm-eval")
    parser.add_argument(
        "--dtype", choices=("float32", "bfloat16"), default="float32",
        help="of both sides; in bfloat16 both round, so nothing is equal: for the time it takes",
    )  # fmt: skip
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cache", type=Path, default=environments.CACHE)
    parser.add_argument("--out", type=Path, default=results.FOLDER)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    python = options.lm_eval_python or str(environments.python(ENVIRONMENT, options.cache))
    gguf = options.gguf or environments.gguf_file(options.cache)
    models = gguf, environments.float32_folder(gguf, options.cache)
    defined, each = definitions(python), max(1, options.items // 2 // len(BBH))
    chosen = [bbh(options.datasets, name, defined[name], each) for name in BBH]
    rest = options.items - sum(len(task.lines) for task in chosen)
    chosen.insert(0, hellaswag(options.datasets, rest))
    parts: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        weighed = [gsm8k(options.datasets, options.weighed, weighs=True)]
        written = [gsm8k(options.datasets, options.generations, weighs=False)]
        for name, tasks in (("choose", chosen), ("perplexity", weighed), ("generate", written)):
            if any(task.lines for task in tasks):
                parts[name] = measure(name, tasks, folder, options, models, python)
    print(table(parts))
    equal = all(is_equal(task) for part in parts.values() for task in part["tasks"].values())
    results.write({**results.header(), "equal": equal, "parts": parts}, options.out,
                  "lm-eval-suites")  # fmt: skip
    if not equal:
        print("something differs", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
