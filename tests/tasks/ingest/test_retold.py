"""Sessions that begin with what another session said before: each call counts once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tasks.ingest.task import ingest
from tests.tasks.ingest.test_reread import night
from tests.tasks.logs.builders import make_run, query, write_lines


def asked(session: str, uuid: str, parent: str | None, text: str) -> dict[str, Any]:
    return {"type": "user", "uuid": uuid, "parentUuid": parent, "sessionId": session,
            "version": "2.0", "timestamp": "2026-11-01T10:00:00Z",
            "message": {"role": "user", "content": text}}  # fmt: skip


def said(session: str, uuid: str, parent: str, own: str, text: str) -> dict[str, Any]:
    message = {"id": own, "role": "assistant", "model": "m-1", "type": "message",
               "content": [{"type": "text", "text": text}],
               "usage": {"input_tokens": 9, "output_tokens": 2}}  # fmt: skip
    return {"type": "assistant", "uuid": uuid, "parentUuid": parent, "sessionId": session,
            "timestamp": "2026-11-01T10:00:01Z", "version": "2.0", "message": message}  # fmt: skip


def session(name: str, num_calls: int) -> list[dict[str, Any]]:
    """Of Claude Code; each repeats the calls of a shorter one under a session id of its own."""
    lines: list[dict[str, Any]] = []
    for number in range(num_calls):
        parent = f"{name}-a{number - 1}" if number else None
        lines += [asked(name, f"{name}-u{number}", parent, f"question {number}"),
                  said(name, f"{name}-a{number}", f"{name}-u{number}", f"msg_{number}",
                       f"answer {number}")]  # fmt: skip
    return lines


@pytest.mark.parametrize("at_once", [True, False])
def test_a_resumed_session_of_claude_code_adds_only_what_is_new(at_once: bool, tmp_path: Path):
    write_lines(tmp_path / "a.jsonl", *session("a", 1))
    if not at_once:
        night(make_run(tmp_path, tmp_path / "*.jsonl"))
    write_lines(tmp_path / "b.jsonl", *session("b", 2))
    write_lines(tmp_path / "c.jsonl", *session("c", 3))
    run = make_run(tmp_path, tmp_path / "*.jsonl", run_id="run-2")
    receipt = ingest(run)
    calls = "(SELECT request_id, session_id, sources FROM landing UNION ALL " \
            "SELECT request_id, session_id, sources FROM requests)"  # fmt: skip
    rows = query(run, f"SELECT request_id, session_id, len(sources) FROM {calls} ORDER BY 1")
    assert rows == [("msg_0", "a", 3), ("msg_1", "b", 2), ("msg_2", "c", 1)]
    assert receipt.rows_in == receipt.rows_out + receipt.duplicates == (6 if at_once else 5)
    assert "conflicts" not in receipt.notes
    assert query(run, "SELECT sum(rows_out), sum(output_tokens) FROM sources") == [(3, 6)]


def line(kind: str, at: float, **payload: Any) -> dict[str, Any]:
    seconds = f"{int(at):02d}.{round(at % 1 * 1000):03d}"
    return {"timestamp": f"2026-11-03T08:00:{seconds}Z", "type": kind, "payload": payload}


def turn(at: float, number: int) -> list[dict[str, Any]]:
    """A question, its answer and its count, as Codex writes them."""
    usage = {"input_tokens": 10 * number, "output_tokens": 2, "total_tokens": 10 * number + 2}
    content = [{"type": "output_text", "text": f"answer {number}"}]
    return [
        line("response_item", at, type="message", role="user",
             content=[{"type": "input_text", "text": f"question {number}"}]),
        line("response_item", at + 0.1, type="message", role="assistant", content=content),
        line("event_msg", at + 0.1, type="token_count",
             info={"total_token_usage": usage, "last_token_usage": usage}),
    ]  # fmt: skip


def test_a_forked_session_of_codex_adds_only_what_is_new(tmp_path: Path):
    context = line("turn_context", 0, model="gpt-5-codex")
    parent = [line("session_meta", 0, id="s-1"), context, *turn(5, 1), *turn(9, 2)]
    own = line("session_meta", 0, id="s-2", forked_from_id="s-1")
    copied = [{**each, "timestamp": f"2026-11-03T09:00:00.{number:03d}Z"}
              for number, each in enumerate([own, *parent])]  # fmt: skip
    later = [{**each, "timestamp": each["timestamp"].replace("T08", "T09")} for each in turn(9, 3)]
    write_lines(tmp_path / "rollout-1.jsonl", *parent)
    write_lines(tmp_path / "rollout-2.jsonl", *copied, *later)
    run = make_run(tmp_path, tmp_path / "*.jsonl")
    receipt = ingest(run)
    rows = query(run, "SELECT request_id, session_id, input_tokens, started_at::VARCHAR "
                      "FROM landing ORDER BY 1")  # fmt: skip
    assert rows == [("s-1:1", "s-1", 10, "2026-11-03 08:00:05.1"),
                    ("s-1:2", "s-1", 20, "2026-11-03 08:00:09.1"),
                    ("s-2:3", "s-2", 30, "2026-11-03 09:00:09.1")]  # fmt: skip
    assert (receipt.rows_in, receipt.rows_out, receipt.duplicates) == (5, 3, 2)
