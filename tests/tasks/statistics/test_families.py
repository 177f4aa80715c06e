"""Corrections for many tests, against statsmodels."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from tasks.statistics.families import false_discovery, holm

_P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@settings(max_examples=20)  # statsmodels collects all garbage on every call
@given(_P_VALUES)
def test_holm_is_that_of_statsmodels(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1].tolist())


@given(_P_VALUES)
def test_false_discovery_is_that_of_statsmodels(p_values: list[float]) -> None:
    expected = multipletests(p_values, method="fdr_bh")[1].tolist()
    assert false_discovery(p_values) == pytest.approx(expected)


def test_no_test_is_no_family() -> None:
    assert holm([]) == []
