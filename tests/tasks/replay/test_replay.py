from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import UsageError
from tasks.ingest.task import ingest
from tasks.logs.files import spool
from tasks.model.receipt import Receipt
from tasks.replay.task import replay
from tasks.run import Run
from tasks.validate.task import validate
from tests.tasks.logs.builders import append, call, make_run, query, write_lines

LIMITS = {"max_line_bytes": 400}
LONG = call(2, messages=[{"role": "user", "content": "x" * 500}])
QUIET = {"data_docs": False}


def run_of(
    folder: Path, run_id: str, *logs: Path, only: tuple[str, ...] = (), **sections: Any
) -> Run:
    run = make_run(folder, *logs, run_id=run_id, **{"validate": QUIET, **sections})
    object.__setattr__(run.request, "only", only)
    return run


def counts(receipt: Receipt) -> tuple[int, int, int, int, int]:
    return (receipt.rows_in, receipt.rows_out, receipt.quarantined, receipt.duplicates,
            receipt.dead_letters)  # fmt: skip


def landed(run: Run) -> list[str]:
    return [row[0] for row in query(run, "SELECT request_id FROM landing ORDER BY request_id")]


def test_a_line_that_was_too_long_comes_in_once_the_limit_is_raised(tmp_path: Path):
    path = write_lines(tmp_path / "a.jsonl", call(1), LONG, call(3))
    ingest(run_of(tmp_path, "run-1", path, ingest=LIMITS))
    run = run_of(tmp_path, "run-2")
    assert counts(replay(run)) == (1, 1, 0, 0, 0)
    assert query(run, "SELECT request_id, sources, run_id FROM landing ORDER BY 1")[1] == (
        "r2", [f"{path}:2"], "run-2",
    )  # fmt: skip
    assert query(run, "SELECT state FROM dead_letters") == [("replayed",)]
    assert counts(replay(run_of(tmp_path, "run-3"))) == (0, 0, 0, 0, 0)
    assert landed(run) == ["r1", "r2", "r3"]


def test_without_a_fix_a_letter_stays_dead(tmp_path: Path):
    path = write_lines(tmp_path / "a.jsonl", call(1), b"{broken", call(3))
    ingest(run_of(tmp_path, "run-1", path))
    run = run_of(tmp_path, "run-2")
    assert counts(replay(run)) == (1, 0, 0, 0, 1)
    assert query(run, "SELECT state, run_id FROM dead_letters") == [("dead", "run-1")]


@pytest.mark.parametrize("gone", ["removed", "rewritten"])
def test_where_the_file_is_gone_the_bytes_that_were_kept_are_read(tmp_path: Path, gone: str):
    path = write_lines(tmp_path / "a.jsonl", call(1), LONG)
    ingest(run_of(tmp_path, "run-1", path, ingest=LIMITS))
    if gone == "removed":
        path.unlink()
    else:
        write_lines(path, call(7), call(8))
    run = run_of(tmp_path, "run-2")
    assert counts(replay(run)) == (1, 1, 0, 0, 0)
    assert query(run, "SELECT request_id, sources FROM landing ORDER BY 1") == [
        ("r1", [f"{path}:1"]), ("r2", [f"{path}:2"]),
    ]  # fmt: skip


def test_letters_of_standard_input_are_read_from_the_bytes_that_were_kept(tmp_path: Path):
    reading, writing = os.pipe()
    os.write(writing, b"".join(json.dumps(each).encode() + b"\n" for each in (call(1), LONG)))
    os.close(writing)
    (copy,) = spool.keep_stdin(tmp_path / ".home", reading)
    os.close(reading)
    first = run_of(tmp_path, "run-1", copy, ingest=LIMITS)
    ingest(first)
    with first.open_store() as store:
        spool.discard_read(tmp_path / ".home", store)
    assert not copy.exists()
    run = run_of(tmp_path, "run-2")
    assert counts(replay(run)) == (1, 1, 0, 0, 0)
    assert query(run, "SELECT sources FROM landing WHERE request_id = 'r2'") == [
        ([f"stdin:{copy.name[6:22]}:2"],)
    ]


def test_a_cut_off_copy_of_a_long_line_is_not_taken_for_the_whole(tmp_path: Path):
    long = call(2, messages=[{"role": "user", "content": "x" * 200_000}])
    path = write_lines(tmp_path / "a.jsonl", call(1), long)
    ingest(run_of(tmp_path, "run-1", path, ingest=LIMITS))
    path.unlink()
    assert counts(replay(run_of(tmp_path, "run-2"))) == (1, 0, 0, 0, 1)


