from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tasks.model import turn as facts
from tasks.run import Run
from tasks.tracking import links, rows, values
from tests.tasks.record.stores import read


def test_a_number_that_is_not_defined_has_no_metric_but_its_name_is_kept(decided: Run) -> None:
    turn = read(decided)
    suite = replace(turn.suites[0], ci_low=None, difference=None)
    metrics = values.parent_metrics(replace(turn, suites=(suite,)))
    assert "tickets.ci_low" not in metrics.defined
    assert set(metrics.undefined) == {"tickets.ci_low", "tickets.difference"}


def test_json_that_holds_nan_or_text_instead_of_numbers_is_undefined() -> None:
    result = facts.SuiteResult.from_json(
        {
            "suite": "s",
            "difference": float("nan"),
            "ci_low": "x",
            "num_won": True,
            "champion_ci": [1],
        }
    )
    assert (result.difference, result.ci_low, result.num_won) == (None, None, None)
    assert result.champion_ci == (None, None)


def test_all_flips_are_sent_even_beyond_the_limit_and_none_when_it_is_zero(decided: Run) -> None:
    turn = read(decided)
    assert len(turn.flips) == 10
    assert rows.choose_rows(turn, 3) == turn.flips
    assert len(rows.choose_rows(turn, 25)) == 25
    assert rows.choose_rows(turn, 0) == ()
    assert rows.choose_rows(turn, 1_000) == turn.pairs


def test_only_scorers_that_never_graded_are_shown_as_pass_and_fail(decided: Run) -> None:
    assert rows.binary_scorers(read(decided).pairs) == {"exact_match@1"}


def test_names_mlflow_draws_as_its_own_judges_are_avoided() -> None:
    assert links.assessment_name("exact_match@1") == "exact_match"
    assert links.assessment_name("correctness@2") == "correctness_score"
    assert links.assessment_name("Groundedness") == "Groundedness_score"


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
        "/#/experiments/3/evaluation-runs?selectedRunUuid=challenger-run"
        "&compareToRunUuid=champion-run"
    )


def test_flattened_settings_keep_their_path() -> None:
    assert values.flatten("s", {"a": {"b": 1}, "c": "x", "d": [1, 2]}) == {
        "s.a.b": "1", "s.c": "x", "s.d": "[1, 2]",
    }  # fmt: skip
