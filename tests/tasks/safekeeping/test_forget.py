"""An erasure that is killed anywhere is finished by the same command; what it reaches and what it
leaves, beside the whole turn of tests/flows/test_forget.py."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from expectations.contracts import COMPLETIONS, EVIDENCE_SAMPLES, RUN_STAGES
from tasks.ingest.task import ingest
from tasks.logs.shapes.coerce import user_hash
from tasks.model.sample import Sample
from tasks.redact.task import redact
from tasks.replay.task import replay
from tasks.run import Run, raw_key
from tasks.safekeeping import forget as erasing
from tasks.safekeeping.contents import Manifest
from tasks.safekeeping.forget import Forgetting, Stages, Wanted, finish_unfinished, forget, look
from tasks.safekeeping.restore import _notes
from tasks.store.control import ledger
from tasks.store.evals.samples import write_eval_set
from tasks.validate.task import validate
from tests.tasks.logs.builders import call, make_run, query, write_lines

NOW = datetime.fromisoformat("2026-11-25T12:00:00")
ANN = user_hash("ann") or ""


def run_of(folder: Path, run_id: str, *logs: Path) -> Run:
    return make_run(folder, *logs, run_id=run_id, drift={"enabled": False},
                    validate={"data_docs": False, "max_quarantined_ratio": 1.0})  # fmt: skip


def take_in(folder: Path, *records: Any, run_id: str = "run-1", is_judged: bool = False) -> Run:
    """`is_judged`: what fails a rule is held back, which takes a second."""
    folder.mkdir(exist_ok=True)
    run = run_of(folder, run_id, write_lines(folder / f"{run_id}.jsonl", *records))
    for stage in (ingest, *([validate] if is_judged else []), redact):
        stage(run)
    return run


def without(digest: str, samples: Any, gone: Collection[str]) -> tuple[str, list[Sample]]:
    return f"{digest}'", [sample for sample in samples if sample.sample_id not in gone]


STAGES = Stages(without, lambda ids: (), lambda run_id: None, lambda: None, lambda tells, since: 0)


def wanted(user: str = "", request: str = "") -> Wanted:
    if user:
        return Wanted("user", frozenset(), frozenset({user}), str)
    return Wanted("request", frozenset({request}), frozenset(), str)


def erase(run: Run, whom: Wanted, stages: Stages = STAGES, erasure_id: str = "e1") -> Forgetting:
    key = raw_key(run.settings)
    found, search = look(run.settings, key, whom, stages)
    assert found.anything
    return forget(run.settings, key, whom, found, search, stages,
                  erasure_id=erasure_id, now=NOW, why="")  # fmt: skip


def samples_in_a_set(run: Run, digest: str = "s", **request_ids: str | None) -> None:
    """Sample id → the call it is of, in the set "s" of a run."""
    samples = [
        Sample(name, "suite", None, ({"role": "user", "content": f"of {request_id}"},), None,
               f"target of {name}", "gold", "traffic", request_id=request_id)
        for name, request_id in request_ids.items()
    ]  # fmt: skip
    with run.open_store() as store, store.transaction():
        if not store.rows("SELECT 1 FROM runs"):
            ledger.begin_run(store, run.run_id, "{}", "d", NOW)
            ledger.annotate_run(store, run.run_id, eval_set_digest=digest)
        write_eval_set(
            store, digest, samples, created_at=NOW, run_id=run.run_id, parent_digest=None, rule="{}"
        )


def holds(run: Run, text: str) -> bool:
    """In whatever file, or row of a table."""
    with run.open_store() as store:
        names = [name for (name,) in store.rows("SELECT table_name FROM duckdb_tables()")]
        if any(store.rows(f"SELECT 1 FROM {name} t WHERE contains(t::VARCHAR, ?)", [text])
               for name in names):  # fmt: skip
            return True
    home = run.settings.home_path
    return any(text.encode() in path.read_bytes() for path in home.rglob("*") if path.is_file())


# killed


class Killed(BaseException):
    """Stands for a kill: nothing of ours catches it."""


def _kill(*arguments: Any, **keywords: Any) -> Any:
    raise Killed


@pytest.mark.parametrize(
    ("where", "is_erased"),
    [
        ("keep_marks", False), ("_write", False), ("finish", True), ("remove", True),
        ("compact", True), ("told", True),
    ],
)  # fmt: skip
def test_killed_anywhere_the_same_again_finishes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, is_erased: bool
):
    run = take_in(tmp_path, call(1, user="ann", response="annxylograph"), call(2, user="bob"))
    samples_in_a_set(run, a="r1", b="r2")
    home = run.settings.home_path
    (home / "kept").mkdir()
    (home / "kept" / "old.duckdb").write_text("annxylograph")
    with monkeypatch.context() as patch:
        patch.setattr(erasing, where, _kill)
        with pytest.raises(Killed):
            erase(run, wanted(user=ANN))
    assert bool(query(run, "SELECT 1 FROM requests WHERE request_id = 'r1'")) is not is_erased
    done = finish_unfinished(run.settings, STAGES)
    assert (done is not None) is is_erased
    done = done or erase(run, wanted(user=ANN), erasure_id="e2")
    assert not holds(run, "annxylograph")
    assert query(run, "SELECT request_id FROM requests") == [("r2",)]
    assert query(run, "SELECT eval_set_digest, sample_id FROM eval_set_samples ORDER BY ALL") == [
        ("s", "b"), ("s'", "b"),
    ]  # fmt: skip
    assert done.counts["calls"] == 1
    (kept,) = (home / "erasures").glob("*.json")
    assert json.loads(kept.read_text())["eval_sets"] == [
        {"digest": "s", "successor": "s'", "num_samples": 1}
    ]
    assert not list(home.glob("forgetting.json*"))
    assert not list((home / "kept").iterdir())
    assert finish_unfinished(run.settings, STAGES) is None


# what is reached


def test_one_call_leaves_with_what_repeats_it_and_what_came_before_it_stays(tmp_path: Path):
    first = [{"role": "user", "content": "what is a parcel, in a few words?"}]
    second = [*first, {"role": "assistant", "content": "a thing that is wrapped in paper"},
              {"role": "user", "content": "and where is mine, of the seventh?"}]  # fmt: skip
    third = [*second, {"role": "assistant", "content": "it is on its way to you, by rail"},
             {"role": "user", "content": "thanks"}]  # fmt: skip
    run = take_in(
        tmp_path,
        call(1, session_id="s", messages=first, response="a thing that is wrapped in paper"),
        call(2, session_id="s", messages=second, response="it is on its way to you, by rail"),
        call(3, session_id="s", messages=third, response="at your service"),
        call(4, session_id="t", messages=third, response="of another conversation"),
    )
    done = erase(run, wanted(request="r2"))
    assert query(run, "SELECT request_id FROM requests ORDER BY 1") == [("r1",), ("r4",)]
    assert (done.counts["calls"], done.counts["repeating_calls"]) == (2, 1)


def test_what_a_person_said_of_the_calls_of_others_leaves_and_the_calls_stay(tmp_path: Path):
    corrected = {"kind": "correction", "corrected": "as ann wrote it", "by": "ann"}
    run = take_in(tmp_path, call(1, user="bob", feedback=corrected), call(2, user="bob"))
    samples_in_a_set(run, other="r1")
    with run.open_store() as store:
        store.execute("UPDATE samples SET target = 'as ann wrote it'")
    samples_in_a_set(run, "t", mine="r1")
    done = erase(run, wanted(user=ANN))
    assert query(run, "SELECT count(*) FROM requests") == [(2,)]
    assert query(run, "SELECT count(*) FROM feedback") == [(0,)]
    assert query(run, "SELECT sample_id FROM samples") == [("mine",)]
    assert done.samples == ("other",)


def test_a_held_call_with_the_id_of_somebody_else_takes_only_itself(tmp_path: Path):
    run = take_in(tmp_path, call(1, user="bob"), call(2, user="bob"))
    take_in(tmp_path, call(1, user="ann", response="another"), run_id="run-2", is_judged=True)
    assert query(run, "SELECT request_id FROM quarantine") == [("r1",)]
    erase(run, wanted(user=ANN))
    assert query(run, "SELECT request_id FROM requests ORDER BY 1") == [("r1",), ("r2",)]
    assert query(run, "SELECT request_id FROM quarantine") == []
    said = {"record": "feedback", "kind": "thumbs", "value": 1, "request_id": "r1"}
    take_in(tmp_path, call(1, user="bob"), said, run_id="run-3")
    assert query(run, "SELECT request_id FROM feedback") == [("r1",)]


def test_what_is_sealed_is_opened_by_its_key_and_else_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    key = Fernet.generate_key().decode()
    records = (
        call(1, user="ann", output_tokens=-5), call(2, user="bob"), b'{"user": "ann", "broken',
        call(3, user="bob", output_tokens=-5), call(4, user="ann", output_tokens=-5),
    )  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setenv("FLYWHEEL_RAW_KEY", key)
        run = take_in(tmp_path, *records, is_judged=True)
    found, _ = look(run.settings, None, wanted(user=ANN), STAGES)
    assert (found.anything, found.sealed) == (False, 4)
    # an id is in the clear, and enough
    done = erase(run, wanted(request="r1"))
    assert (done.counts["held_rows"], done.sealed) == (1, 4)
    monkeypatch.setenv("FLYWHEEL_RAW_KEY", key)
    done = erase(run, wanted(user=ANN), erasure_id="e2")
    assert (done.counts["held_rows"], done.counts["dead_letters"], done.sealed) == (1, 1, 0)
    assert query(run, "SELECT request_id FROM quarantine") == [("r3",)]


def test_judges_are_asked_anew_where_they_may_have_quoted_and_numbers_stay(tmp_path: Path):
    run = take_in(tmp_path, call(1, user="ann"), call(2, user="bob"))
    samples_in_a_set(run, a="r1", b="r2")
    later = datetime.fromisoformat("2026-12-01T00:00:00")
    answers = [
        {"release_digest": "x", "sample_id": name, "seed": 0, "text": name, "finish_reason": "stop",
         "run_id": run_id, "created_at": at}
        for name, run_id, at in (
            ("a", "run-1", later), ("b", "run-1", later), ("judge-1", "run-1", later),
            ("judge-2", "alone", later), ("judge-3", "elsewhere", later),
            ("judge-4", "run-1", datetime.fromisoformat("2026-01-01")),
        )
    ]  # fmt: skip
    fed = {"evidence_id": "e", "sample_id": "a", "cluster_id": "c", "difference": 1.0,
           "weight": 1.0, "run_id": "run-1"}  # fmt: skip
    with run.open_store() as store:
        ledger.begin_run(store, "elsewhere", "{}", "d", NOW)
        ledger.annotate_run(store, "elsewhere", eval_set_digest="another")
        store.insert(COMPLETIONS, answers)
        store.insert(EVIDENCE_SAMPLES, [fed])
    done = erase(run, wanted(user=ANN))
    left = query(run, "SELECT sample_id FROM completions ORDER BY 1")
    assert left == [("b",), ("judge-3",), ("judge-4",)]
    assert (done.counts["completions"], done.counts["judgements"]) == (1, 2)
    assert query(run, "SELECT sample_id, difference FROM evidence_samples") == [("a", 1.0)]


def test_a_run_that_was_killed_on_an_erased_set_is_not_taken_up(tmp_path: Path):
    run = take_in(tmp_path, call(1, user="ann"), call(2))
    samples_in_a_set(run, a="r1", b="r2")
    with run.open_store() as store:
        assert ledger.find_killed(store, "d") == "run-1"
    erase(run, wanted(user=ANN))
    with run.open_store() as store:
        assert ledger.find_killed(store, "d") is None


def test_the_ledger_quotes_nobody_any_more(tmp_path: Path):
    run = take_in(tmp_path, call(1, user="ann", response="a sentence of twenty-four letters"))
    samples_in_a_set(run, a="r1")
    notes = {"cautions": ["the pin of r1 expired", "another"], "logs": "/logs/r1"}
    receipt = {"stage": "curate", "key": "s", "rows_in": 1, "rows_out": 1, "notes": notes}
    stage = {"run_id": "run-1", "stage": "curate", "receipt": json.dumps(receipt),
             "finished_at": NOW}  # fmt: skip
    with run.open_store() as store:
        store.insert(RUN_STAGES, [stage])
        store.execute("UPDATE runs SET request = '{\"only\": [\"r1\", \"r12\"]}', "
                      "state = 'failed', error = 'of: a sentence of twenty-four'")  # fmt: skip
    erase(run, wanted(user=ANN))
    ((request, error),) = query(run, "SELECT request, error FROM runs")
    assert (json.loads(request)["only"], error) == (["(erased)", "r12"], "(erased)")
    with run.open_store() as store:
        told = ledger.receipts(store, "run-1")[-1].notes
    assert told == {"cautions": ["(erased)", "another"], "logs": "/logs/r1"}


def test_a_second_erasure_goes_on_from_the_successor(tmp_path: Path):
    run = take_in(tmp_path, call(1, user="ann"), call(2, user="bob"), call(3))
    samples_in_a_set(run, a="r1", b="r2", c="r3")
    erase(run, wanted(user=ANN))
    done = erase(run, wanted(request="r2"), erasure_id="e2")
    assert query(run, "SELECT eval_set_digest, sample_id FROM eval_set_samples ORDER BY ALL") == [
        ("s", "c"), ("s'", "c"), ("s''", "c"),
    ]  # fmt: skip
    assert {one.digest: one.successor for one in done.eval_sets} == {"s": None, "s'": "s''"}
    # of a set that has no other samples none is made
    done = erase(run, wanted(request="r3"), erasure_id="e3")
    assert {one.successor for one in done.eval_sets} == {None}
    assert query(run, "SELECT count(*) FROM eval_sets") == [(3,)]


def test_nothing_comes_back_by_a_replay(tmp_path: Path):
    records = (call(1, user="ann", output_tokens=-5), call(2), b"{broken ann}")
    run = take_in(tmp_path, *records, is_judged=True)
    erase(run, wanted(user=ANN))
    receipt = replay(run_of(tmp_path, "run-2"))
    assert (receipt.rows_in, receipt.rows_out) == (0, 0)


@pytest.mark.parametrize(("created_at", "is_told"), [("2026-11-25 11:00:00", True),
                                                     ("2026-11-25 13:00:00", False)])  # fmt: skip
def test_a_backup_from_before_an_erasure_says_so(tmp_path: Path, created_at: str, is_told: bool):
    run = take_in(tmp_path, call(1, user="ann"))
    erase(run, wanted(user=ANN))
    home = run.settings.home_path
    notes = _notes(Manifest(1, f"{created_at}Z", str(home), {}, ()), home, home / "mlflow.db")
    assert any("1 erasures" in note and "is back" in note for note in notes) is is_told


def test_packed_logs_that_were_piped_in_go_whole(tmp_path: Path):
    run = take_in(tmp_path, call(1, user="ann"))
    spool = run.settings.home_path / "spool"
    spool.mkdir(exist_ok=True)
    (spool / "stdin-a").write_bytes(b"\x1f\x8b rest")
    (spool / "stdin-b").write_bytes(b'{"user": "bob"}\n')
    assert erase(run, wanted(user=ANN)).counts["piped_lines"] == 1
    assert [path.name for path in spool.iterdir()] == ["stdin-b"]
