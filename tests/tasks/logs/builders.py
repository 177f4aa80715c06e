"""Runs, files and records for the ingest and redact tests."""

from __future__ import annotations

import itertools
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tasks.model.run import RunRequest
from tasks.run import Run
from tasks.settings import parse_settings

_ticks = itertools.count()


def clock() -> datetime:
    """Never twice the same moment."""
    return datetime(2026, 11, 24) + timedelta(seconds=next(_ticks))  # noqa: DTZ001


def make_run(
    folder: Path,
    *logs: str | Path,
    run_id: str = "run-1",
    log_format: str = "auto",
    since: str = "",
    until: str = "",
    **sections: Any,
) -> Run:
    settings = parse_settings({"home": str(folder / ".home"), **sections}, base=str(folder))
    names = tuple(str(log) for log in logs)
    request = RunRequest(logs=names, log_format=log_format, since=since, until=until)
    return Run(run_id, request, settings, clock=clock)


def call(number: int = 1, **changes: Any) -> dict[str, Any]:
    record = {
        "request_id": f"r{number}",
        "started_at": f"2026-11-01T10:00:{number % 60:02d}Z",
        "provider": "openai",
        "model": "m-1",
        "messages": [{"role": "user", "content": f"question {number}"}],
        "response": {"role": "assistant", "content": f"answer {number}"},
        "input_tokens": 10 + number,
        "output_tokens": 5,
    }
    return {key: value for key, value in {**record, **changes}.items() if value is not ...}


def line(value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def write_lines(path: Path, *values: Any, end: bytes = b"\n") -> Path:
    path.write_bytes(b"\n".join(line(value) for value in values) + end)
    return path


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as handle:
        handle.write(data)


def query(run: Run, sql: str) -> list[tuple[Any, ...]]:
    with run.open_store() as store:
        return store.rows(sql)
