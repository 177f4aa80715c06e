from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from tasks.errors import UsageError
from tasks.model.turn import Turn
from tasks.referee.judge import Asked, judge
from tasks.referee.recognise import read_results
from tasks.referee.scale import Scale, number
from tasks.referee.scoring import scored, targets_of
from tasks.referee.values import Reading, Results
from tasks.scoring.instrument import instrument
from tasks.settings import parse_settings
from tests.tasks.referee.rows import lm_eval_line, scores, write_csv, write_lines

NOW = datetime(2026, 11, 30)  # noqa: DTZ001 - the store keeps UTC without a zone
BITS = np.random.default_rng(7).integers(0, 2, 200).tolist()


def judged(*paths: Path, settings: dict[str, object] | None = None, **asked: object) -> Turn:
    reading = Reading(**{k: asked.pop(k) for k in list(asked) if k in Reading.__slots__})
    runs = [read_results(str(path)) for path in paths]
    declared = parse_settings(settings or {}, base=".")
    return judge(runs, Asked(reading=reading, **asked), declared, NOW, {})


def refused(*paths: Path, **asked: object) -> str:
    with pytest.raises(UsageError) as caught:
        judged(*paths, **asked)
    return caught.value.line()


def test_the_difference_is_that_of_the_pairs_by_weight(tmp_path: Path):
    random = np.random.default_rng(3)
    old, new = random.random(60), random.random(60)
    weights = random.integers(1, 4, 60)
    paths = []
    for name, values in (("a", old), ("b", new)):
        rows = [(f"q{n}", value, weights[n], f"c{n // 3}") for n, value in enumerate(values)]
        heading = ("id", "score", "weight", "cluster")
        paths.append(write_csv(tmp_path / f"{name}.csv", heading, rows))
    turn = judged(*paths)
    (suite,) = turn.verdict.suites
    assert suite.difference == pytest.approx(np.average(new - old, weights=weights))
    assert suite.releases["champion"].mean == pytest.approx(np.average(old, weights=weights))
    assert (suite.num_samples, suite.num_clusters) == (60, 20)
    assert suite.rule.margin == 0.05
    assert suite.level == pytest.approx(0.05)  # one look, with the whole error rate


def test_the_order_of_rows_changes_nothing(tmp_path: Path):
    old = scores(tmp_path / "a.csv", BITS)
    new = scores(tmp_path / "b.csv", BITS[::-1])
    lines = new.read_text().splitlines()
    (tmp_path / "c").mkdir()
    shuffled = tmp_path / "c" / "b.csv"
    shuffled.write_text("\n".join([lines[0], *sorted(lines[1:], key=lambda line: line[::-1])]))
    one, two = judged(old, new), judged(old, shuffled)
    assert one.verdict.suites == two.verdict.suites


def test_what_the_challenger_lost_counts_against_it(tmp_path: Path):
    old = scores(tmp_path / "a.csv", [1] * 200)
    new = scores(tmp_path / "b.csv", [1] * 150)
    turn = judged(old, new)
    (suite,) = turn.verdict.suites
    assert suite.verdict == "worse"
    assert suite.releases["challenger"].mean == pytest.approx(0.75)
    assert suite.releases["challenger"].tally.num_failed == 50
    assert "b lost 50 of 200 answers (50 not in its file): they count 0 against it" in " ".join(
        turn.verdict.reasons
    )


def test_what_the_champion_lost_counts_against_it_and_a_cut_champion_lets_nobody_pass(
    tmp_path: Path,
):
    new = scores(tmp_path / "b.csv", [1] * 200)
    few = judged(scores(tmp_path / "a.csv", [1] * 190), new)
    (suite,) = few.verdict.suites
    assert suite.releases["champion"].mean == pytest.approx(0.95)
    assert suite.releases["champion"].tally.num_failed == 10
    cut = judged(scores(tmp_path / "a.csv", [1] * 100), new)
    (suite,) = cut.verdict.suites
    assert cut.verdict.verdict == "cannot_tell"
    assert suite.too_many_missing
    assert suite.releases["champion"].tally.num_missing == 100
    assert "its file is another set or a part of one" in " ".join(cut.verdict.reasons)


def test_an_unscored_row_counts_for_nobody_and_keeps_its_reason(tmp_path: Path):
    values: list[object] = [*BITS]
    values[3], values[4], values[5], values[6] = "", "NaN", "inf", "good"
    turn = judged(scores(tmp_path / "a.csv", BITS), scores(tmp_path / "b.csv", values))
    (suite,) = turn.verdict.suites
    assert suite.releases["challenger"].tally.num_unscored == 4
    assert suite.releases["challenger"].tally.num_failed == 0
    reasons = [item.answers["challenger"][0].unscored_reason for item in turn.judged[3:7]]
    assert reasons == [
        "there is no score", "the score is nan", "the score is inf",
        "the score 'good' is not a number",
    ]  # fmt: skip
    assert suite.interval is not None
    # the interval holds whatever they were: 4 of 200 in either direction
    assert suite.interval.low < -0.02 < 0.02 < suite.interval.high + 0.03


