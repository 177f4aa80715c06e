from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import DataError, StoreError, UsageError
from tasks.ingest.task import ingest
from tasks.redact import task
from tasks.redact.task import redact
from tasks.store.control.pseudonym_key import pseudonym_key
from tasks.store.evals.logged_calls import read_questions
from tests.tasks.logs.builders import call, make_run, query, write_lines

SECRET = "sk-proj-abc123DEF456ghi789"
MAIL = "ann@example.com"


def personal(number: int = 1, **changes: Any) -> dict[str, Any]:
    return call(
        number,
        messages=[{"role": "user", "content": f"I am {MAIL}, order A-20417"}],
        response={"role": "assistant", "content": f"Use {SECRET}", "tool_calls": [
            {"function": {"name": "mail", "arguments": json.dumps({"to": MAIL})}}]},
        tags={"note": f"from 192.168.10.20 by {MAIL}"},
        feedback={"kind": "correction", "corrected": f"write to {MAIL}", "comment": "no"},
        **changes,
    )  # fmt: skip


def test_landing_moves_to_requests_with_everything_personal_masked(tmp_path: Path):
    run = make_run(tmp_path, write_lines(tmp_path / "a.jsonl", personal(1), call(2)))
    ingest(run)
    receipt = redact(run)
    assert (receipt.rows_in, receipt.rows_out) == (2, 2)
    # messages, tool call twice (in the response and lifted out), tags
    assert receipt.notes["redactions"] == {
        "secret": 1, "email": 5, "phone": 0, "card": 0, "iban": 0, "ip": 1,
    }  # fmt: skip
    assert query(run, "SELECT count(*) FROM landing") == [(0,)]
    stored = str(query(run, "SELECT * FROM requests")) + str(query(run, "SELECT * FROM feedback"))
    assert MAIL not in stored
    assert SECRET not in stored
    assert "order A-20417" in stored
    assert "192.168.10.20" not in stored


def test_definitions_of_tools_are_masked_and_still_read(tmp_path: Path):
    function = {
        "name": "mail", "description": f"Write to {MAIL} with {SECRET}.",
        "parameters": {"type": "object", "properties": {"to": {"default": MAIL}}},
    }  # fmt: skip
    body = {
        "model": "m", "messages": [{"role": "user", "content": "Write."}],
        "tools": [{"type": "function", "function": function}], "max_tokens": 70,
        "chat_template_kwargs": {"enable_thinking": False, "note": MAIL},
    }  # fmt: skip
    said = {"role": "assistant", "content": "Done."}
    answer = {"id": "c", "object": "chat.completion", "model": "m", "created": 1,
              "choices": [{"index": 0, "message": said, "finish_reason": "stop"}]}  # fmt: skip
    log = write_lines(tmp_path / "a.jsonl", {"request": body, "response": answer})
    run = make_run(tmp_path, log)
    ingest(run)
    redact(run)
    with run.open_store() as store:
        (asked,) = read_questions(store, with_sampling=True)
    served = asked.conversation.served
    assert served.template["enable_thinking"] is False
    assert served.sampling == {"max_tokens": 70}
    (tool,) = served.tools
    assert tool["function"]["name"] == "mail"
    assert tool["function"]["description"].startswith("Write to <email:")
    assert not any(secret in str(served) for secret in (MAIL, SECRET))


def test_the_same_address_has_one_pseudonym_in_calls_and_feedback(tmp_path: Path):
    run = make_run(tmp_path, write_lines(tmp_path / "a.jsonl", personal(1)))
    ingest(run)
    redact(run)
    ((text,),) = query(run, "SELECT messages->0->>'content' FROM requests")
    pseudonym = text.split()[2].rstrip(",")
    assert pseudonym.startswith("<email:")
    assert query(run, "SELECT corrected, comment FROM feedback") == [
        (f"write to {pseudonym}", "no")
    ]


def test_feedback_is_masked_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    lines = [personal(number) for number in range(1, 8)]
    run = make_run(tmp_path, write_lines(tmp_path / "a.jsonl", *lines))
    ingest(run)
    monkeypatch.setattr(task, "_FEEDBACK_AT_A_TIME", 3)
    redact(run)
    texts = query(run, "SELECT corrected FROM feedback")
    assert len(texts) == 7
    assert all(text.startswith("write to <email:") for (text,) in texts)


