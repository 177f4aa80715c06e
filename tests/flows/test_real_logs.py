"""Logs nobody here wrote, through the command line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tests.flows.application import Application

pytestmark = pytest.mark.realdata


def test_every_real_span_and_chat_file_is_read_or_dead_lettered(
    shared: Path, application: Application
):
    formats = shared / "log_formats"
    spans, chats = formats / "otel_genai" / "*.otlp.json", formats / "openai_chat" / "*"
    answer = application.call("ingest", "--logs", str(spans), "--logs", str(chats), "--json").json
    files = [*spans.parent.glob(spans.name), *chats.parent.glob(chats.name)]
    assert answer["files"] == len(files)
    assert answer["rows_in"] == (answer["rows_out"] + answer["duplicates"] + answer["dead_letters"])
    assert answer["rows_out"] == sum(answer["by_format"].values())
    rows = application.call(
        "sql", "select source from dead_letters union select sources[1] from landing", "--json"
    ).json["rows"]
    seen = {Path(path.rpartition(":")[0] if ":" in path else path).name for (path,) in rows}
    assert seen == {path.name for path in files}


def lines(path: Path) -> list[str]:
    return gzip.decompress(path.read_bytes()).decode().split("\n")[:-1]


@pytest.mark.slow
def test_whole_turn_on_two_thousand_real_conversations(shared: Path, application: Application):
    calls = [
        {
            "request_id": f"{path.name}-{number}",
            "session_id": f"{path.name}-{number}",
            "started_at": 1_700_000_000 + number,
            "model": path.name.removesuffix(".jsonl.gz"),
            "messages": [{"role": "user", "content": row["instruction"]}],
            "response": row["output"],
            "status": "ok",
        }
        for path in sorted((shared / "datasets").glob("alpaca_eval_outputs_*.jsonl.gz"))
        for number, row in enumerate(map(json.loads, lines(path)))
    ]
    assert len(calls) >= 2000
    for path in application.folder.glob("logs/*"):
        path.unlink()
    application.log("conversations.jsonl", calls)
    answer = application.call("run", "--inline", "--json", FLYWHEEL_CURATE__MAX_SAMPLES="40")
    assert answer.code in (0, 1), answer.err
    stages = {stage["stage"]: stage for stage in answer.json["stages"]}
    assert stages["ingest"]["rows_out"] == len(calls)
    validated = stages["validate"]
    assert validated["rows_in"] == validated["rows_out"] + validated["quarantined"] == len(calls)
    # three models answered the same 805 instructions: two of three are exact duplicates
    assert stages["curate"]["duplicates"] >= 2 * 800
    assert answer.json["verdict"]
