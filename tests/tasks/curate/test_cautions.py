from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from tasks.curate.cautions import cautions, min_clusters, reviews_due
from tasks.curate.frame import Uncovered
from tasks.model.sample import Sample
from tasks.model.verdict import SuiteRule
from tasks.settings import SuiteSettings

_RULE = SuiteRule("order", "guard", 0.05, "exact_match")


def _samples(count: int, **changes: object) -> list[Sample]:
    plain = Sample("s", "order", None, (), None, "t", "gold", "suite")
    return [
        replace(plain, sample_id=f"s{n}", cluster_id=f"c{n}", **changes)  # type: ignore[arg-type]
        for n in range(count)
    ]


@pytest.mark.parametrize(("alpha", "margin"), [(0.05, 0.05), (0.05, 0.1), (0.01, 0.02)])
def test_so_many_equal_pairs_it_takes_to_exclude_a_loss_of_the_margin(
    alpha: float, margin: float
) -> None:
    needed = min_clusters(alpha, margin)
    assert (1 - margin) ** needed <= alpha / 2 < (1 - margin) ** (needed - 1)


def test_a_suite_with_too_few_samples_that_count_is_named() -> None:
    enough = _samples(72)
    assert cautions(enough, [_RULE], 0.05, (), {}) == []
    (told,) = cautions(enough[:71], [_RULE], 0.05, (), {})
    assert "suite order: 71 samples count, worth 71 independent ones" in told
    assert "takes 72 to exclude a loss of 0.05" in told
    assert cautions([*enough[:71], replace(enough[71], is_counted=False)], [_RULE], 0.05, (), {})
    assert cautions([*enough[:71], replace(enough[71], cluster_id="c0")], [_RULE], 0.05, (), {})
    assert cautions([*enough[:71], replace(enough[71], weight=1.5)], [_RULE], 0.05, (), {})
    assert cautions([], [_RULE], 0.05, (), {})
    assert cautions([], [replace(_RULE, role="report")], 0.05, (), {}) == []


def test_in_conversations_of_several_samples_fewer_of_them_can_do() -> None:
    conversations = [replace(sample, cluster_id=f"c{n % 40}")
                     for n, sample in enumerate(_samples(400))]  # fmt: skip
    assert cautions(conversations, [_RULE], 0.05, (), {}) == []
    assert min_clusters(0.05, 0.05, 10) == 6
    assert min_clusters(0.05, 0.05, 30) == 2
    (told,) = cautions(conversations[:5], [_RULE], 0.05, (), {})
    assert "worth 5 independent ones" in told


def test_a_cluster_that_holds_half_of_a_suite_is_named() -> None:
    heavy = [replace(sample, weight=100.0 if n == 3 else 1.0)
             for n, sample in enumerate(_samples(101))]  # fmt: skip
    few, told = cautions(heavy, [_RULE], 0.05, (), {})
    assert "worth 4 independent ones" in few
    assert "suite order: c3 (1 of its samples) holds 50% of the weight" in told
    often = [replace(sample, num_draws=400.0 if n == 3 else 1.0) for n, sample in enumerate(heavy)]
    assert cautions(often, [_RULE], 0.05, (), {}) == []
    lighter = [replace(sample, weight=min(sample.weight, 99.0)) for sample in heavy]
    assert len(cautions(lighter, [_RULE], 0.05, (), {})) == 1


def test_a_suite_selected_by_outcome_is_named_with_what_would_help() -> None:
    samples = _samples(120, is_counted=False)
    uncovered = [Uncovered("order", "unjudged", 700, 1_000, 0)]
    told = cautions(samples, [], 0.05, uncovered, {})[0]
    assert told.startswith(
        "suite order: 700 of 1,000 calls were not judged and none has a known answer, so "
        "the 120 samples of the others, selected by outcome, do not gate: "
    )
    assert "judged_represent_all" in told
    failed = cautions(samples, [], 0.05, [Uncovered("order", "failed", 700, 1_000, 0)], {})[0]
    assert "calls failed and none" in failed
    assert "judged_represent_all" not in failed
    crowded = cautions(samples, [], 0.05, [Uncovered("order", "failed", 700, 1_000, 9)], {})[0]
    assert "calls failed and there was no place for any" in crowded
    assert crowded.endswith("raise [curate] max_samples")


def test_a_session_of_most_calls_is_named() -> None:
    (told,) = cautions([], [], 0.05, (), {"svc-1": 1_200})
    assert "session 'svc-1' holds 1,200 calls" in told


def test_a_suite_whose_day_of_review_has_come_is_named_with_its_owner() -> None:
    suites = {
        "order": SuiteSettings(owner="support", review_by=date(2027, 1, 1)),
        "mood": SuiteSettings(review_by=date(2027, 1, 2)),
        "product": SuiteSettings(),
    }
    assert reviews_due(suites, date(2026, 12, 31)) == []
    (told,) = reviews_due(suites, date(2027, 1, 1))
    assert told.startswith("suite order was to be reviewed by 2027-01-01: its owner support")
    assert "(nobody)" in reviews_due(suites, date(2027, 1, 2))[1]