def test_the_rows_of_a_table_are_read_under_their_header_again(tmp_path: Path):
    path = tmp_path / "a.csv.gz"
    wide = "y" * 500
    path.write_bytes(
        gzip.compress(f"id,when,asked\n1,2026-01-01,a\n2,2026-01-01,{wide}\n".encode())
    )
    columns = {"request_id": "id", "started_at": "when", "prompt_name": "asked"}
    ingest(run_of(tmp_path, "run-1", path, ingest={"columns": columns, **LIMITS}))
    run = run_of(tmp_path, "run-2", ingest={"columns": columns})
    assert counts(replay(run)) == (1, 1, 0, 0, 0)
    assert query(run, "SELECT request_id, prompt_name FROM landing ORDER BY 1")[1] == ("2", wide)


def test_calls_beside_a_dead_one_stay_as_they_were_taken(tmp_path: Path, monkeypatch: Any):
    from tasks.logs.formats import canonical

    bad = call(2, input_tokens="many")
    path = tmp_path / "a.json"
    path.write_text(json.dumps([call(1), bad, call(3)], indent=1))
    first = run_of(tmp_path, "run-1", path)
    ingest(first)
    assert query(first, "SELECT count(*) FROM dead_letters") == [(1,)]
    true_records = canonical.records

    def mended(value: Any) -> Any:
        """A parser that reads the bad one, and more than before in the others."""
        yield from true_records({**value, "input_tokens": 7, "tags": {"new": "yes"}})

    monkeypatch.setattr(canonical, "records", mended)
    assert counts(replay(run_of(tmp_path, "run-2"))) == (1, 1, 0, 0, 0)
    assert query(first, "SELECT request_id, input_tokens FROM landing ORDER BY 1") == [
        ("r1", 11), ("r2", 7), ("r3", 13),
    ]  # fmt: skip


def test_a_file_nothing_recognised_is_read_in_another_format(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"m-1": 1}\n' + json.dumps(call(2)).encode() + b"\n")
    other = write_lines(tmp_path / "b.jsonl", call(1))
    unknown = tmp_path / "c.jsonl"
    unknown.write_bytes(b'{"some": "thing"}\n')
    ingest(run_of(tmp_path, "run-1", other, unknown))
    run = make_run(tmp_path, run_id="run-2", log_format="canonical")
    receipt = replay(run)
    # read as lines of ours now: the letter of the file becomes one of its line
    assert receipt.rows_in == receipt.dead_letters == 1
    assert query(run, "SELECT line_number, state FROM dead_letters ORDER BY created_at") == [
        (None, "replayed"), (1, "dead"),
    ]  # fmt: skip


def test_a_file_that_grew_since_is_read_as_far_as_it_was(tmp_path: Path):
    path = write_lines(tmp_path / "a.jsonl", call(1), LONG)
    ingest(run_of(tmp_path, "run-1", path, ingest=LIMITS))
    append(path, json.dumps(call(9)).encode() + b"\n")
    run = run_of(tmp_path, "run-2")
    assert counts(replay(run)) == (1, 1, 0, 0, 0)
    assert landed(run) == ["r1", "r2"]


def quarantined(folder: Path) -> Run:
    """r1 passes; r2 has no model, r3 starts tomorrow."""
    path = write_lines(
        folder / "a.jsonl", call(1), call(2, model=...), call(3, started_at="2026-12-24T00:00:00Z")
    )
    run = run_of(folder, "run-1", path)
    ingest(run)
    validate(run)
    assert query(run, "SELECT request_id FROM quarantine ORDER BY 1") == [("r2",), ("r3",)]
    return run


LATER = {**QUIET, "max_clock_skew_s": 60 * 86_400.0}


def test_a_held_call_comes_in_once_it_passes_and_is_the_row_it_was(tmp_path: Path):
    whole = call(
        3, started_at="2026-12-24T00:00:00.123456Z", tags={"a": "1"}, latency_s=0.25, ttft_s=0.1,
        params={"temperature": 0.5}, cost_usd=1e-9,
    )  # fmt: skip
    path = write_lines(tmp_path / "a.jsonl", call(1), call(2, model=...), whole)
    first = run_of(tmp_path, "run-1", path)
    ingest(first)
    before = query(first, "SELECT * EXCLUDE (run_id) FROM landing WHERE request_id = 'r3'")
    validate(first)
    run = run_of(tmp_path, "run-2", validate=LATER)
    receipt = replay(run)
    assert counts(receipt) == (2, 1, 1, 0, 0)
    assert receipt.notes["by_reason"] == {"has_model": 1}
    assert query(run, "SELECT * EXCLUDE (run_id) FROM landing WHERE request_id = 'r3'") == before
    assert query(run, "SELECT request_id, state FROM quarantine ORDER BY 1") == [
        ("r2", "held"), ("r3", "replayed"),
    ]  # fmt: skip
    assert counts(validate(run)) == (2, 2, 0, 0, 0)
    assert counts(replay(run_of(tmp_path, "run-3", validate=LATER))) == (1, 0, 1, 0, 0)


