from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tasks.model.answer import Answer
from tasks.model.verdict import SuiteResult
from tasks.run import Run
from tasks.tracking import links, rows, values
from tests.tasks.record.stores import read


def test_a_number_that_is_not_defined_has_no_metric_but_its_name_is_kept(decided: Run) -> None:
    turn = read(decided)
    suite = replace(turn.verdict.suites[0], comparison=None, power=None)
    verdict = replace(turn.verdict, suites=(suite,))
    metrics = values.parent_metrics(replace(turn, verdicts={"challenger": verdict}))
    assert "tickets.ci_low" not in metrics.defined
    names = ("difference", "ci_low", "ci_high", "pass_probability", "effective_samples")
    assert set(metrics.undefined) == {f"tickets.{name}" for name in names}


def test_json_that_holds_nan_or_text_instead_of_numbers_is_undefined() -> None:
    result = SuiteResult.from_json(
        {
            "suite": "s",
            "difference": float("nan"),
            "ci_low": "x",
            "num_won": True,
            "champion_ci": [1],
        }
    )
    assert (result.difference, result.interval, result.num_won) == (None, None, None)
    assert result.releases["champion"].interval is None


def test_every_sample_is_sent_and_above_the_limit_a_draw_that_ignores_outcomes(
    decided: Run,
) -> None:
    turn = read(decided)
    assert len(turn.flips) == 11
    assert rows.choose_rows(turn.judged, 1_000) == rows.choose_rows(turn.judged, 40) == turn.judged
    assert rows.choose_rows(turn.judged, 0) == ()
    drawn = rows.choose_rows(turn.judged, 25)
    assert len(drawn) == 25
    swapped = [
        replace(item, answers=dict(zip(item.answers, reversed(item.answers.values()), strict=True)))
        for item in turn.judged
    ]
    right = [replace(i, answers={role: (Answer(1.0),) for role in i.answers}) for i in turn.judged]
    for others in (swapped, right):
        again = rows.choose_rows(others, 25)
        assert [i.sample.sample_id for i in again] == [i.sample.sample_id for i in drawn]


def test_only_names_that_never_graded_are_shown_as_pass_and_fail(decided: Run) -> None:
    turn = read(decided)
    scorers = {suite.rule.name: suite.rule.metric for suite in turn.verdict.suites}
    assert rows.binary_names(turn.judged, scorers) == {
        "tickets/exact_match", "orders/exact_match (not counted)",
    }  # fmt: skip


def test_a_score_is_named_for_its_suite_and_what_does_not_count_apart() -> None:
    named = {
        links.assessment_name(suite, scorer, is_counted=counted)
        for suite in ("order", "mood")
        for scorer in ("exact_match", "correctness")
        for counted in (False, True)
    }
    assert len(named) == 8
    assert "order/exact_match" in named
    assert "order/exact_match (not counted)" in named
    # MLflow draws these as judges of its own
    assert not named & {"correctness", "groundedness"}


@given(st.lists(st.text(min_size=1), min_size=1, max_size=3))
def test_a_metric_key_is_always_one_mlflow_takes(parts: list[str]) -> None:
    from mlflow.utils.validation import _validate_metric_name

    _validate_metric_name(links.metric_key("x", *parts))


@given(st.text(max_size=300), st.integers(min_value=20, max_value=200))
def test_shortened_text_fits_and_says_so(text: str, limit: int) -> None:
    short = values.shortened(text, limit)
    assert len(short) <= limit
    assert short == text or short.endswith(values.CUT_MARK)


def test_compare_link_selects_the_challenger_against_the_champion() -> None:
    path = links.compare_path("3", "challenger-run", "champion-run")
    assert path == (
        "/#/experiments/3/runs/challenger-run/evaluations?compareToRunUuid=champion-run"
    )


def test_flattened_settings_keep_their_path() -> None:
    assert values.flatten("s", {"a": {"b": 1}, "c": "x", "d": [1, 2]}) == {
        "s.a.b": "1", "s.c": "x", "s.d": "[1, 2]",
    }  # fmt: skip
