"""How long it takes to record a run: after a thousand others, and one of 2,000 samples.

    python -m benchmarks.recording                          1,000 runs; 2,000 samples in 5 suites
    python -m benchmarks.recording --runs 100 --rounds 3
    python -m benchmarks.recording --prepared FOLDER        keeps the folder; the next call with it
                                                            measures at once

Many: a real turn of 60 samples is recorded; its rows are then set down again as the nights after it
(every night a set of its own, a new challenger every twenty). Sixty-five are recorded, but for
their pages, which no later night reads; the others are made of those by copying rows, in our store
and in MLflow's database, until there are so many or more. Then nights are recorded in full, in
turns by a copy that has one run and by the one that has them all, in one process, so that both are
as warm. `flywheel status` is a process of its own, from the start of Python to its end.

Large: `flywheel run` of two releases by a tiny model, 5 suites, 20 slices: the stage as the command
tells it, with the import of MLflow in it; then nights like it, recorded in one process.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import duckdb

from benchmarks.processes import ROOT, environment_for
from benchmarks.results import FOLDER, header, write
from tasks.model.run import RunRequest
from tasks.model.turn import Turn
from tasks.record import task as recording
from tasks.record.pages import REPORT
from tasks.run import Run
from tasks.settings import read_settings
from tasks.tracking.publish import Links, Pages
from tests.flows.application import call_record
from tests.tiny_model import write_tiny_model

THREADS = 2
_FIRST_NIGHT = datetime(2027, 1, 1, 2)  # noqa: DTZ001 - the store keeps UTC without a zone
_NIGHTS_A_CHALLENGER = 20
_MAX_RECORDED = 65
_LANGUAGES = ("en", "de", "fr", "it")
_SUITES = ("account", "billing", "delivery", "network", "printer")
_SETTINGS = """
logs = ["logs/*.jsonl"]
champion = "champion"
challenger = "challenger"
[validate]
data_docs = false
[releases.champion]
model = "{model}"
prompt = "one.md"
[releases.champion.sampling]
max_tokens = 1
[releases.challenger]
model = "{model}"
prompt = "two.md"
[releases.challenger.sampling]
max_tokens = 1
temperature = 0.8
"""
_SUITE = """
[suites.{name}]
samples = "{name}.jsonl"
scorer = "includes"
owner = "support"
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """By the clock, and of processors: the second says more where others are at work."""

    seconds: float
    processor_s: float