def test_a_call_that_fails_again_in_its_batch_goes_back_to_its_place(tmp_path: Path):
    quarantined(tmp_path)
    run = run_of(tmp_path, "run-2", validate=LATER)
    replay(run)
    again = run_of(tmp_path, "run-2")
    validate(again)
    assert query(run, "SELECT request_id, state, run_id FROM quarantine ORDER BY 1") == [
        ("r2", "held", "run-1"), ("r3", "held", "run-2"),
    ]  # fmt: skip


@pytest.mark.parametrize("by", ["expectation", "request id", "beginning of the id"])
def test_only_what_is_named_is_looked_at(tmp_path: Path, by: str):
    first = quarantined(tmp_path)
    [(quarantine_id,)] = query(first, "SELECT quarantine_id FROM quarantine WHERE request_id='r3'")
    name = {"expectation": "started_at_not_in_future", "request id": "r3"}.get(
        by, quarantine_id[:9]
    )
    run = run_of(tmp_path, "run-2", only=(name,), validate=LATER)
    assert counts(replay(run)) == (1, 1, 0, 0, 0)


def test_a_name_of_nothing_is_a_usage_error_and_changes_nothing(tmp_path: Path):
    quarantined(tmp_path)
    with pytest.raises(UsageError, match="nothing that waits"):
        replay(run_of(tmp_path, "run-2", only=("nonsense",), validate=LATER))


def test_a_call_that_came_in_again_meanwhile_is_a_duplicate(tmp_path: Path):
    quarantined(tmp_path)
    with run_of(tmp_path, "run-2").open_store() as store:
        store.execute("UPDATE quarantine SET state = 'replayed' WHERE request_id = 'r3'")
    again = write_lines(tmp_path / "b.jsonl", call(3, started_at="2026-12-24T00:00:00Z"))
    run = run_of(tmp_path, "run-3", again, validate=LATER)
    ingest(run)
    with run.open_store() as store:
        store.execute("UPDATE quarantine SET state = 'held' WHERE request_id = 'r3'")
    assert counts(replay(run)) == (2, 0, 1, 1, 0)


def test_the_stage_killed_before_its_commit_leaves_everything_as_it_was(
    tmp_path: Path, monkeypatch: Any
):
    quarantined(tmp_path)
    run = run_of(tmp_path, "run-2", validate=LATER)

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("tasks.replay.task.ledger.finish_stage", stop)
        with pytest.raises(KeyboardInterrupt):
            replay(run)
    assert landed(run) == ["r1"]
    receipt = replay(run)
    assert counts(receipt) == (2, 1, 1, 0, 0)
    assert replay(run) == receipt


OWN = '[[rules]]\nid="one_model"\nseverity="critical"\nkind="one_of"\ncolumn="model"\nvalues=["{}"]'


def test_a_replay_judges_by_the_users_rules_too(tmp_path: Path):
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "own.toml").write_text(OWN.format("other"))
    sections = {"validate": {**QUIET, "rules": str(folder)}}
    path = write_lines(tmp_path / "a.jsonl", call(1), call(2))
    first = run_of(tmp_path, "run-1", path, **sections)
    ingest(first)
    assert validate(first).quarantined == 2
    assert replay(run_of(tmp_path, "run-2", **sections)).notes["by_reason"] == {"one_model": 2}
    (folder / "own.toml").write_text(OWN.format(call(1)["model"]))
    assert replay(run_of(tmp_path, "run-3", **sections)).notes["readmitted"] == 2


def test_a_replay_names_the_rule_that_a_held_call_cannot_answer(tmp_path: Path):
    path = write_lines(tmp_path / "a.jsonl", call(1, latency_s=-3.0))
    first = run_of(tmp_path, "run-1", path)
    ingest(first)
    assert validate(first).quarantined == 1
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "own.toml").write_text(
        '[[rules]]\nid="n"\nseverity="critical"\nkind="sql"\ncolumns=["model"]\n'
        'never="model::INTEGER > 3"'
    )
    run = run_of(tmp_path, "run-2", validate={**QUIET, "rules": str(folder)})
    with pytest.raises(UsageError, match="rule n cannot be judged"):
        replay(run)


def test_a_rule_name_that_two_suites_share_counts_both(tmp_path: Path):
    folder = tmp_path / "rules"
    folder.mkdir()
    for suite in ("calls", "feedback"):
        (folder / f"{suite}.toml").write_text(
            f'suite = "{suite}"\n[[rules]]\nid = "none"\nseverity = "critical"\nkind = "sql"\n'
            'columns = ["request_id"]\nnever = "true"\n'
        )
    sections = {"validate": {**QUIET, "rules": str(folder)}}
    path = write_lines(tmp_path / "a.jsonl", call(1, feedback={"kind": "thumbs", "value": 1}))
    first = run_of(tmp_path, "run-1", path, **sections)
    ingest(first)
    assert validate(first).notes["feedback"]["quarantined"] == 1
    receipt = replay(run_of(tmp_path, "run-2", **sections))
    assert counts(receipt) == (2, 0, 2, 0, 0)
    assert receipt.notes["by_reason"] == {"none": 2}
