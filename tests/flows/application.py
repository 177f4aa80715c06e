"""A whole application in a temporary folder: settings, prompts, suites, logs, a tiny real model."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer.main import get_command

from flows.cli import app
from flows.failures import exit_code_of
from tests.conftest import REPOSITORY

VERDICT_SCHEMA = REPOSITORY / "tasks" / "model" / "schemas" / "verdict-1.json"

_SETTINGS = """
logs = ["logs/*.jsonl"]
champion = "champion"
challenger = "challenger"

[validate]
data_docs = false

[releases.champion]
model = "{model}"
prompt = "prompts/one.md"
[releases.champion.sampling]
max_tokens = 6
temperature = 0.8

[releases.challenger]
model = "{model}"
prompt = "prompts/two.md"
[releases.challenger.sampling]
max_tokens = 6

[suites.route]
samples = "suites/route.jsonl"
scorer = "exact_match"
role = "primary"
owner = "support"
"""


@cache
def _command() -> Any:
    """Made once: typer takes as long for it as most commands take."""
    return get_command(app)


@dataclass(frozen=True, slots=True)
class Application:
    """The folder of one application and how to call the command line in it."""

    folder: Path

    @property
    def home(self) -> Path:
        return self.folder / ".flywheel"

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "flows", *arguments],
            cwd=self.folder,
            env=self.environment(**environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def call(self, *arguments: str, **environment: str) -> Answer:
        with self.start(*arguments, **environment) as process:
            out, err = process.communicate(timeout=240)
        return Answer(process.returncode, out, err)

    def here(self, *arguments: str, **environment: str) -> Answer:
        """As call() in this process, which has paid for torch and MLflow already."""
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.chdir(self.folder)
            for name, value in environment.items():
                patch.setenv(name, value)
            mask = os.umask(0o022)  # a command sets its own
            try:
                _command()(arguments, prog_name="flywheel")
            except SystemExit as ended:
                code = ended.code
            except Exception as error:
                code = exit_code_of(error, as_json="--json" in arguments)
            finally:
                os.umask(mask)
        assert isinstance(code, int)
        return Answer(code, out.getvalue(), err.getvalue())

    def environment(self, **extra: str) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", **extra}

    def log(self, name: str, records: list[dict[str, Any]]) -> Path:
        path = self.folder / "logs" / name
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        return path


@dataclass(frozen=True, slots=True)
class Answer:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one object; where it names the schema of a verdict, it follows that."""
        assert self.out.strip(), self.err
        value: dict[str, Any] = json.loads(self.out)
        if str(value.get("schema", "")).startswith("flywheel/verdict/"):
            jsonschema.validate(value, json.loads(VERDICT_SCHEMA.read_text()))
        return value


def make_application(
    folder: Path, model: Path, *, calls: int = 24, samples: int = 12
) -> Application:
    for name in ("logs", "prompts", "suites"):
        (folder / name).mkdir(parents=True)
    (folder / "flywheel.toml").write_text(_SETTINGS.format(model=model))
    (folder / "prompts" / "one.md").write_text("Name the queue.")
    (folder / "prompts" / "two.md").write_text("Answer with one word: the queue.")
    suite = [
        {"input": f"ticket {n}: {_TOPICS[n % 3]} broke", "target": _TOPICS[n % 3], "task": "route"}
        for n in range(samples)
    ]
    text = "".join(json.dumps(sample) + "\n" for sample in suite)
    (folder / "suites" / "route.jsonl").write_text(text)
    application = Application(folder)
    application.log("calls.jsonl", [call_record(n) for n in range(calls)])
    return application


_TOPICS = ("printer", "network", "billing")
#: far enough apart that no two are near-duplicates
_WORDS = (
    "amber", "basil", "cedar", "delta", "ember", "fjord",
    "grove", "haven", "inlet", "jetty", "karst", "lagoon",
)  # fmt: skip


def call_record(number: int) -> dict[str, Any]:
    """One canonical call that passes every expectation."""
    words = [_WORDS[(number * step + step) % len(_WORDS)] for step in (1, 3, 5, 7, 11)]
    return {
        "request_id": f"call-{number}",
        "started_at": f"2026-11-01T10:{number % 60:02d}:00Z",
        "provider": "local",
        "model": "tiny",
        "prompt_name": "route",
        "prompt_version": "one",
        "session_id": f"session-{number // 2}",
        "operation": "chat",
        "messages": [{"role": "user", "content": f"{number} {' '.join(words)}"}],
        "response": _TOPICS[number % 3],
        "finish_reason": "stop",
        "input_tokens": 12,
        "output_tokens": 3,
        "total_tokens": 15,
        "latency_s": 0.2,
        "status": "ok",
        "feedback": {"kind": "thumbs", "value": 1 if number % 4 else -1},
    }
