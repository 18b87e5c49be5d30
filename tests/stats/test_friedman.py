"""Friedman's test and Nemenyi's critical difference against the literature, scipy and hand computation."""

import math

import numpy as np
import pytest
from scipy.stats import friedmanchisquare

from bench.stats.ranks import critical_difference, friedman, not_told_apart
from mngnas.errors import UserError


@pytest.mark.parametrize(("k", "q"), [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (10, 3.164)])
def test_critical_values_are_those_of_the_paper(k, q):
    """Demsar 2006, table 5 (a), level .05."""
    assert critical_difference(k, 1) / math.sqrt(k * (k + 1) / 6) == pytest.approx(q, abs=2e-3)


def test_the_example_of_the_paper():
    """Demsar 2006, section 3.2.3: four classifiers, 14 data sets."""
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=5e-3)


def test_by_hand():
    """Rank sums 3, 6, 9 of three blocks: 12 / (3 * 3 * 4) * (9 + 36 + 81) - 3 * 3 * 4 = 6."""
    found = friedman([[3, 2, 1], [0.9, 0.5, 0.2], [5, 4, 1]])
    assert found.average_ranks == (1, 2, 3)
    assert found.statistic == pytest.approx(6)
    assert found.p_value == pytest.approx(math.exp(-3))  # chi-squared of two degrees of freedom


@pytest.mark.parametrize("digits", [1, 6])
def test_as_scipy_also_with_ties(digits):
    values = np.random.default_rng(0).normal(size=(8, 5)).round(digits)
    found = friedman(values)
    expected = friedmanchisquare(*values.T)
    assert (found.statistic, found.p_value) == pytest.approx((expected.statistic, expected.pvalue))


def test_all_alike_is_undefined():
    found = friedman(np.ones((4, 3)))
    assert found.average_ranks == (2, 2, 2)
    assert math.isnan(found.p_value)


@pytest.mark.parametrize(
    ("ranks", "critical", "runs"),
    [
        ([1, 2, 3, 4], 0.5, []),
        ([1, 2, 3, 4], 1.5, [(0, 1), (1, 2), (2, 3)]),
        ([1, 2, 3, 4], 9, [(0, 3)]),
        ([4, 1, 1.2, 3.9], 1, [(0, 1), (2, 3)]),
        ([1, 2], 1, []),  # closer than, not as close as
        ([1, 1.4, 1.8, 3], 1, [(0, 2)]),
    ],
)
def test_what_is_not_told_apart(ranks, critical, runs):
    assert not_told_apart(ranks, critical) == runs


@pytest.mark.parametrize("values", [[[1, 2, 3]], [[1, 2], [1, 2]], [1, 2, 3], [[1, 2, math.nan], [1, 2, 3]]])
def test_too_little_is_a_mistake(values):
    with pytest.raises(UserError, match="two blocks and three methods"):
        friedman(values)