def test_rows_of_one_id_are_repeats_and_fewer_than_usual_are_lost(tmp_path: Path):
    old = write_csv(tmp_path / "a.csv", ("id", "score"),
                    [(f"q{n}", value) for n in range(20) for value in (1, 0, 1)])  # fmt: skip
    rows = [(f"q{n}", 1) for n in range(20) for _ in range(2)][:-1]
    new = write_csv(tmp_path / "b.csv", ("id", "score"), rows)
    turn = judged(old, new)
    assert turn.judged[0].score("champion") == pytest.approx(2 / 3)
    assert len(turn.judged[0].answers["challenger"]) == 2
    assert turn.judged[-1].score("challenger") == 0.5  # its second answer is lost
    assert "repeats, and their mean counts" in " ".join(turn.verdict.reasons)


def test_scores_off_the_scale_are_refused_and_a_range_scales_them(tmp_path: Path):
    percent = [
        scores(tmp_path / f"{name}.csv", [100 * bit for bit in bits])
        for name, bits in (("a", BITS), ("b", BITS[::-1]))
    ]
    plain = [
        scores(tmp_path / f"{name}1.csv", bits) for name, bits in (("a", BITS), ("b", BITS[::-1]))
    ]
    line = refused(*percent)
    assert "lie outside 0 to 1" in line
    assert "0 to 100 in" in line
    assert "--range" in line
    scaled = judged(*percent, scale=Scale(0, 100))
    assert scaled.verdict.suites[0].interval == judged(*plain).verdict.suites[0].interval
    assert scaled.judged[0].answers["champion"][0].explanation.endswith("of 0 to 100")
    turned = judged(*percent, scale=Scale(100, 0))  # where less is better
    assert turned.verdict.suites[0].difference == -scaled.verdict.suites[0].difference
    assert "outside 0 to 50" in refused(*percent, scale=Scale(0, 50))
    with pytest.raises(UsageError, match="--range wants two numbers"):
        Scale(1, 1)


def test_a_word_is_a_score_where_tools_say_so():
    assert [number(word) for word in ("pass", "No", "TRUE", True, "0.25", 1)] == [
        1.0, 0.0, 1.0, 1.0, 0.25, 1.0,
    ]  # fmt: skip
    assert number([1.0, 2]) == "the score is list, not a number"
    assert number(10**400) == "the score is not finite"


def test_the_same_id_with_another_target_is_another_sample(tmp_path: Path):
    lines = [lm_eval_line(n, 1.0) for n in range(10)]
    old = write_lines(tmp_path / "a" / "samples_t_2026-01-01T0.jsonl", lines)
    other = [{**line, "target": "6" if line["doc_id"] == 4 else "5"} for line in lines]
    new = write_lines(tmp_path / "b" / "samples_t_2026-01-01T0.jsonl", other)
    line = refused(old, new)
    assert "1 of 10 samples have the same id and another target" in line
    assert "t 4" in line


def test_runs_without_a_common_sample_or_score_are_refused(tmp_path: Path):
    old = scores(tmp_path / "a.csv", BITS)
    strange = write_csv(tmp_path / "b.csv", ("id", "score"), [("x", 1), ("y", 0)])
    assert "no sample in common" in refused(old, strange)
    named = write_csv(tmp_path / "c.csv", ("id", "f1"), [(f"q{n}", b) for n, b in enumerate(BITS)])
    bare = write_csv(tmp_path / "d.csv", ("id", "output", "f1"),
                     [(f"q{n}", "x", b) for n, b in enumerate(BITS)])  # fmt: skip
    assert "it is not known which score to judge" in refused(named, bare)
    assert judged(named, bare, metric="f1").verdict.verdict == "no_worse"
    assert "did you mean 'f1'" in refused(named, bare, metric="f2")


def test_fields_become_slices_and_clusters(tmp_path: Path):
    lines = [lm_eval_line(n, float(bit)) for n, bit in enumerate(BITS)]
    paths = [write_lines(tmp_path / name / "samples_t_2026-01-01T0.jsonl", lines) for name in "ab"]
    turn = judged(*paths, slices=("subject",), cluster="subject")
    assert {(part.slice, part.value) for part in turn.verdict.slices} == {
        ("subject", "sums"), ("subject", "logic"),
    }  # fmt: skip
    assert turn.verdict.suites[0].num_clusters == 2
    assert "did you mean 'subject'" in refused(*paths, slices=("subjekt",))