def write_application(folder: Path, num_samples: int) -> None:
    """So many samples over five suites, each sample with one of four values of a slice."""
    folder.mkdir(parents=True)
    model = write_tiny_model(folder / "model")
    sections = [_SUITE.format(name=name) for name in _SUITES]
    (folder / "flywheel.toml").write_text(_SETTINGS.format(model=model) + "".join(sections))
    for name, prompt in (("one", "Name the queue."), ("two", "The queue, in one word.")):
        (folder / f"{name}.md").write_text(prompt)
    for name in _SUITES:
        lines = (
            json.dumps({
                "input": f"ticket {n} about {name}: it broke", "target": "aeiou"[n % 5],
                "slices": {"language": _LANGUAGES[n % len(_LANGUAGES)]},
            })
            for n in range(num_samples // len(_SUITES))
        )  # fmt: skip
        (folder / f"{name}.jsonl").write_text("".join(f"{line}\n" for line in lines))
    (folder / "logs").mkdir()
    calls = (json.dumps(call_record(n)) for n in range(4))
    (folder / "logs" / "calls.jsonl").write_text("".join(f"{call}\n" for call in calls))


def command(folder: Path, *arguments: str) -> tuple[Cost, str]:
    """What a command of its own took, and what it printed."""
    began, used = time.perf_counter(), _children_s()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "flows", *arguments],
        cwd=folder,
        env={**environment_for(THREADS), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    cost = Cost(time.perf_counter() - began, _children_s() - used)
    assert done.returncode in (0, 1), done.stderr[-2000:]
    return cost, done.stdout


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def turned(folder: Path) -> dict[str, Any]:
    """One whole turn, as the command tells it."""
    return dict(json.loads(command(folder, "run", "--inline", "--json")[1]))


# many


@contextmanager
def _connected(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(folder / ".flywheel" / "flywheel.duckdb")) as connection:
        yield connection


def _again(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    where: str,
    changes: dict[str, Any],
    **bound: Any,
) -> None:
    """Rows of a table once more, with these columns another."""
    told = ", ".join(f"${name} AS {name}" for name in changes)
    connection.execute(
        f"INSERT INTO {table} SELECT * REPLACE ({told}) FROM {table} WHERE {where}",
        {**changes, **bound},
    )


def add_night(folder: Path, *, is_recorded: bool = False) -> str:
    """The first run once more, as the night after all others; its id."""
    with _connected(folder) as connection:
        ((first, number),) = connection.execute("SELECT min(run_id), count(*) FROM runs").fetchall()
        at = _FIRST_NIGHT + timedelta(days=number)
        run_id = f"{at:%Y%m%d-%H%M%S}-{number:06x}"
        version = number // _NIGHTS_A_CHALLENGER
        set_digest = hashlib.sha256(f"set {number}".encode()).hexdigest()
        ((request, old_set, challenger),) = connection.execute(
            "SELECT request, eval_set_digest, challenger_digest FROM runs WHERE run_id = ?", [first]
        ).fetchall()
        if version:
            challenger, name = _challenger(connection, challenger, version)
            request = request.replace('"challenger"', f'"{name}"')
        for table, changes in {
            "eval_sets": {"eval_set_digest": set_digest, "run_id": run_id, "created_at": at},
            "eval_set_samples": {"eval_set_digest": set_digest},
        }.items():
            _again(connection, table, "eval_set_digest = $old", changes, old=old_set)
        for table, changes in {
            "runs": {
                "run_id": run_id, "request": request, "request_digest": run_id, "started_at": at,
                "finished_at": at, "eval_set_digest": set_digest, "challenger_digest": challenger,
                "mlflow_run_id": None, "report": None,
            },
            "run_stages": {"run_id": run_id, "finished_at": at},
            "verdicts": {"run_id": run_id, "created_at": at},
            "commitments": {"run_id": run_id, "fixed_at": at},
            "run_samples": {"run_id": run_id},
            "evidence_looks": {"run_id": run_id},
        }.items():  # fmt: skip
            _again(connection, table, "run_id = $first", changes, first=first)
        if not is_recorded:
            connection.execute(
                "DELETE FROM run_stages WHERE run_id = ? AND stage = 'record'", [run_id]
            )
    return run_id


def _challenger(connection: duckdb.DuckDBPyConnection, old: str, version: int) -> tuple[str, str]:
    """Digest and name of the challenger of this version, which answered as the first one did."""
    digest = hashlib.sha256(f"challenger {version}".encode()).hexdigest()
    name = f"challenger-{version}"
    if not connection.execute(
        "SELECT 1 FROM releases WHERE release_digest = ?", [digest]
    ).fetchall():
        ((prompts,),) = connection.execute(
            "SELECT prompts FROM releases WHERE release_digest = ?", [old]
        ).fetchall()
        changed = {
            task: [{**part, "content": f"{part['content']} ({version})"} for part in template]
            for task, template in json.loads(prompts).items()
        }
        where = "release_digest = $old"
        _again(connection, "releases", where, {
            "release_digest": digest, "name": name, "prompts": json.dumps(changed),
            "prompt_digest": digest,
        }, old=old)  # fmt: skip
        for table in ("completions", "scores"):
            _again(connection, table, where, {"release_digest": digest}, old=old)
    return digest, name


def record_night(folder: Path, run_id: str) -> Cost:
    settings = read_settings(str(folder / "flywheel.toml"), {})
    with _connected(folder) as connection:
        ((request,),) = connection.execute(
            "SELECT request FROM runs WHERE run_id = ?", [run_id]
        ).fetchall()
    run = Run(run_id, RunRequest.from_json(request), settings)
    began, used = time.perf_counter(), time.process_time()
    recording.record(run)
    return Cost(time.perf_counter() - began, time.process_time() - used)


def prepare_many(folder: Path, num_samples: int, num_runs: int) -> None:
    """`few` with one recorded run, `many` with as many or more; what is there already is kept."""
    few, many = folder / "few", folder / "many"
    if not few.exists():
        write_application(few, num_samples)
        turned(few)
    if not many.exists():
        shutil.copytree(few, many)
    # nobody reads the pages of the nights between, and the page of all runs is written anew
    with (
        patch.object(recording, "write_index", lambda settings: None),
        patch.object(recording, "draw_pages", _no_pages),
    ):
        for number in range(_num_runs(many), min(num_runs, _MAX_RECORDED)):
            record_night(many, add_night(many))
            if number % 20 == 0:
                print(f"{number:,} runs", flush=True)
    while (num := _num_runs(many)) < num_runs:
        double(many / ".flywheel" / "mlflow.db")
        for _ in range(num):
            run_id = add_night(many, is_recorded=True)
            page = many / ".flywheel" / "reports" / run_id / REPORT
            page.parent.mkdir()
            page.touch()
        print(f"{_num_runs(many):,} runs, by doubling", flush=True)


#: of MLflow's tables, what names a run, a trace or a row of it
_IDS = {
    "runs": ("run_uuid",), "latest_metrics": ("run_uuid",), "metrics": ("run_uuid",),
    "params": ("run_uuid",), "tags": ("run_uuid",), "inputs": ("input_uuid", "destination_id"),
    "input_tags": ("input_uuid",), "logged_model_metrics": ("run_id",),
    "trace_info": ("request_id",), "trace_tags": ("request_id",),
    "trace_request_metadata": ("request_id",), "spans": ("trace_id",),
    "assessments": ("assessment_id", "trace_id", "run_id"),
    "entity_associations": ("association_id", "source_id", "destination_id"),
}  # fmt: skip


def double(database: Path) -> None:
    """Every run with its rows once more. The n-th time the n-th last letter of an id becomes an x,
    which no id has, so that no two are the same."""
    with closing(sqlite3.connect(database)) as connection, connection:
        marks = [row[0].count("x") for row in connection.execute("SELECT run_uuid FROM runs")]
        place = max(marks)

        def moved(name: str | None) -> str | None:
            if name is None:
                return None
            end = len(name) - place
            return f"{name[: end - 1]}x{name[end:]}"

        connection.create_function("moved", 1, moved, deterministic=True)
        for table, ids in _IDS.items():
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            told = ", ".join(f"moved({name})" if name in ids else f'"{name}"' for name in columns)
            connection.execute(f"INSERT INTO {table} SELECT {told} FROM {table}")


def _no_pages(turn: Turn, folder: Path, links: Links, receipt_file: Path) -> Pages:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / REPORT).touch()
    return Pages("", ())


