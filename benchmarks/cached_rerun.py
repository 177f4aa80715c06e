"""How long a run takes whose answers are all there, or all but a few.

    python -m benchmarks.cached_rerun                10,000 samples, two releases, all of them there
    python -m benchmarks.cached_rerun --samples 200000 --new 100 --releases 1

A tiny model answers every sample once (`flywheel eval`, one token); then the same command is given
again with `--new` more samples in the suite, as a process of its own, from the start of Python to
its exit code. `evaluate` is the stage alone, as the command tells it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.processes import ROOT, environment_for
from benchmarks.results import FOLDER, header
from tests.tiny_model import write_tiny_model

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


def evaluated(folder: Path) -> tuple[float, dict[str, Any]]:
    """Seconds of the command, and what it tells."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "flows", "eval", "--json"],
        cwd=folder,
        env={**environment_for(2), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - began
    assert done.returncode == 0, done.stderr[-2000:]
    return seconds, json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--new", type=int, default=0)
    parser.add_argument("--releases", type=int, default=2, choices=(1, 2))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=FOLDER / "cached-rerun.json")
    options = parser.parse_args()
    rounds = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        champion = "champion" if options.releases == 2 else ""
        model = write_tiny_model(folder / "model")
        (folder / "flywheel.toml").write_text(_SETTINGS.format(champion=champion, model=model))
        write_suite(folder, options.samples)
        first_s, told = evaluated(folder)
        assert told["computed"] == options.samples * options.releases, told
        print(f"{told['computed']:,} completions and scores: {first_s:.1f} s", flush=True)
        for number in range(1, options.rounds + 1):
            write_suite(folder, options.samples + number * options.new)
            seconds, told = evaluated(folder)
            assert told["computed"] == options.new * options.releases, told
            (stage,) = [one for one in told.get("stages", [told]) if one["stage"] == "evaluate"]
            rounds.append({"command_s": seconds, "evaluate_s": stage["seconds"]})
            print(
                f"again with {options.new} new samples: {seconds:.1f} s, of which evaluate "
                f"{stage['seconds']:.1f} s",
                flush=True,
            )
    measured = {"samples": options.samples, "new": options.new, "releases": options.releases,
                "first_s": first_s, "rounds": rounds}  # fmt: skip
    kept = json.loads(options.out.read_text())["measured"] if options.out.exists() else []
    sizes = ("samples", "new", "releases")
    kept = [one for one in kept if any(one[size] != measured[size] for size in sizes)]
    options.out.write_text(json.dumps({**header(), "measured": [*kept, measured]}, indent=1) + "\n")


if __name__ == "__main__":
    main()
