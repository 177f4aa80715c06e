"""The stage over a real store."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from expectations.contracts import COMPLETIONS, EVAL_SET_SAMPLES, RELEASES, SAMPLES, SCORES
from tasks.errors import StoreError
from tasks.gate.task import gate
from tasks.model.answer import challenger_role
from tasks.model.comparison import Interval
from tasks.model.receipt import Receipt
from tasks.model.run import RunRequest
from tasks.model.verdict import RecordedVerdict
from tasks.run import Run
from tasks.settings import parse_settings
from tasks.store import Store
from tasks.store.control import ledger
from tasks.store.control.verdicts import number_of_look, read_ranking, read_verdicts

_NOW = datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None)  # the store keeps UTC without zone
_SUITES = {"route": {"role": "primary", "owner": "support"}}


#: by the stage
_WRITTEN = ("verdicts", "run_stages", "evidence", "evidence_samples", "rankings")


def _run(
    tmp_path: Path,
    *,
    seed: int = 5,
    repeats: int = 1,
    suites: Any = _SUITES,
    early: float = 0.2,
    planned_samples: int = 0,
    alpha: float = 0.05,
    **sections: Any,
) -> Run:
    decides = {"early": early, "planned_samples": planned_samples, "alpha": alpha}
    values = {**sections, "home": "state", "evaluate": {"repeats": repeats}, "suites": suites,
              "gate": decides}  # fmt: skip
    settings = parse_settings(values, base=str(tmp_path))
    run = Run("run-1", RunRequest(seed=seed), settings, clock=lambda: _NOW)
    with run.open_store() as store:
        ledger.begin_run(store, "run-1", "{}", "digest", _NOW)
        ledger.annotate_run(
            store, "run-1", eval_set_digest="set", champion_digest="old", challenger_digest="new"
        )
    return run


def _samples(
    run: Run, count: int, suite: str = "route", *, heaviest: Any = None, **changes: Any
) -> None:
    rows = [
        {
            "sample_id": f"{suite}-{n:03}", "suite": suite, "task": suite, "messages": "[]",
            "target": "t", "target_kind": "gold", "origin": "suite",
            "slices": json.dumps({"parity": str(n % 2)}), "must_pass": False, "weight": 1.0,
            **changes,
        }
        for n in range(count)
    ]  # fmt: skip
    members = [
        {
            "eval_set_digest": "set", "sample_id": row["sample_id"], "position": n,
            "cluster_id": f"cluster-{row['sample_id']}", **(heaviest or {} if n == 0 else {}),
        }
        for n, row in enumerate(rows)
    ]  # fmt: skip
    with run.open_store() as store:
        store.insert(SAMPLES, rows)
        store.insert(EVAL_SET_SAMPLES, members)


def _releases(run: Run, *temperatures: float) -> None:
    rows = [
        {
            "release_digest": digest, "name": digest, "model": "m", "model_digest": "d",
            "prompt_digest": "p", "prompts": "{}", "engine": "{}", "created_at": _NOW,
            "sampling": json.dumps({"temperature": temperature}),
        }
        for digest, temperature in zip(("old", "new"), temperatures, strict=True)
    ]  # fmt: skip
    with run.open_store() as store:
        store.insert(RELEASES, rows)


def _answers(
    run: Run,
    release: str,
    values: list[float | None],
    *,
    suite: str = "route",
    seed: int = 5,
    scorer: str = "exact_match@1",
    failed: tuple[int, ...] = (),
    tokens: int = 10,
) -> None:
    keys = [
        {"release_digest": release, "sample_id": f"{suite}-{n:03}", "seed": seed}
        for n in range(len(values))
    ]
    completions = [
        {
            **key, "text": None if n in failed else "said", "finish_reason": "stop",
            "error": "too long" if n in failed else None, "run_id": "run-1", "created_at": _NOW,
            "input_tokens": 100, "output_tokens": tokens + n % 5,
        }
        for n, key in enumerate(keys)
    ]  # fmt: skip
    scores = [
        {**key, "scorer": scorer, "value": value, "explanation": "e", "unscored_reason": None}
        for key, value in zip(keys, values, strict=True)
    ]
    with run.open_store() as store:
        store.insert(COMPLETIONS, completions, existing="keep")
        store.insert(SCORES, scores)


def _verdict(run: Run) -> RecordedVerdict:
    with run.open_store() as store:
        found = read_verdicts(store, run.run_id).get("challenger")
    assert found is not None
    return found


def _dump(run: Run) -> list[list[tuple[Any, ...]]]:
    with run.open_store() as store:
        return [store.rows(f"SELECT * FROM {table}") for table in _WRITTEN]


@pytest.mark.parametrize(
    ("temperature", "repeats", "verdict"),
    [(0.0, 1, "no_worse"), (0.7, 1, "cannot_tell"), (0.7, 4, "cannot_tell")],
)
def test_a_popular_question_is_no_chance_find_unless_it_is_answered_by_lot(
    tmp_path: Path, temperature: float, repeats: int, verdict: str
) -> None:
    """One question is 0.9 of the traffic; both releases answer everything right. However often it
    is asked again, what these answers are off does not average out over the conversations."""
    run = _run(tmp_path, early=0.0, repeats=repeats)
    _samples(run, 100, heaviest={"weight": 900.0, "num_draws": 900.0})
    _releases(run, 0.0, temperature)
    for seed in range(5, 5 + repeats):
        _answers(run, "old", [1.0] * 100, seed=seed)
        _answers(run, "new", [1.0] * 100, seed=seed)
    assert gate(run).notes["verdict"] == verdict


def test_a_verdict_is_written_with_its_receipt(tmp_path: Path) -> None:
    run = _run(tmp_path)
    _samples(run, 100)
    _answers(run, "old", [0.0, 1.0] * 50)
    _answers(run, "new", [1.0] * 100)
    receipt = gate(run)
    assert (receipt.rows_in, receipt.rows_out, receipt.notes["verdict"]) == (100, 100, "better")
    found = _verdict(run)
    assert found.verdict == "better"
    (suite,) = (suite.to_json() for suite in found.suites)
    expected = {
        "suite": "route", "metric": "exact_match", "num_samples": 100, "champion": 0.5,
        "challenger": 1.0, "difference": 0.5, "margin": 0.05, "verdict": "better",
        "role": "primary", "owner": "support", "num_clusters": 100, "num_scored_champion": 100,
        "num_scored_challenger": 100, "num_missing_champion": 0, "num_missing_challenger": 0,
        "num_failed_champion": 0, "num_unscored_challenger": 0, "num_tipping": None,
        "num_won": 50, "num_lost": 0,
    }  # fmt: skip
    assert expected.items() <= suite.items()
    assert suite["ci_low"] < 0.5 < suite["ci_high"]
    assert suite["champion_ci"][0] < 0.5 < suite["champion_ci"][1]
    assert {"pass_probability", "num_samples_for_80", "method", "challenger_ci"} <= suite.keys()
    assert "p_value" not in suite
    told = [(one["role"], one["num_answers"]) for one in receipt.notes["answers"]]
    assert told == [("champion", 100), ("challenger", 100)]
    assert [part.value for part in found.slices] == ["0", "1"]
    with run.open_store() as store:
        assert ledger.finished_stage(store, run.run_id, "gate") == receipt


def test_whose_fault_it_is_that_there_is_no_answer_decides_what_it_counts(tmp_path: Path) -> None:
    run = _run(tmp_path)
    _samples(run, 100)
    _answers(run, "old", [1.0] * 99)
    _answers(run, "new", [1.0] * 97 + [None, 1.0, 1.0], failed=(98, 99))
    with run.open_store() as store:
        store.execute("UPDATE completions SET fault = 'release' WHERE sample_id = 'route-098'")
        store.execute("UPDATE completions SET fault = 'harness' WHERE sample_id = 'route-099'")
        store.execute("UPDATE scores SET fault = 'judge' WHERE sample_id = 'route-097'")
    gate(run)
    (suite,) = (suite.to_json() for suite in _verdict(run).suites)
    assert suite["num_samples"] == 100
    assert (suite["num_failed_champion"], suite["num_failed_challenger"]) == (0, 1)
    assert (suite["num_missing_champion"], suite["num_missing_challenger"]) == (1, 1)
    assert (suite["num_unscored_champion"], suite["num_unscored_challenger"]) == (0, 1)
    assert suite["challenger"] == pytest.approx(97 / 98)
    assert suite["difference"] == pytest.approx(-1 / 98)


def test_only_the_seeds_of_this_run_count(tmp_path: Path) -> None:
    run = _run(tmp_path, repeats=2)
    _samples(run, 80)
    for release in ("old", "new"):
        _answers(run, release, [1.0] * 80, seed=5)
        _answers(run, release, [0.0] * 80, seed=6)
        _answers(run, release, [1.0 if release == "old" else 0.0] * 80, seed=7)
    gate(run)
    (suite,) = (suite.to_json() for suite in _verdict(run).suites)
    assert (suite["champion"], suite["challenger"]) == (0.5, 0.5)


def test_the_newest_version_of_the_suites_scorer_counts(tmp_path: Path) -> None:
    run = _run(tmp_path)
    _samples(run, 80)
    for release in ("old", "new"):
        _answers(run, release, [0.0] * 80, scorer="exact_match@9")
        _answers(run, release, [1.0] * 80, scorer="exact_match@10")
        _answers(run, release, [0.3] * 80, scorer="token_f1@1")
    gate(run)
    assert _verdict(run).suites[0].releases["champion"].mean == 1.0


def test_a_scorer_that_never_ran_leaves_everything_unscored(tmp_path: Path) -> None:
    run = _run(tmp_path)
    _samples(run, 80)
    for release in ("old", "new"):
        _answers(run, release, [1.0] * 80, scorer="token_f1@1")
    assert gate(run).notes["verdict"] == "cannot_tell"
    assert _verdict(run).suites[0].releases["challenger"].tally.num_unscored == 80


def test_logged_answers_decide_nothing_with_or_without_other_suites(tmp_path: Path) -> None:
    for folder, suites in ((tmp_path / "a", {}), (tmp_path / "b", _SUITES)):
        folder.mkdir()
        run = _run(folder, suites=suites)
        _samples(run, 100, "logged")
        for release, score in (("old", 0.7), ("new", 0.1)):
            _answers(run, release, [score] * 100, suite="logged", scorer="token_f1@1")
        gate(run)
        found = _verdict(run)
        assert found.verdict == "cannot_tell"
        roles = {suite.rule.name: suite.rule.role for suite in found.suites}
        assert roles["logged"] == "report"
        if not suites:
            assert "no suite gates" in found.reasons[0]


def test_a_failed_must_pass_blocks_and_is_named(tmp_path: Path) -> None:
    run = _run(tmp_path)
    _samples(run, 100, must_pass=True)
    _answers(run, "old", [1.0] * 100)
    _answers(run, "new", [0.0] + [1.0] * 99)
    gate(run)
    found = _verdict(run)
    assert found.verdict == "blocked"
    assert "route-000" in " ".join(found.reasons)


def test_a_kill_leaves_nothing_and_the_rerun_gives_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = _run(tmp_path)
    _samples(run, 100)
    _answers(run, "old", [0.0, 1.0] * 50)
    _answers(run, "new", [1.0] * 100)
    empty = _dump(run)

    def killed(store: Store, run_id: str, receipt: Receipt, now: datetime) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "finish_stage", killed)
        with pytest.raises(KeyboardInterrupt):
            gate(run)
    assert _dump(run) == empty
    receipt = gate(run)
    written = _dump(run)
    assert gate(run) == receipt
    assert _dump(run) == written


def test_a_second_night_adds_what_is_new_to_the_evidence(tmp_path: Path) -> None:
    run = _run(tmp_path)
    _samples(run, 100)
    for release in ("old", "new"):
        _answers(run, release, [1.0] * 100)
    gate(run)
    first = _verdict(run).suites[0].standing
    assert first is not None
    assert (first.num_samples, first.taken_at, len(first.looks)) == (100, 100, 1)
    with run.open_store() as store:
        store.execute("UPDATE eval_set_samples SET eval_set_digest = 'later' WHERE position < 40")
        ledger.begin_run(store, "run-2", "{}", "digest 2", _NOW)
        ledger.annotate_run(
            store, "run-2", eval_set_digest="later", champion_digest="old", challenger_digest="new"
        )
        store.execute(
            "INSERT INTO eval_set_samples BY NAME SELECT * REPLACE ('later' AS eval_set_digest) "
            "FROM eval_set_samples WHERE position BETWEEN 40 AND 50"
        )
    later = replace(run, run_id="run-2")
    gate(later)
    second = _verdict(later).suites[0]
    assert second.num_samples == 51
    assert second.standing == first
    assert second.verdict == "no_worse", "by what all looks say, not by 51 samples"
    assert "the first look at this pair" in " ".join(_verdict(later).reasons)


def test_a_guardrail_holds_what_the_suites_let_pass_and_is_kept_with_the_verdict(
    tmp_path: Path,
) -> None:
    run = _run(tmp_path, guardrails={"length": {"measure": "output_tokens", "margin": 0.2}})
    _samples(run, 100)
    _answers(run, "old", [1.0] * 100)
    _answers(run, "new", [1.0] * 100, tokens=15)
    receipt = gate(run)
    found = _verdict(run)
    (told,) = found.guardrails
    assert (told.champion, told.challenger, told.ratio) == (12, 17, pytest.approx(17 / 12))
    assert (told.verdict, found.verdict, found.suites[0].verdict) == ("worse", "worse", "no_worse")
    assert receipt.notes["guardrails"] == {"length": "worse"}
    assert found.reasons[0] == "worse: the challenger loses on guardrail length."
    assert (
        "guardrail length, output_tokens: challenger 17.0 output tokens against champion 12.0 "
        "output tokens on 100 samples (100 independent clusters): 41.7% more (96% interval "
    ) in " ".join(found.reasons)


def test_other_samples_are_another_look_and_the_same_again_are_none(tmp_path: Path) -> None:
    run = _run(tmp_path)

    def begin(store: Store, run_id: str, eval_set: str, request: str, new: str = "new") -> int:
        ledger.begin_run(store, run_id, request, run_id, _NOW)
        ledger.annotate_run(
            store, run_id, eval_set_digest=eval_set, champion_digest="old", challenger_digest=new
        )
        return number_of_look(store, run_id, "old", new)

    def decided(store: Store, run_id: str) -> None:
        store.execute(
            "INSERT INTO verdicts BY NAME SELECT ? AS run_id, 'challenger' AS role, "
            "true AS is_leading, 'worse' AS verdict, '[]' AS reasons, "
            "'[]' AS suites, '[]' AS slices, now()::TIMESTAMP AS created_at",
            [run_id],
        )

    first, other_seed = ('{"seed": 5, "repeats": 1}', '{"seed": 6, "repeats": 1}')
    with run.open_store() as store:
        assert begin(store, "run-2", "set 2", first) == 1
        decided(store, "run-2")
        assert number_of_look(store, "run-2", "old", "new") == 1
        assert begin(store, "run-3", "set 2", first) == 1, "the same samples again"
        assert begin(store, "run-4", "set 2", other_seed) == 2
        assert begin(store, "run-5", "set 3", first) == 2, "run-4 has not been decided"
        for run_id in ("run-3", "run-4", "run-5"):
            decided(store, run_id)
        assert begin(store, "run-6", "set 4", first) == 4
        assert begin(store, "run-7", "set 2", first) == 1, "as it was when it was looked at first"
        assert begin(store, "run-8", "set 4", first, new="another") == 1


def test_the_planned_look_is_at_the_size_declared_also_without_a_plan(tmp_path: Path) -> None:
    run = _run(tmp_path, planned_samples=300)
    _samples(run, 100)
    for release in ("old", "new"):
        _answers(run, release, [1.0] * 100)
    gate(run)
    found = _verdict(run)
    standing = found.suites[0].standing
    assert standing is not None
    assert (standing.planned, standing.taken_at) == (300, None)
    assert found.verdict == "cannot_tell"


def test_each_run_by_itself_where_no_look_is_planned(tmp_path: Path) -> None:
    run = _run(tmp_path, early=0)
    _samples(run, 100)
    for release in ("old", "new"):
        _answers(run, release, [1.0] * 100)
    gate(run)
    (suite,) = _verdict(run).suites
    assert (suite.standing, suite.level) == (None, pytest.approx(0.05))
    assert _dump(run)[2:4] == [[], []]


def test_a_run_that_was_not_evaluated_is_one_clear_line(tmp_path: Path) -> None:
    run = _run(tmp_path)
    with run.open_store() as store:
        store.execute("UPDATE runs SET challenger_digest = NULL")
    with pytest.raises(StoreError, match="no evaluated releases"):
        gate(run)


_SAID = {
    "old": [0.0, 1.0] * 100,
    "new": [0.0, 1.0] * 100,
    "best": [1.0] * 150 + [0.0, 1.0] * 25,
    "bad": [0.0] * 150 + [0.0, 1.0] * 25,
}


def _evaluated(tmp_path: Path, *releases: str, alpha: float = 0.05) -> Run:
    """Champion `old` and these challengers, all of which have answered."""
    tmp_path.mkdir(exist_ok=True)
    run = _run(tmp_path, alpha=alpha)
    _samples(run, 200)
    for release in ("old", *releases):
        _answers(run, release, _SAID[release])
    roles = {challenger_role(place): release for place, release in enumerate(releases)}
    with run.open_store() as store:
        ledger.set_run_keys(store, "run-1", ledger.RunKeys("set", {"champion": "old", **roles}))
    return run


def test_each_of_several_challengers_is_judged_as_if_alone_at_its_share_of_alpha(
    tmp_path: Path,
) -> None:
    releases = ("new", "best", "bad")
    run = _evaluated(tmp_path / "all", *releases)
    receipt = gate(run)
    with run.open_store() as store:
        found = read_verdicts(store, "run-1")
        ranked = read_ranking(store, "run-1")
        sharing = store.rows("SELECT challenger_digest, num_challengers FROM evidence ORDER BY 1")
    assert list(found) == ["challenger_2", "challenger", "challenger_3"], "the leading one first"
    assert [one.verdict for one in found.values()] == ["better", "no_worse", "worse"]
    assert receipt.notes["verdict"] == "better"
    assert sharing == [("bad", 3), ("best", 3), ("new", 3)]
    assert [(rank.role, rank.low, rank.high) for rank in ranked if not rank.suite] == [
        ("challenger_2", 1, 1), ("champion", 2, 3), ("challenger", 2, 3), ("challenger_3", 4, 4),
    ]  # fmt: skip
    for place, release in enumerate(releases):
        alone = _evaluated(tmp_path / release, release, alpha=0.05 / 3)
        gate(alone)
        expected, one = _verdict(alone), found[challenger_role(place)]
        assert (one.suites, one.slices) == (expected.suites, expected.slices)
        told, *others = one.reasons
        assert (told, others[1:]) == (expected.reasons[0], list(expected.reasons[1:]))
        assert "3 challengers share the error rate" in others[0]


def test_evidence_of_a_challenger_alone_is_not_taken_for_that_of_one_among_several(
    tmp_path: Path,
) -> None:
    """Its error rate was fixed before the first look."""
    run = _evaluated(tmp_path / "state", "best", "bad")
    gate(run)
    with run.open_store() as store:
        ledger.begin_run(store, "run-2", "{}", "digest 2", _NOW)
        keys = ledger.RunKeys("set", {"champion": "old", "challenger": "best"})
        ledger.set_run_keys(store, "run-2", keys)
    alone = replace(run, run_id="run-2")
    gate(alone)
    standing = _verdict(alone).suites[0].standing
    assert standing is not None
    assert (standing.num_samples, len(standing.looks)) == (200, 1)


def test_decided_again_a_run_of_several_challengers_writes_the_same(tmp_path: Path) -> None:
    run = _evaluated(tmp_path / "state", "new", "best", "bad")
    receipt = gate(run)
    written = _dump(run)
    assert gate(run) == receipt
    assert _dump(run) == written


def test_more_scorers_are_measured_as_if_they_decided_and_decide_nothing(tmp_path: Path) -> None:
    """The reference is a gate whose suite is judged by that scorer alone."""
    names = ("alone", "besides")
    for name in names:
        (tmp_path / name).mkdir()
    length = {"name": "length", "at_most": 3}
    found = {}
    for name, suite in zip(
        names,
        ({"role": "primary", "scorer": length}, {"role": "primary", "also": [length, "includes"]}),
        strict=True,
    ):
        run = _run(tmp_path / name, early=0.0, suites={"route": suite})
        _samples(run, 60, heaviest={"weight": 5.0})
        for release, right, short in (("old", 0.0, 1.0), ("new", 1.0, 0.0)):
            _answers(run, release, [right, 1.0] * 30, failed=(7,))
            values: list[float | None] = [short] * 40 + [1.0] * 19
            _answers(run, release, [*values, None], scorer="length@1(at_most=3)")
        with run.open_store() as store:
            store.execute("UPDATE completions SET fault = 'release' WHERE sample_id = 'route-007'")
            store.execute("UPDATE scores SET fault = 'judge' WHERE value IS NULL")
        gate(run)
        found[name] = _verdict(run)
    (alone,), (besides,) = (found[name].suites for name in names)
    assert (alone.verdict, besides.verdict) == ("worse", "better")
    measured, unscored = besides.also
    assert measured.scorer == alone.scorer == "length@1(at_most=3)"
    assert measured.interval == alone.interval
    assert measured.difference == alone.difference
    assert (measured.champion, measured.challenger) == tuple(
        alone.releases[role].mean for role in ("champion", "challenger")
    )
    assert (measured.num_unknown_champion, measured.num_unknown_challenger) == (1, 1)
    # what the primary scored is complete, whatever others could not say
    assert besides.num_unknown == 0
    # never judged; a release's own failure counts 0 by every scorer, so one of 60 is known
    assert (unscored.scorer, unscored.num_unknown_champion) == ("includes", 59)
    assert unscored.interval == Interval(-1.0, 1.0)
    (told,) = (text for text in found["besides"].reasons if "by length(at_most=3)" in text)
    assert told.startswith("besides, deciding nothing: suite route by length")
    assert "2 answers not scored" in told


def test_a_verdict_from_before_there_were_more_scorers_is_read(tmp_path: Path) -> None:
    run = _run(tmp_path)
    _samples(run, 40)
    _answers(run, "old", [1.0] * 40)
    _answers(run, "new", [1.0] * 40)
    gate(run)
    with run.open_store() as store:
        (text,) = store.one("SELECT suites FROM verdicts") or ("",)
        suites = json.loads(text)
        assert suites[0].pop("also") == []
        store.execute("UPDATE verdicts SET suites = ?", [json.dumps(suites)])
    assert _verdict(run).suites[0].also == ()