def _num_runs(folder: Path) -> int:
    with _connected(folder) as connection:
        ((num,),) = connection.execute("SELECT count(*) FROM runs").fetchall()
    return int(num)


def measure_many(folder: Path, rounds: int) -> dict[str, Any]:
    """Nights more in both, in turns; the copy of `few` is thrown away."""
    few, many = folder / "measured", folder / "many"
    shutil.rmtree(few, ignore_errors=True)
    shutil.copytree(folder / "few", few)
    num_runs = _num_runs(many)
    record_night(few, add_night(few))  # imports
    costs: dict[str, list[Cost]] = {"few": [], "many": []}
    for _ in range(rounds):
        for name, place in (("few", few), ("many", many)):
            costs[name].append(record_night(place, add_night(place)))
    status = {name: [command(place, "status")[0] for _ in range(rounds)]
              for name, place in (("few", few), ("many", many))}  # fmt: skip
    shutil.rmtree(few)
    return {
        "runs": num_runs,
        "record": {name: _told(found) for name, found in costs.items()},
        "ratio": _ratio(costs, "seconds"),
        "ratio_of_processor_time": _ratio(costs, "processor_s"),
        "status": {name: _told(found) for name, found in status.items()},
    }


def _told(costs: list[Cost]) -> dict[str, list[float]]:
    """Rounded to what a clock can tell."""
    return {key: [round(getattr(cost, key), 3) for cost in costs]
            for key in ("seconds", "processor_s")}  # fmt: skip


def _ratio(costs: dict[str, list[Cost]], key: str) -> float:
    many, few = (median(getattr(cost, key) for cost in costs[name]) for name in ("many", "few"))
    return round(many / few, 3)


# large


def measure_large(folder: Path, num_samples: int, rounds: int) -> dict[str, Any]:
    """The stage of a whole turn; then nights that are like it, recorded in this process."""
    if not folder.exists():
        write_application(folder, num_samples)
    told = turned(folder)
    (stage,) = [one["seconds"] for one in told["stages"] if one["stage"] == "record"]
    costs = [record_night(folder, add_night(folder)) for _ in range(rounds)]
    return {
        "releases": 2,
        "samples": sum(suite["num_samples"] for suite in told["suites"]),
        "suites": len(told["suites"]),
        "slices": len([part for part in told["slices"] if part["slice"] == "language"]),
        "stage_of_the_turn_s": stage,
        "record": _told(costs),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=1_000)
    parser.add_argument("--samples", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prepared", type=Path)
    parser.add_argument("--only", choices=("many", "large", "prepare"))
    parser.add_argument("--out", type=Path, default=FOLDER / "recording.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.prepared or Path(temporary)
        found: dict[str, Any] = {}
        if options.only != "large":
            prepare_many(folder, 60, options.runs)
        if options.only == "prepare":
            return
        if options.only != "large":
            found["many"] = measure_many(folder, options.rounds)
        if options.only != "many":
            found["large"] = measure_large(folder / "large", options.samples, options.rounds)
    print(json.dumps(found, indent=1))
    kept = json.loads(options.out.read_text()) if options.out.is_file() else {}
    parts = {name: found.get(name, kept.get(name)) for name in ("many", "large")}
    write({**header(), **parts}, options.out, "recording")


if __name__ == "__main__":
    main()
