"""Every number against an independent reference: scipy, or the formula written out."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tasks.statistics.psi import LOW_TAIL, binned, psi
from tasks.statistics.two_sample import chi_square, kolmogorov_smirnov, permutation_p
from tasks.watch.embedding import embed, folded, normalized
from tasks.watch.script import script
from tasks.watch.texts import novelty, topics

DRAWS = 4_999


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_psi_is_the_sum_over_bins_with_half_a_row_added():
    before, after = np.array([50, 30, 20]), np.array([20, 30, 50])
    first, second = (before + 0.5) / 101.5, (after + 0.5) / 101.5
    expected = sum((b - a) * np.log(b / a) for a, b in zip(first, second, strict=True))
    assert psi(before, after) == pytest.approx(expected)
    assert psi(before, before * 2) == pytest.approx(0, abs=1e-4)
    assert np.isfinite(psi(np.array([10, 0]), np.array([0, 10])))


def test_bins_are_the_deciles_of_the_reference():
    counts, after = binned(np.arange(1000.0), np.arange(900.0, 1000.0))
    assert counts.tolist() == [100] * 10
    assert after.tolist() == [0] * 9 + [100]


def test_a_frequent_value_and_no_value_have_bins_of_their_own():
    reference = np.concatenate([np.zeros(600), np.arange(1.0, 401.0)])
    new = np.array([0.0, 0.0, np.nan, -1.0])
    counts, after = binned(reference, new)
    assert counts[1] == 600
    assert after[:2].tolist() == [1, 2]
    assert after[-1] == 1
    assert counts.sum() == 1000
    assert after.sum() == 4


def test_lowest_values_are_told_apart_where_asked():
    counts, _ = binned(np.arange(1000.0), np.zeros(0), LOW_TAIL)
    assert counts[:3].tolist() == [10, 40, 50]


def test_chi_square_of_large_counts_is_scipys():
    table = np.array([[500, 300, 200], [520, 250, 230]])
    found = chi_square(table, DRAWS, rng())
    expected = stats.chi2_contingency(table, correction=False)
    assert found.test == "chi-square"
    assert (found.statistic, found.p_value) == pytest.approx((expected[0], expected[1]))


@pytest.mark.parametrize("table", [[[6, 3], [2, 9]], [[40, 2], [37, 3]], [[9, 1], [2, 8]]])
def test_chi_square_of_few_rows_is_an_exact_test(table):
    found = chi_square(np.array(table), DRAWS, rng())
    exact = stats.fisher_exact(table).pvalue
    assert found.test == "chi-square, permuted"
    assert found.p_value == pytest.approx(exact, rel=0.35, abs=0.02)
    assert found.statistic == pytest.approx(stats.chi2_contingency(table, correction=False)[0])


def test_kolmogorov_smirnov_is_scipys_with_no_value_below_all():
    before, after = rng(1).normal(size=800), rng(2).normal(0.2, size=700)
    after[:50] = np.nan
    found = kolmogorov_smirnov(before, after, DRAWS, rng())
    expected = stats.ks_2samp(before, np.nan_to_num(after, nan=-1e9), method="asymp")
    assert (found.statistic, found.p_value) == pytest.approx((expected[0], expected[1]))


def test_kolmogorov_smirnov_with_ties_is_permuted():
    before, after = rng(1).poisson(3, 300).astype(float), rng(2).poisson(3.6, 300).astype(float)
    found = kolmogorov_smirnov(before, after, DRAWS, rng())
    assert found.test == "Kolmogorov-Smirnov, permuted"
    assert found.statistic == pytest.approx(stats.ks_2samp(before, after)[0])

    def gap(x, y):
        return stats.ks_2samp(x, y, method="asymp").statistic

    expected = stats.permutation_test(
        (before, after), gap, n_resamples=999, alternative="greater", rng=rng(3)
    )
    assert found.p_value == pytest.approx(expected.pvalue, abs=0.02)


def test_permuted_p_values_do_not_fall_below_their_level():
    """Under no change P(p <= a) <= a, early stop included."""
    draws = rng(5)
    p_values = [
        permutation_p(float(draws.normal()), lambda count: draws.normal(size=count), 199)
        for _ in range(2_000)
    ]
    for level in (0.01, 0.05, 0.2):
        hits = sum(p <= level for p in p_values)
        assert stats.binomtest(hits, 2_000, level, alternative="greater").pvalue > 1e-3
    assert min(p_values) >= 1 / 200


def test_rare_features_weigh_more_than_common_ones():
    texts = [normalized(t) for t in (
        "please track the parcel", "please track a parcel", "please open the account",
        "please close the window", "please sing the song",
    )]  # fmt: skip
    alike = (embed(texts) @ embed(texts).T).toarray()
    assert np.diag(alike) == pytest.approx(np.ones(5))
    assert alike[0, 1] > 0.4 > alike[0, 2] > 0


def test_features_do_not_run_from_one_text_into_the_next():
    one, other = "alpha beta", "gamma delta"
    apart = embed([one, other, "epsilon"])
    turned = embed([other, one, "epsilon"])
    assert np.allclose(apart[0].toarray(), turned[1].toarray())


def test_normal_form_hides_case_blanks_and_width():
    assert normalized("  Ｈello\n WORLD ") == "hello world"


def test_novelty_is_the_cosine_to_the_nearest_of_the_first_half():
    words = [f"word{i} text{i % 7} item{i % 3}" for i in range(60)]
    vectors = embed(words)
    found = novelty(vectors, 40)
    dense = vectors.toarray()
    nearest = (dense @ dense[:20].T).max(axis=1)
    assert found.reference == pytest.approx(nearest[20:40], abs=1e-5)
    assert found.new == pytest.approx(nearest[40:], abs=1e-5)


def test_topics_is_the_unbiased_mmd_and_its_permutation_p():
    texts = [f"reset password account {i}" for i in range(30)]
    texts += [f"weather in city{i} tomorrow" if i % 3 == 0 else f"reset password user{i}"
              for i in range(24)]  # fmt: skip
    vectors = embed(texts)
    found, scores = topics(vectors, 30, DRAWS, rng())
    dense = folded(vectors, 1_024).astype(np.float64)

    def mmd(first, second):
        def mean_other(x):
            products = x @ x.T
            return (products.sum() - np.trace(products)) / (len(x) * (len(x) - 1))

        return mean_other(first) + mean_other(second) - 2 * (first @ second.T).mean()

    assert found.statistic == pytest.approx(mmd(dense[:30], dense[30:]), rel=1e-4)
    assert scores.new.mean() - scores.reference.mean() == pytest.approx(found.statistic, rel=1e-3)
    order = rng(9)
    larger = sum(
        mmd(*np.split(dense[order.permutation(54)], [30])) >= found.statistic for _ in range(999)
    )
    assert found.p_value == pytest.approx((larger + 1) / 1000, abs=0.01)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Hello", "LATIN"), ("Привет, world", "CYRILLIC"), ("你好", "CJK"), ("12 + 3", None),
     (None, None)],
)  # fmt: skip
def test_script_of_most_letters(text, expected):
    assert script(text) == expected
