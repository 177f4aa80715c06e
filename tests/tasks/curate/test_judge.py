"""Samples through their suite before a set is written: left out, refused, warned of, stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.curate.evalset import Draft, eval_set, without
from tasks.curate.task import curate
from tasks.errors import DataError, UsageError
from tasks.model.logged_call import Conversation
from tasks.rules.in_force import samples_rules
from tasks.store.evals.samples import read_eval_set
from tests.expectations.sample_rows import BAD_SAMPLES
from tests.tasks.curate.test_task import _fill, _request, _run, _suite


def own(folder: Path, severity: str, never: str, more: str = "") -> None:
    (folder / "expectations").mkdir(exist_ok=True)
    (folder / "expectations" / "own.toml").write_text(
        f'suite = "samples"\n[[rules]]\nid = "own_rule"\nseverity = "{severity}"\nkind = "sql"\n'
        f'columns = ["messages"]\nnever = "{never}"\n{more}'
    )


def ids(run: Any, digest: str) -> set[str]:
    with run.open_store() as store:
        return {row.sample_id for row in read_eval_set(store, digest)}


MINED = "origin <> 'suite' AND contains(messages::VARCHAR, 'number 3')"


def test_every_rule_has_its_bad_rows(tmp_path: Path) -> None:
    rules = samples_rules(_run(tmp_path).settings).rules
    assert set(BAD_SAMPLES) == {rule.id for rule in rules if rule.severity != "batch"}


def test_a_mined_sample_that_fails_is_left_out_and_counted(tmp_path: Path) -> None:
    run = _run(tmp_path, suites=_suite(tmp_path))
    _fill(run, [_request(n) for n in range(6)])
    whole = curate(run)
    own(tmp_path, "critical", MINED)
    again = _run(tmp_path, "run-2", suites=_suite(tmp_path))
    receipt = curate(again)
    assert receipt.quarantined == 1
    assert receipt.notes["by_reason"] == {"own_rule": 1}
    assert receipt.rows_in == whole.rows_in == receipt.rows_out + 1 + receipt.duplicates
    assert receipt.notes["num_samples"] == whole.notes["num_samples"] - 1
    assert sum(receipt.notes["by_origin"].values()) == receipt.notes["num_samples"]
    assert len(ids(run, whole.key) - ids(again, receipt.key)) == 1
    assert ids(again, receipt.key) < ids(run, whole.key)
    with again.open_store() as store:
        assert store.scalar("SELECT count(*) FROM requests") == 6
        tables = [row[0] for row in store.rows("SELECT table_name FROM duckdb_tables()")]
        assert "eval_candidates" not in tables


def test_a_hand_written_sample_that_fails_stops_the_run(tmp_path: Path) -> None:
    own(tmp_path, "critical", "contains(messages::VARCHAR, 'question 3')")
    run = _run(tmp_path, suites=_suite(tmp_path))
    with pytest.raises(DataError, match="1 samples written by hand fail own_rule") as caught:
        curate(run)
    assert "question 3" in caught.value.line()
    with run.open_store() as store:
        assert store.scalar("SELECT count(*) FROM eval_sets") == 0
        assert store.scalar("SELECT count(*) FROM samples") == 0


def test_a_set_with_too_many_odd_samples_is_not_written(tmp_path: Path) -> None:
    own(tmp_path, "batch", "must_pass IS NOT TRUE", "max_ratio = 0.9")
    run = _run(tmp_path, suites=_suite(tmp_path, 50))
    with pytest.raises(DataError, match=r"breaks own_rule.*50 of 50, allowed share 90%"):
        curate(run)
    small = _run(tmp_path, "run-2", suites=_suite(tmp_path, 5))
    assert curate(small).notes["num_samples"] == 5


def test_a_warning_is_counted_and_the_sample_stays(tmp_path: Path) -> None:
    own(tmp_path, "warning", "contains(messages::VARCHAR, 'question 3')")
    receipt = curate(_run(tmp_path, suites=_suite(tmp_path)))
    assert receipt.notes["warnings"] == {"own_rule": 1}
    assert receipt.notes["num_samples"] == 5


def test_where_nothing_is_left_the_line_says_why(tmp_path: Path) -> None:
    own(tmp_path, "critical", "true")
    run = _run(tmp_path)
    _fill(run, [_request(n) for n in range(3)])
    with pytest.raises(DataError, match=r"every sample .* own_rule 3"):
        curate(run)


def test_a_stored_set_is_judged_again_only_by_another_suite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = curate(_run(tmp_path, suites=_suite(tmp_path)))
    with monkeypatch.context() as patch:
        patch.setattr("tasks.rules.gx.judge", lambda *_: pytest.fail("it was asked"))
        assert curate(_run(tmp_path, "run-2", suites=_suite(tmp_path))).key == first.key
    own(tmp_path, "critical", "contains(messages::VARCHAR, 'question 3')")
    with pytest.raises(DataError):
        curate(_run(tmp_path, "run-3", suites=_suite(tmp_path)))


def test_a_rule_that_a_sample_cannot_answer_is_named(tmp_path: Path) -> None:
    own(tmp_path, "warning", "target::INTEGER > 3")
    with pytest.raises(UsageError, match="rule own_rule cannot be judged"):
        curate(_run(tmp_path, suites=_suite(tmp_path)))


def _weighted(name: str, stratum: str, weight: float, **changes: Any) -> Draft:
    conversation = Conversation(None, ({"role": "user", "content": name},))
    draft = Draft("s", None, conversation, "t", "gold", "traffic", {}, request_id=name)
    return replace(draft, stratum=stratum, weight=weight, **changes)


def test_those_left_of_a_stratum_stand_for_those_that_leave() -> None:
    drafts = [_weighted(f"f{n}", "failed", 0.5) for n in range(4)]
    drafts += [_weighted(f"l{n}", "liked", 1.25, num_draws=9.0) for n in range(2)]
    drafts += [_weighted("h", "liked", 1.5, request_id=None, num_draws=4.0)]
    drafts += [_weighted("o", "", 1.0)]
    left = without(eval_set(drafts, range(8)), {drafts[0].sample_id, drafts[4].sample_id})
    weights = {sample.messages[0]["content"]: sample.weight for sample in left.samples}
    # 2 of 6 for the failed ones, 2.5 for the liked, 1.5 for the one written by hand: of 5 now
    assert weights == {
        "f1": pytest.approx(5 / 9), "f2": pytest.approx(5 / 9), "f3": pytest.approx(5 / 9),
        "l1": pytest.approx(2.5 * 5 / 6), "h": pytest.approx(1.5 * 5 / 6), "o": 1.0,
    }  # fmt: skip
    assert all(sample.is_counted for sample in left.samples)
    # those that were certain before now stand for others by chance
    draws = {sample.messages[0]["content"]: sample.num_draws for sample in left.samples}
    assert (draws["f1"], draws["l1"], draws["h"]) == (1, pytest.approx(1 / (0.5 + 0.5 / 9)), 4)


def test_where_a_whole_stratum_leaves_the_others_of_its_suite_do_not_count() -> None:
    drafts = [_weighted("f", "failed", 1.0), _weighted("l", "liked", 1.0)]
    drafts += [_weighted("h", "liked", 1.0, request_id=None)]
    drafts += [_weighted("m", "liked", 1.0, suite="other")]
    left = without(eval_set(drafts, range(4)), {drafts[0].sample_id})
    counted = {sample.messages[0]["content"]: sample.is_counted for sample in left.samples}
    assert counted == {"l": False, "h": True, "m": True}


def test_a_set_without_some_samples_is_the_set_that_the_others_make() -> None:
    drafts = [
        Draft("s", None, Conversation(None, ({"role": "user", "content": str(n)},)), "t", "gold",
              "suite", {})
        for n in range(4)
    ]  # fmt: skip
    whole = eval_set(drafts, [0, 0, 0, 1])
    first = min(draft.sample_id for draft in drafts[:3])
    kept = [draft for draft in drafts if draft.sample_id != first]
    labels = [0 if draft in drafts[:3] else 1 for draft in kept]
    assert without(whole, {first}) == eval_set(kept, labels)
    assert without(whole, set()) == replace(whole)
