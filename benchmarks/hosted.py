"""An API that fails one request in ten, in every way that it can: is each answer there, once, and
is none paid for twice, whatever kills the run?

    python -m benchmarks.hosted                  2,000 samples; 20 kills; 10 minutes

A real server on loopback (tests/fake_api.py), which keeps account of what it was asked and what it
sent whole; a real `flywheel eval` in a process of its own, killed with SIGKILL. Three parts:

- whole: one run without a kill. Complete, none doubled, every text that of its own question?
- budget: a budget in requests, killed on the way. Does the server see one more than allowed?
- killed: 20 moments spread over the run, resumed each time. An answer that was in the store or the
  journal at a kill must never be asked for again. One that was on its way at the kill cannot be
  known; those are counted.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.results import FOLDER, header, write
from tasks.answering.journal import JOURNAL_FILE
from tasks.store import Store
from tests.fake_api import FAULTS, FakeApi, answer_to, serving_api

_SETTINGS = """
challenger = "api"
[releases.api]
api = "openai"
model = "big-1"
base_url = "{url}"
api_key_env = "BENCHMARK_KEY"
[releases.api.requests]
max_concurrency = {concurrency}
timeout_s = 4.0
max_wait_s = 5.0
[suites.words]
samples = "words.jsonl"
"""
_CONCURRENCY = 16
_RATE = 0.1
_ROOT = Path(__file__).resolve().parent.parent


def failing(seed: int) -> Callable[[int, dict[str, Any]], str | None]:
    """A tenth of the requests, each fault as often as any other."""
    chance = random.Random(seed)
    return lambda number, _: chance.choice(FAULTS) if chance.random() < _RATE else None


class Application:
    def __init__(self, folder: Path, api: FakeApi, num_samples: int) -> None:
        folder.mkdir(parents=True)
        self.folder, self.api, self.home = folder, api, folder / ".flywheel"
        text = _SETTINGS.format(url=api.url, concurrency=_CONCURRENCY)
        (folder / "flywheel.toml").write_text(text)
        lines = [json.dumps({"input": _question(n), "target": "x"}) for n in range(num_samples)]
        (folder / "words.jsonl").write_text("\n".join(lines))

    def start(self, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "flows", "eval", "--json"],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(_ROOT), "BENCHMARK_KEY": "sk-benchmark-key-1",
                 **environment},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def finish(self, **environment: str) -> dict[str, Any]:
        """The notes of evaluate."""
        out, err = self.start(**environment).communicate(timeout=900)
        assert out, err
        notes: dict[str, Any] = json.loads(out)
        return notes

    def kill_at(self, num_requests: int, **environment: str) -> bool:
        """Whether it still ran when the server had been asked so often in all."""
        process = self.start(**environment)
        while self.num_asked < num_requests and process.poll() is None:
            time.sleep(0.001)
        was_running = process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return was_running

    @property
    def num_asked(self) -> int:
        return len(self.api.books.bodies)

    def completions(self) -> list[tuple[str, str | None, str | None]]:
        """Question, text, error, of the store alone."""
        with Store.open(self.home / "flywheel.duckdb", read_only=True) as store:
            rows = store.rows(
                "SELECT json_extract_string(messages, '$[0].content'), text, error "
                "FROM completions JOIN samples USING (sample_id) ORDER BY 1"
            )
        return [(str(question), text, error) for question, text, error in rows]

    def arrived(self) -> set[str]:
        """Questions whose answers were in the store or in the journal at a kill."""
        journal = self.home / JOURNAL_FILE
        ids = []
        for line in journal.read_bytes().split(b"\n")[:-1] if journal.exists() else ():
            value = json.loads(line)
            if "row" in value:
                ids.append(value["row"]["sample_id"])
        with Store.open(self.home / "flywheel.duckdb", read_only=True) as store:
            rows = store.rows(
                "SELECT DISTINCT json_extract_string(messages, '$[0].content') FROM samples "
                "WHERE list_contains(?::VARCHAR[], sample_id) "
                "OR sample_id IN (SELECT sample_id FROM completions)",
                [ids],
            )
        return {str(question) for (question,) in rows}

    def spent(self) -> int:
        with Store.open(self.home / "flywheel.duckdb", read_only=True) as store:
            return int(store.scalar("SELECT sum(requests) FROM spending") or 0)


def _question(number: int) -> str:
    words = ("amber", "basil", "cedar", "delta", "ember", "fjord", "grove", "haven")
    return " ".join([str(number), *(words[number // 8**place % 8] for place in range(5))])


def checked(application: Application, num_samples: int) -> dict[str, Any]:
    """What is in the store at the end, beside what the server did."""
    rows, books = application.completions(), application.api.books
    questions = [question for question, _, _ in rows]
    wrong = [q for q, text, error in rows if text != answer_to(q) and not error]
    return {
        "samples": num_samples,
        "completions": len(rows),
        "doubled": len(rows) - len(set(questions)),
        "lost": num_samples - len(set(questions)),
        "of_another_question": len(wrong),
        "failures_of_the_release": dict(Counter(error for _, _, error in rows if error)),
        "requests": application.num_asked,
        "faults": dict(books.faults),
        "sent_whole_twice": sum(num > 1 for num in books.billed.values()),
        "most_under_way": books.most_under_way,
    }


def whole(folder: Path, num_samples: int) -> dict[str, Any]:
    with serving_api(failing(1), pause_s=0.01, slow_s=5.0, retry_after_s=1) as api:
        application = Application(folder, api, num_samples)
        started = time.monotonic()
        application.finish()
        seconds = round(time.monotonic() - started, 1)
        return {**checked(application, num_samples), "seconds": seconds}


def budget(folder: Path, num_samples: int) -> dict[str, Any]:
    """Half of what is needed; killed at three moments; then enough."""
    allowed = num_samples // 2 + 7
    limit = {"FLYWHEEL_EVALUATE__BUDGET__MAX_REQUESTS": str(allowed)}
    with serving_api(failing(2), pause_s=0.01, slow_s=5.0, retry_after_s=1) as api:
        application = Application(folder, api, num_samples)
        for part in (1, 2, 3):
            assert application.kill_at(allowed * part // 4, **limit)
        notes = application.finish(**limit)["hosted"]["api"]
        told = {
            "max_requests": allowed,
            "requests_counted": application.spent(),
            "requests_at_the_server": application.num_asked,
            "completions_kept": len(application.completions()),
            "unfinished": notes["num_unfinished"],
            "why": next(iter(notes["unfinished"])),
        }
        application.finish()
        return {**told, "then": checked(application, num_samples)}


def killed(folder: Path, num_samples: int, num_kills: int) -> dict[str, Any]:
    with serving_api(failing(3), pause_s=0.01, slow_s=5.0, retry_after_s=1) as api:
        application = Application(folder, api, num_samples)
        chance = random.Random(4)
        on_their_way = num_killed = 0
        snapshots: list[dict[str, int]] = []
        for kill in range(1, num_kills + 1):
            jitter = chance.randint(0, num_samples // num_kills // 2)
            if not application.kill_at(num_samples * kill // (num_kills + 1) + jitter):
                break
            num_killed += 1
            there = application.arrived()
            on_their_way += sum(question not in there for question in api.books.billed)
            snapshots.append({question: api.books.asked[question] for question in there})
        application.finish()
        again = {q for seen in snapshots for q, num in seen.items() if api.books.asked[q] > num}
        return {
            "kills": num_killed,
            "arrived_by_a_kill": [len(seen) for seen in snapshots],
            "arrived_and_asked_again": len(again),
            "on_their_way_at_a_kill": on_their_way,
            **checked(application, num_samples),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--out", type=Path, default=FOLDER / "hosted.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        told: dict[str, Any] = header()
        told["whole"] = whole(folder / "whole", options.samples)
        print(json.dumps(told["whole"], indent=1), flush=True)
        told["budget"] = budget(folder / "budget", options.samples)
        print(json.dumps(told["budget"], indent=1), flush=True)
        told["killed"] = killed(folder / "killed", options.samples, options.kills)
        print(json.dumps(told["killed"], indent=1), flush=True)
    write(told, options.out, "hosted")


if __name__ == "__main__":
    main()