def test_the_settings_say_role_margin_and_guarded_slices_of_a_suite(tmp_path: Path):
    rows = [(f"q{n}", bit, "route", "en") for n, bit in enumerate(BITS)]
    heading = ("id", "score", "suite", "slice.lang")
    paths = [write_csv(tmp_path / f"{name}.csv", heading, rows) for name in "ab"]
    declared = {
        "gate": {"alpha": 0.1},
        "suites": {
            "route": {"role": "guard", "margin": 0.2, "owner": "o", "slices": {"lang": 0.3}}
        },
    }
    (suite,) = judged(*paths, settings=declared).verdict.suites
    rule = suite.rule
    assert (rule.role, rule.margin, rule.owner, rule.slices) == ("guard", 0.2, "o", {"lang": 0.3})
    assert suite.level == pytest.approx(0.1)
    said = judged(*paths, settings=declared, margin=0.07, alpha=0.02, role="primary")
    (suite,) = said.verdict.suites
    assert (suite.rule.role, suite.rule.margin) == ("primary", 0.07)
    assert suite.level == pytest.approx(0.02)


def test_a_sample_that_must_pass_blocks(tmp_path: Path):
    def write(name: str, value: int) -> Path:
        rows = [(f"q{n}", 1 if n else value, "yes" if n == 0 else "") for n in range(100)]
        return write_csv(tmp_path / name, ("id", "score", "must_pass"), rows)

    turn = judged(write("a.csv", 1), write("b.csv", 0))
    assert turn.verdict.verdict == "blocked"
    assert "q0 of suite results" in " ".join(turn.verdict.reasons)


def test_several_challengers_share_the_error_rate_and_are_ranked(tmp_path: Path):
    paths = [scores(tmp_path / "a.csv", BITS), scores(tmp_path / "b.csv", [0] * 200),
             scores(tmp_path / "c.csv", [1] * 200)]  # fmt: skip
    turn = judged(*paths)
    assert list(turn.verdicts) == ["challenger_2", "challenger"]
    assert [each.verdict for each in turn.verdicts.values()] == ["better", "worse"]
    assert turn.verdict.suites[0].level == pytest.approx(0.025)
    assert {rank.role: (rank.low, rank.high) for rank in turn.ranking if not rank.suite} == {
        "challenger_2": (1, 1), "champion": (2, 2), "challenger": (3, 3),
    }  # fmt: skip


def test_outputs_are_scored_by_ours_against_targets_of_their_own_or_of_others(tmp_path: Path):
    def outputs(name: str, texts: list[str]) -> Path:
        records = [{"id": n, "output": text, "target": "Oslo"} for n, text in enumerate(texts)]
        return write_lines(tmp_path / f"{name}.jsonl", records)

    runs = [read_results(str(path)) for path in (
        outputs("a", ["Oslo", "Bergen", "Oslo"]), outputs("b", ["Oslo", "oslo.", "Rome"]),
    )]  # fmt: skip
    exact = instrument("exact_match")

    def values(run: Results, targets: dict[tuple[str, str], str]) -> list[float]:
        return [row.marks["exact_match"].value for row in scored(run, [exact], targets).rows]

    own = targets_of(runs, None, "")
    assert [values(run, own) for run in runs] == [[1.0, 0.0, 1.0], [1.0, 1.0, 0.0]]
    others = targets_of(runs, None, "Rome")
    assert values(runs[1], others) == [0.0, 0.0, 1.0]
    reference = read_results(str(outputs("c", ["x", "Bergen", "Rome"])))
    bare = replace(reference, rows=[replace(row, target="") for row in reference.rows])
    assert values(runs[0], targets_of(runs, bare, "")) == [0.0, 1.0, 0.0]
    two = scored(runs[0], [exact, instrument("includes")], others)
    assert [row.suite for row in two.rows[::3]] == ["results/exact_match", "results/includes"]
    assert two.rows[0].cluster == two.rows[3].cluster  # one sample is one chance find


def test_two_runs_of_one_name_are_told_apart(tmp_path: Path):
    (tmp_path / "x").mkdir()
    old, new = scores(tmp_path / "a.csv", BITS), scores(tmp_path / "x" / "a.csv", BITS)
    turn = judged(old, new)
    assert [release.name for release in turn.releases.values()] == ["a (a.csv) 1", "a (a.csv) 2"]
    assert turn.run_id == judged(old, new).run_id
    assert turn.run_id != judged(old, new, margin=0.1).run_id