def test_a_redacted_call_met_again_is_a_duplicate(tmp_path: Path):
    run = make_run(tmp_path, write_lines(tmp_path / "a.jsonl", personal(1)))
    ingest(run)
    redact(run)
    again = make_run(tmp_path, write_lines(tmp_path / "b.jsonl", personal(1)), run_id="run-2")
    assert ingest(again).duplicates == 1


def test_columns_and_times_survive_the_move(tmp_path: Path):
    run = make_run(tmp_path, write_lines(tmp_path / "a.jsonl", call(1, params={"n": 1})))
    ingest(run)
    before = query(run, "SELECT * FROM landing")
    redact(run)
    assert query(run, "SELECT * FROM requests") == before


def test_many_batches_move_every_row_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(task, "_BATCH_ROWS", 3)
    path = write_lines(tmp_path / "a.jsonl", *(call(n) for n in range(10)))
    told: list[tuple[int, int | None]] = []

    def progress(stage: str, done: int, total: int | None, note: str = "") -> None:
        told.append((done, total))

    run = replace(make_run(tmp_path, path), progress=progress)
    ingest(run)
    told.clear()
    assert redact(run).rows_out == 10
    assert told == [(3, 10), (6, 10), (9, 10), (10, 10)]
    assert query(run, "SELECT count(*) FROM requests") == [(10,)]


def test_a_second_call_for_the_same_run_gives_the_same_receipt(tmp_path: Path):
    run = make_run(tmp_path, write_lines(tmp_path / "a.jsonl", personal(1)))
    ingest(run)
    assert redact(run) == redact(run)


def test_nothing_in_landing_is_nothing_done(tmp_path: Path):
    assert redact(make_run(tmp_path)).rows_in == 0


def test_killed_before_the_commit_nothing_has_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run = make_run(tmp_path, write_lines(tmp_path / "a.jsonl", personal(1)))
    ingest(run)

    def kill(*args: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(task.ledger, "finish_stage", kill)
        with pytest.raises(KeyboardInterrupt):
            redact(run)
    assert query(run, "SELECT (SELECT count(*) FROM landing), (SELECT count(*) FROM requests)") == [
        (1, 0)
    ]
    assert redact(run).rows_out == 1


def test_one_id_twice_is_refused_and_nothing_is_lost(tmp_path: Path):
    run = make_run(tmp_path, write_lines(tmp_path / "a.jsonl", call(1), call(1, model="x")))
    ingest(run)
    with pytest.raises(DataError, match="r1"):
        redact(run)
    assert query(run, "SELECT count(*) FROM landing") == [(2,)]


def test_an_unknown_kind_in_the_settings_is_a_usage_error(tmp_path: Path):
    with pytest.raises(UsageError, match="did you mean 'phone'"):
        redact(make_run(tmp_path, redact={"kinds": ["phones"]}))


def test_kinds_of_the_settings_decide(tmp_path: Path):
    path = write_lines(tmp_path / "a.jsonl", personal(1))
    run = make_run(tmp_path, path, redact={"kinds": ["secret"]})
    ingest(run)
    assert redact(run).notes["redactions"] == {"secret": 1}
    assert MAIL in str(query(run, "SELECT messages FROM requests"))


def test_the_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path):
    home = tmp_path / "home"
    key = pseudonym_key(home)
    assert len(key) == 32
    assert pseudonym_key(home) == key
    (path,) = home.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o600)
    path.write_bytes(b"short")
    with pytest.raises(StoreError, match="damaged"):
        pseudonym_key(home)


def test_a_state_folder_that_cannot_be_made_is_told(tmp_path: Path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="cannot be read"):
        pseudonym_key(tmp_path / "file" / "home")


def test_each_field_may_have_an_action_of_its_own(tmp_path: Path):
    fields = {"session_id": "hash", "tags.customer": "drop", "corrected": "keep", "params": "drop"}
    calls = [
        {**personal(number, session_id="room of Ann", params={"n": 1}),
         "tags": {"customer": "ACME", "note": MAIL}}
        for number in (1, 2)
    ]  # fmt: skip
    run = make_run(tmp_path, write_lines(tmp_path / "a.jsonl", *calls), redact={"fields": fields})
    ingest(run)
    receipt = redact(run)
    ((session, params, tags),) = query(
        run, "SELECT DISTINCT session_id, params, tags->'customer' FROM requests"
    )
    assert session.startswith("<hashed:")
    assert params is tags is None
    assert query(run, "SELECT DISTINCT corrected FROM feedback") == [(f"write to {MAIL}",)]
    assert receipt.notes["redactions"]["hashed"] == 2
    assert receipt.notes["redactions"]["dropped"] == 4
