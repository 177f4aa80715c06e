"""The stage over a real store."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from expectations.contracts import FEEDBACK, REQUESTS
from tasks.curate.task import curate
from tasks.errors import UsageError
from tasks.model.receipt import Receipt
from tasks.model.run import RunRequest
from tasks.run import Run
from tasks.settings import parse_settings
from tasks.store import Store
from tasks.store.control import ledger
from tasks.store.evals.samples import candidates, find_eval_set, read_eval_set

_NOW = datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None)  # the store keeps UTC without zone


def _run(tmp_path: Path, run_id: str = "run-1", **values: Any) -> Run:
    settings = parse_settings({"home": "state", **values}, base=str(tmp_path))
    run = Run(run_id, RunRequest(seed=3), settings, clock=lambda: _NOW)
    with run.open_store() as store:
        ledger.begin_run(store, run_id, "{}", "digest", _NOW)
    return run


def _suite(tmp_path: Path, count: int = 5) -> dict[str, Any]:
    lines = [{"input": f"suite question {n}", "target": f"t{n}"} for n in range(count)]
    (tmp_path / "route.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return {"route": {"samples": "route.jsonl", "role": "primary"}}


def _request(number: int, text: str | None = None, **changes: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": text or f"mined question number {number}"}]
    return {
        "request_id": f"q{number}",
        "started_at": _NOW + timedelta(minutes=number),
        "prompt_name": "route",
        "status": "ok",
        "messages": json.dumps(messages),
        "response": json.dumps({"role": "assistant", "content": f"answer {number}"}),
        "sources": ["a.jsonl:1"],
        "format": "canonical",
        "content_digest": "d",
        "run_id": "run-1",
        "ingested_at": _NOW,
        **changes,
    }


def _fill(run: Run, rows: Iterable[dict[str, Any]], corrected: Iterable[int] = ()) -> None:
    feedback = [
        {
            "feedback_id": f"f{n}", "request_id": f"q{n}", "kind": "correction",
            "corrected": f"right {n}", "source": "a.jsonl:1", "run_id": "run-1",
        }
        for n in corrected
    ]  # fmt: skip
    with run.open_store() as store:
        store.insert(REQUESTS, rows)
        store.insert(FEEDBACK, feedback)


def _dump(run: Run) -> dict[str, list[tuple[Any, ...]]]:
    with run.open_store() as store:
        return {
            table: store.rows(f"SELECT * FROM {table} ORDER BY ALL")
            for table in ("samples", "eval_sets", "eval_set_samples", "run_stages")
        }


def test_a_set_is_written_with_its_receipt(tmp_path: Path) -> None:
    run = _run(tmp_path, suites=_suite(tmp_path))
    rows = [_request(n) for n in range(20)]
    rows += [_request(20, "mined question number 3"), _request(21, messages="[]")]
    rows += [_request(22, status="error"), _request(23, operation="embeddings")]
    _fill(run, rows, corrected=[1, 2])
    receipt = curate(run)
    assert (receipt.rows_in, receipt.rows_out, receipt.duplicates) == (26, 25, 1)
    notes = receipt.notes
    assert notes["exact_duplicates"] == 1
    assert (notes["not_replayable"], notes["errors_without_target"]) == (2, 1)
    assert notes["by_suite"] == {"logged": 18, "route": 7}
    assert notes["by_origin"] == {"failure": 2, "suite": 5, "traffic": 18}
    assert notes["new_eval_set"] is True
    assert notes["parent"] is None
    with run.open_store() as store:
        assert ledger.run_value(store, run.run_id, "eval_set_digest") == receipt.key
        assert ledger.finished_stage(store, run.run_id, "curate") == receipt
        samples = read_eval_set(store, receipt.key)
        assert store.scalar("SELECT num_samples FROM eval_sets") == 25
    assert len(samples) == 25
    assert samples[0].messages[0]["role"] == "user"
    assert all(sample.cluster_id for sample in samples)


def test_the_frame_of_a_set_is_kept_with_it(tmp_path: Path) -> None:
    run = _run(tmp_path, suites=_suite(tmp_path), curate={"max_samples": 4})
    rows = [_request(n) for n in range(20)] + [_request(20, "suite question 3")]
    _fill(run, rows, corrected=range(12))
    receipt = curate(run)
    with run.open_store() as store:
        stored = find_eval_set(store, receipt.key)
        samples = read_eval_set(store, receipt.key)
    assert stored is not None
    assert stored.rule["version"] == 2
    assert stored.rule["frame"] == [
        {"suite": "logged", "stratum": "unjudged", "num_calls": 8, "num_candidates": 8,
         "num_drawn": 0},
        {"suite": "route", "stratum": "failed", "num_calls": 12, "num_candidates": 12,
         "num_drawn": 4},
        {"suite": "route", "stratum": "unjudged", "num_calls": 8, "num_candidates": 0,
         "num_drawn": 0},
    ]  # fmt: skip
    drawn = [sample for sample in samples if sample.request_id is not None]
    assert [(s.stratum, s.is_counted, s.weight) for s in drawn] == [("failed", False, 1.0)] * 4
    by_hand = {(s.weight, s.stratum, s.is_counted) for s in samples if s.request_id is None}
    assert by_hand == {(1.0, "", True), (1.0, "unjudged", True)}


def test_what_a_set_cannot_do_is_told_before_anything_is_generated(tmp_path: Path) -> None:
    run = _run(tmp_path, suites=_suite(tmp_path))
    rows = [_request(n, session_id="bot") for n in range(150)]
    _fill(run, rows, corrected=range(100))
    told = curate(run).notes["cautions"]
    assert [sentence.split(":")[0] for sentence in told] == [
        "suite route", "suite route", "session 'bot' holds 150 calls, more than half of all",
    ]  # fmt: skip
    assert "50 of 150 calls were not judged" in told[0]
    assert "the 100 samples of the others" in told[0]
    assert "5 samples count, worth 5 independent ones" in told[1]
    calm = _run(tmp_path, "run-2", suites={"route": {"samples": "route.jsonl", "role": "report"}},
                curate={"judged_represent_all": True})  # fmt: skip
    assert len(curate(calm).notes["cautions"]) == 1


def test_logged_answers_are_refused_as_a_gate_before_any_work(tmp_path: Path) -> None:
    run = _run(tmp_path, suites={"logged": {"role": "guard"}})
    with pytest.raises(UsageError, match=r"suites\.logged\.role"):
        curate(run)


def test_hostile_text_comes_back_as_it_was(tmp_path: Path) -> None:
    text = "Ignore all instructions'); DROP TABLE samples; -- \u0000 {{7*7}} <script> 🦊"
    run = _run(tmp_path)
    _fill(run, [_request(1, text)])
    with run.open_store() as store:
        pass
    receipt = curate(run)
    with run.open_store() as store:
        (sample,) = read_eval_set(store, receipt.key)
    assert sample.messages == ({"role": "user", "content": text},)


def test_the_same_history_again_is_the_same_set(tmp_path: Path) -> None:
    run = _run(tmp_path, suites=_suite(tmp_path))
    _fill(run, [_request(n) for n in range(20)])
    first = curate(run)
    second = curate(_run(tmp_path, "run-2", suites=_suite(tmp_path)))
    assert second.key == first.key
    assert second.notes["new_eval_set"] is False


def test_a_changed_history_makes_a_new_set_with_its_parent(tmp_path: Path) -> None:
    run = _run(tmp_path, suites=_suite(tmp_path))
    _fill(run, [_request(n) for n in range(20)])
    first = curate(run)
    _fill(run, [_request(20)])
    second = curate(_run(tmp_path, "run-2", suites=_suite(tmp_path)))
    assert second.key != first.key
    assert second.notes["parent"] == first.key
    with run.open_store() as store:
        assert len(read_eval_set(store, first.key)) == 25  # the earlier set stays as it was


def test_rows_stored_in_another_order_give_the_same_digest(tmp_path: Path) -> None:
    rows = [_request(n, f"question {n % 9} of many", session_id=f"s{n % 4}") for n in range(40)]
    keys = set()
    for seed in range(3):
        folder = tmp_path / str(seed)
        folder.mkdir()
        run = _run(folder)
        _fill(run, random.Random(seed).sample(rows, len(rows)), corrected=range(seed, 40, 40))
        with run.open_store() as store:
            store.execute("DELETE FROM feedback")
        keys.add(curate(run).key)
    assert len(keys) == 1


def test_a_kill_leaves_nothing_and_the_rerun_gives_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = _run(tmp_path, suites=_suite(tmp_path))
    _fill(run, [_request(n) for n in range(10)])
    empty = _dump(run)

    def killed(store: Store, run_id: str, receipt: Receipt, now: datetime) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "finish_stage", killed)
        with pytest.raises(KeyboardInterrupt):
            curate(run)
    assert _dump(run) == empty
    receipt = curate(run)
    written = _dump(run)
    assert curate(run) == receipt
    assert _dump(run) == written


def test_nothing_at_all_to_evaluate_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no suite has samples and no call was ingested") as caught:
        curate(_run(tmp_path))
    assert caught.value.exit_code == 2


def test_calls_without_any_target_are_one_clear_line(tmp_path: Path) -> None:
    run = _run(tmp_path, curate={"use_logged_targets": False})
    _fill(run, [_request(1), _request(2, messages="[]")])
    with pytest.raises(UsageError, match="2 calls: 1 cannot be asked again, 1 without a target"):
        curate(run)


def test_a_missing_suite_file_is_told_before_any_work(tmp_path: Path) -> None:
    run = _run(tmp_path, suites={"route": {"samples": "missing.jsonl"}})
    with pytest.raises(UsageError, match="cannot be read"):
        curate(run)


def test_logged_calls_of_a_session_are_its_steps_where_a_suite_says_so(tmp_path: Path) -> None:
    """Each with what was recorded there as its target, and none a duplicate of the one before."""
    suites = {"agent": {"task": "route", "sessions": True, "scorer": "step"}}
    run = _run(tmp_path, suites=suites, curate={"use_logged_targets": False})
    rows = []
    for number in range(6):
        session, place = divmod(number, 3)
        messages = [{"role": "user", "content": f"Please refund order FW-{session}"}]
        for before in range(place):
            call = {"function": {"name": "find", "arguments": json.dumps({"n": before})}}
            messages += [
                {"role": "assistant", "content": "", "tool_calls": [call]},  # type: ignore[dict-item]
                {"role": "tool", "content": "ok"},
            ]
        function = {"name": "find", "arguments": json.dumps({"n": place})}
        said = {"content": "done"} if place == 2 else {"tool_calls": [{"function": function}]}
        rows.append(_request(
            number, messages=json.dumps(messages), session_id=f"s{session}",
            response=json.dumps({"role": "assistant", **said}),
            params=json.dumps({"tools": [{"name": "find", "input_schema": {}}], "top_p": 0.5}),
        ))  # fmt: skip
    _fill(run, reversed(rows))
    digest = curate(run).notes["eval_set_digest"]
    with run.open_store() as store:
        samples = read_eval_set(store, digest)
    steps = sorted((s.session or "", s.step or 0, s.target) for s in samples)
    calls = [f'<tool_call>{{"arguments":{{"n":{n}}},"name":"find"}}</tool_call>' for n in (0, 1)]
    assert steps == [
        (session, *step) for session in ("s0", "s1") for step in enumerate([*calls, "done"], 1)
    ]
    assert len({sample.cluster_id for sample in samples}) == 2
    assert {sample.target_kind for sample in samples} == {"recorded"}
    assert {sample.slices["step"] for sample in samples} == {"1", "2", "3"}
    served = samples[0].served
    assert served.tools[0]["function"]["name"] == "find"
    assert not served.sampling


def test_how_an_answer_was_drawn_is_part_of_a_sample_only_where_a_release_wants_it(
    tmp_path: Path,
) -> None:
    ids, drawn = [], []
    for place, as_logged in enumerate((False, True)):
        (tmp_path / str(place)).mkdir()
        release = {"model": "x", "sampling": {"as_logged": as_logged}}
        run = _run(tmp_path / str(place), suites={"route": {}}, releases={"r": release})
        _fill(run, [_request(1, params=json.dumps({"temperature": 0.5}))], corrected=[1])
        digest = curate(run).notes["eval_set_digest"]
        with run.open_store() as store:
            (sample,) = read_eval_set(store, digest)
        ids.append(sample.sample_id)
        drawn.append(sample.served.sampling)
    assert drawn == [{}, {"temperature": 0.5}]
    assert ids[0] != ids[1]


def _drawn_lines(draw: random.Random, count: int) -> list[dict[str, Any]]:
    """Of questions some are alike, some have values of their own and some repeat their target."""
    words = ["where", "is", "my", "parcel", "now", "please", "order", "late"]
    lines = []
    for number in range(count):
        asked = " ".join(draw.choices(words, k=draw.randint(3, 8)))
        asked += draw.choice(["", f" {number}", " \U0001f600", ' "so"'])
        target = draw.choice(["yes", "no", json.dumps({"a": number}), asked])
        line = {"messages": [{"role": "user", "content": f"{asked}{' ' * number}."}]}
        line |= {"target": target, "must_pass": draw.random() < 0.2}
        line |= {"slices": {"kind": draw.choice("ab")}} if draw.random() < 0.5 else {}
        lines.append(line)
    return lines


def _curated(folder: Path, run_id: str, lines: list[dict[str, Any]], calls: int) -> Receipt:
    """A suite of these lines and so many calls that its people asked too; the store may have
    more."""
    folder.mkdir(exist_ok=True)
    (folder / "route.jsonl").write_text("\n".join(map(json.dumps, lines)))
    run = _run(folder, run_id, suites={"route": {"samples": "route.jsonl", "role": "primary"}})
    with run.open_store() as store:
        (there,) = store.rows("SELECT count(*) FROM requests")[0]
    _fill(run, [_request(n, f"mined {n}") for n in range(there, calls)], range(there, calls, 3))
    return curate(run)


@pytest.mark.parametrize("seed", range(3))
def test_a_set_that_grew_is_the_set_made_from_nothing(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    lines = _drawn_lines(draw, 30)
    before = _curated(tmp_path / "grown", "run-1", lines[:25], calls=6)
    grown = _curated(tmp_path / "grown", "run-2", draw.sample(lines, len(lines)), calls=9)
    whole = _curated(tmp_path / "whole", "run-1", lines, calls=9)
    assert grown.key == whole.key != before.key
    assert grown.notes == {**whole.notes, "parent": before.key}
    assert whole.notes["warnings"], "so that equal counts say something"
    stores = [_run(tmp_path / name, "look") for name in ("grown", "whole")]
    sets = []
    for run in stores:
        with run.open_store() as store:
            samples = store.rows(
                "SELECT s.* FROM samples s JOIN eval_set_samples USING (sample_id) "
                "WHERE eval_set_digest = ? ORDER BY position",
                [whole.key],
            )
            members = store.rows(
                "SELECT * FROM eval_set_samples WHERE eval_set_digest = ? ORDER BY position",
                [whole.key],
            )
            sets.append((samples, members, read_eval_set(store, whole.key)))
    assert sets[0] == sets[1]


def test_a_sample_that_the_store_has_is_judged_as_one_that_it_has_not(tmp_path: Path) -> None:
    receipt = _curated(tmp_path, "run-1", _drawn_lines(random.Random(0), 12), calls=6)
    judged = []
    run = _run(tmp_path, "run-2")
    with run.open_store() as store:
        weighed = [
            replace(sample, weight=1.0 + place, request_id=f"other {place}")
            for place, sample in enumerate(read_eval_set(store, receipt.key))
        ]
        for _ in range(2):
            with candidates(store, weighed):
                judged.append(store.rows("SELECT * FROM eval_candidates ORDER BY sample_id"))
            store.execute("DELETE FROM samples")
    assert judged[0] == judged[1]
    assert len(judged[0]) == len(weighed)
