"""How long a run takes whose answers are all there, or all but a few.

    python -m benchmarks.cached_rerun                10,000 samples, two releases, all of them there
    python -m benchmarks.cached_rerun --samples 200000 --new 100 --releases 1

A stand-in for the engine answers every sample at once and fills the store; then the same command is
given again with `--new` more samples in the suite, answered by a tiny model, as a process of its
own, from the start of Python to its exit code. `evaluate` is the stage alone, as the command tells
it. `first`: until the first new completions are in the store. Of both the time on the clock and the
processor's, which others at work on the machine change less.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import flows.__main__
from benchmarks.processes import ROOT, environment_for
from tasks.answering import compute
from tasks.backends.base import Ask, BackendFacts, Meter, OnReply, Pace, Reply
from tasks.store.evals import answers as table

#: written in the folder of the command
_FIRST = "first.json"
_SETTINGS = """
champion = "{champion}"
challenger = "challenger"
[releases.champion]
model = "{model}"
[releases.champion.sampling]
max_tokens = 1
stop = ["never"]
[releases.challenger]
model = "{model}"
[releases.challenger.sampling]
max_tokens = 1
[suites.many]
samples = "many.jsonl"
scorer = "exact_match"
"""


def write_suite(folder: Path, samples: int) -> None:
    lines = (f'{{"input": "ticket {n}", "target": "a"}}\n' for n in range(samples))
    (folder / "many.jsonl").write_text("".join(lines))


class StandIn:
    """A backend that says the same to everything."""

    def answer(self, asks: Sequence[Ask], on_reply: OnReply, meter: Meter) -> None:
        for place in range(len(asks)):
            on_reply(place, Reply("a", "length", 8, 0, 1))

    def pace(self, chunk_size: int, *, is_looked_at: bool) -> Pace:
        return Pace(chunk_size, chunk_size)

    def facts(self) -> BackendFacts:
        return BackendFacts("cpu", "float32", 0.0, 0.0)

    def close(self) -> None:
        pass


def evaluated(folder: Path, *, fill: bool = False) -> tuple[dict[str, float], dict[str, Any]]:
    """Seconds of the command, and what it tells."""
    child = "benchmarks.cached_rerun"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.time()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", child, "--child", "fill" if fill else "ask"],
        cwd=folder,
        env={**environment_for(2), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = {"command_s": time.time() - began}
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr[-2000:]
    seconds["processor_s"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if (noted := folder / _FIRST).exists():
        at, processor_s = json.loads(noted.read_text())
        seconds |= {"first_s": at - began, "first_processor_s": processor_s}
        noted.unlink()
    return seconds, json.loads(done.stdout)


def child(*, fill: bool) -> None:
    """`flywheel eval` in this process, with a stand-in, or noting when it first keeps answers."""
    if fill:
        compute._load = lambda release: StandIn()
        os.environ["FLYWHEEL_EVALUATE__CHUNK_SIZE"] = "20000"
    else:
        keep = table.save_completions

        def noting(*kept: Any) -> int:
            num_kept = keep(*kept)
            if not Path(_FIRST).exists():
                Path(_FIRST).write_text(json.dumps([time.time(), time.process_time()]))
            return num_kept

        table.save_completions = noting
    sys.argv = ["flywheel", "eval", "--json"]
    flows.__main__.main()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--new", type=int, default=0)
    parser.add_argument("--releases", type=int, default=2, choices=(1, 2))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", choices=("fill", "ask"), help="what the benchmark itself starts")
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args()
    if options.child:
        child(fill=options.child == "fill")
        return
    # these load torch, which the command itself does without where all answers are there
    from benchmarks.results import FOLDER, header, write
    from tests.tiny_model import write_tiny_model

    rounds = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        champion = "champion" if options.releases == 2 else ""
        model = write_tiny_model(folder / "model")
        (folder / "flywheel.toml").write_text(_SETTINGS.format(champion=champion, model=model))
        write_suite(folder, options.samples)
        filled, told = evaluated(folder, fill=True)
        assert told["computed"] == options.samples * options.releases, told
        print(f"{told['computed']:,} completions and scores: {filled}", flush=True)
        for number in range(1, options.rounds + 1):
            write_suite(folder, options.samples + number * options.new)
            seconds, told = evaluated(folder)
            assert told["computed"] == options.new * options.releases, told
            (stage,) = [one for one in told.get("stages", [told]) if one["stage"] == "evaluate"]
            rounds.append({**seconds, "evaluate_s": stage["seconds"]})
            print(f"again with {options.new} new samples: {rounds[-1]}", flush=True)
    measured = {"samples": options.samples, "new": options.new, "releases": options.releases,
                "filled": filled, "rounds": rounds}  # fmt: skip
    out = options.out or FOLDER / "cached-rerun.json"
    kept = json.loads(out.read_text())["measured"] if out.is_file() else []
    sizes = ("samples", "new", "releases")
    kept = [one for one in kept if any(one[size] != measured[size] for size in sizes)]
    write({**header(), "measured": [*kept, measured]}, out, "cached-rerun")


if __name__ == "__main__":
    main()
