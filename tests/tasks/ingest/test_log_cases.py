"""Log files as people have them, each alone in a fresh store, against what a right reader returns.

Public files, or shaped after public documentation, in a folder beside the repository; `expect.json`
of each says what matters.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import UsageError
from tasks.ingest.task import ingest
from tests.conftest import SHARED
from tests.tasks.logs.builders import make_run, query

pytestmark = pytest.mark.realdata

CASES = SHARED / "log_cases"
_ABOUT = ("PROVENANCE.md", "expect.json")
_CALLS = "operation IS DISTINCT FROM 'embeddings'"
#: word of expect.json → over the calls of the file
_SQL = {
    "llm_calls": f"count(*) FILTER ({_CALLS})",
    "embedding_calls": "count(*) FILTER (operation = 'embeddings')",
    "input_tokens": "sum(input_tokens)",
    "output_tokens": "sum(output_tokens)",
    "total_tokens": "sum(total_tokens)",
    "cached_tokens": "sum(cached_tokens)",
    "reasoning_tokens": "sum(reasoning_tokens)",
    "cost_usd": "round(sum(cost_usd), 9)",
    "errors": "count(*) FILTER (status = 'error')",
    "tool_calls": "coalesce(sum(json_array_length(tool_calls)), 0)",
    "http_status": "max(http_status)",
    "finish_reason": "max(finish_reason)",
    "operation": "max(operation)",
    "session": "max(session_id)",
    "session_id": "max(session_id)",
    "latency_s": "round(max(latency_s), 6)",
    "ttft_s": "round(max(ttft_s), 6)",
    "response_text": "max(response->>'content')",
    "other_choices": "coalesce(sum(json_array_length(tags->'other_choices')), 0)",
    "feedback": "(SELECT count(*) FROM feedback)",
}


def _cases() -> list[tuple[str, str]]:
    folders = sorted(CASES.iterdir()) if CASES.is_dir() else []
    return [(folder.name, file.name) for folder in folders if folder.is_dir()
            for file in sorted(folder.iterdir()) if file.name not in _ABOUT]  # fmt: skip


def expected_of(case: str, name: str) -> dict[str, Any]:
    expect: dict[str, Any] = json.loads((CASES / case / "expect.json").read_text())
    return expect.get(name, expect)  # type: ignore[no-any-return]


def found_in(path: Path, folder: Path, expect: dict[str, Any]) -> dict[str, Any]:
    run = make_run(folder, path)
    try:
        ingest(run)
    except UsageError as error:
        return {"llm_calls": 0, "refused": str(error)}
    names = [name for name in expect if name in _SQL]
    row = query(run, f"SELECT {', '.join(_SQL[name] for name in names)} FROM landing")[0]
    found = dict(zip(names, row, strict=True))
    found["dead"] = query(run, "SELECT error FROM dead_letters")
    for name in ("models", "model"):
        if name in expect:
            models = dict(query(run, "SELECT model, count(*) FROM landing GROUP BY ALL"))
            wanted = {expect["model"]: 1} if name == "model" else expect["models"]
            found[name] = expect[name] if wanted.keys() <= models.keys() else models
    if "calls" in expect:
        calls = {
            key.rpartition(":")[2]: [asked, said] for key, asked, said in
            query(run, "SELECT request_id, input_tokens, output_tokens FROM landing")
        }  # fmt: skip
        found["calls"] = calls
    for name in ("started_at", "started_first"):
        if name in expect:
            first = query(run, "SELECT min(started_at) FROM landing")[0][0]
            found[name] = None if first is None else first.isoformat()
    return found


@pytest.mark.parametrize(("case", "name"), _cases() or [("none", "none")])
def test_a_log_is_read_right(case: str, name: str, shared: Path, tmp_path: Path):
    expect = expected_of(case, name)
    found = found_in(CASES / case / name, tmp_path, expect)
    for key in ("started_at", "started_first"):
        if key in expect and found.get(key):
            expect = {**expect, key: expect[key].removesuffix("Z")}
            found[key] = found[key].rstrip("0") if "." in found[key] else found[key]
            expect[key] = expect[key].rstrip("0").rstrip(".") if "." in expect[key] else expect[key]
    wrong = {key: (expect[key], found.get(key)) for key in expect
             if (key in _SQL or key in found) and expect[key] is not None
             and found.get(key) != expect[key]}  # fmt: skip
    assert not wrong, (wrong, found)
    assert not expect["llm_calls"] or not found["dead"]
