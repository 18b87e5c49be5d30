from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from bench.stats.metrics import (
    METRICS,
    accuracy_of_best,
    best_rank_at_k,
    in_top,
    kendall_tau_b,
    named,
    normalised_best_rank_at_k,
    normalised_worst_rank_at_k,
    pearson_r,
    precision_at_bottom_k,
    precision_at_top_k,
    regret,
    sparse_kendall_tau,
    spearman_rho,
    worst_rank_at_k,
)
from mngnas.errors import UserError
from mngnas.ranks import midranks


def brute_force_tau_b(x, y):
    dx = np.sign(np.subtract.outer(x, x))
    dy = np.sign(np.subtract.outer(y, y))
    return (dx * dy).sum() / np.sqrt((dx**2).sum() * (dy**2).sum())


def random_tie_breaks(predicted, k):
    """Every equally likely top k."""
    last = sorted(predicted)[-k]
    certain = [i for i, p in enumerate(predicted) if p > last]
    border = [i for i, p in enumerate(predicted) if p == last]
    return [[*certain, *drawn] for drawn in combinations(border, k - len(certain))]


@pytest.fixture(params=["no ties", "some ties", "many ties"])
def pair(request):
    rng = np.random.default_rng(3)
    x = rng.normal(size=200)
    y = x + rng.normal(size=200)
    digits = {"no ties": 15, "some ties": 1, "many ties": 0}[request.param]
    return np.round(x, digits), np.round(y, digits)


def test_correlations_agree_with_brute_force_and_scipy(pair):
    assert kendall_tau_b(*pair) == pytest.approx(brute_force_tau_b(*pair), abs=1e-12)
    assert spearman_rho(*pair) == pytest.approx(stats.spearmanr(*pair).statistic, abs=1e-12)
    assert pearson_r(*pair) == pytest.approx(stats.pearsonr(*pair).statistic, abs=1e-12)


def test_tau_and_midranks_are_exactly_those_of_scipy():
    rng = np.random.default_rng(1)
    for _ in range(3000):
        n, groups = int(rng.integers(3, 150)), rng.integers(1, 40, 2)
        x, y = rng.integers(0, groups[0], n) * 0.1, rng.integers(0, groups[1], n) * 0.7
        np.testing.assert_array_equal(midranks(x), stats.rankdata(x))
        if np.ptp(x) and np.ptp(y):
            assert kendall_tau_b(x, y) == stats.kendalltau(x, y, method="asymptotic").statistic
    for n in (15, 16, 17, 31, 32, 33, 15_625):
        x, y = rng.normal(size=n), rng.normal(size=n)
        assert kendall_tau_b(x, y) == stats.kendalltau(x, y, method="asymptotic").statistic


def test_tau_b_of_ties_worked_by_hand():
    # pairs: 01 tied in x; 02 and 12 concordant; 03, 13 concordant; 23 tied in y: C=4, P=6, T=1 and 1
    assert kendall_tau_b([1, 1, 2, 3], [1, 2, 3, 3]) == pytest.approx(4 / 5)


@pytest.mark.parametrize("metric", [kendall_tau_b, spearman_rho, pearson_r])
def test_two_architectures(metric):
    assert metric([1, 2], [0.5, 0.6]) == pytest.approx(1)
    assert metric([1, 2], [0.6, 0.5]) == pytest.approx(-1)


def test_perfect_and_reversed_order():
    x = np.arange(50.0)
    for metric in (kendall_tau_b, spearman_rho, pearson_r):
        assert metric(x, x) == pytest.approx(1)
        assert metric(x, -x) == pytest.approx(-1)


def test_pearson_of_extreme_scales_does_not_overflow():
    x = np.array([1.0, 2.0, 4.0])
    assert pearson_r(x * 1e300, x * 1e-300) == pytest.approx(1)


@pytest.mark.parametrize("metric", [kendall_tau_b, spearman_rho, pearson_r, sparse_kendall_tau])
@pytest.mark.parametrize("x", [[1.0, 1.0, 1.0], [2.0]])
def test_a_constant_input_gives_nan(metric, x):
    assert np.isnan(metric(x, np.arange(len(x))))
    assert np.isnan(metric(np.arange(len(x)), x))


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_numbers_are_errors(metric, bad):
    values = np.arange(100.0)
    spoilt = values.copy()
    spoilt[7] = bad
    with pytest.raises(UserError, match=r"predicted score -?(nan|inf) at position 7"):
        metric.function(spoilt, values)
    with pytest.raises(UserError, match=r"true score -?(nan|inf) at position 7"):
        metric.function(values, spoilt)


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
@pytest.mark.parametrize(("x", "y"), [([1, 2], [1, 2, 3]), ([], []), ([[1, 2]], [[1, 2]])])
def test_shapes_are_checked(metric, x, y):
    with pytest.raises(UserError, match="two equally long lists"):
        metric.function(x, y)


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_no_metric_depends_on_the_order_of_the_input(metric):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 8, 300), rng.integers(0, 40, 300) / 40
    shuffled = rng.permutation(300)
    np.testing.assert_allclose(metric.function(x[shuffled], y[shuffled]), metric.function(x, y), atol=1e-12)


def test_direction_of_every_metric():
    y = np.random.default_rng(1).permutation(400) / 400
    for metric in METRICS.values():
        good, bad = metric.function(y, y), metric.function(-y, y)
        assert (good > bad) == metric.higher_is_better, metric.name


def test_in_top_keeps_ties_at_the_border():
    y = np.array([0.9, 0.8, 0.7, 0.7, 0.7, 0.1, 0.1, 0.1, 0.1, 0.1])
    x = np.arange(10)
    assert in_top(kendall_tau_b, 0.3).members(y).sum() == 5
    assert in_top(kendall_tau_b, 0.2).members(y).sum() == 2
    assert in_top(kendall_tau_b, 0.3)(x, y) == kendall_tau_b(x[:5], y[:5])


def test_in_top_of_everything_is_the_metric(pair):
    assert in_top(spearman_rho, 1.0)(*pair) == spearman_rho(*pair)


def test_in_top_has_the_stated_size():
    y = np.random.default_rng(0).permutation(15625)
    assert [in_top(kendall_tau_b, f).members(y).sum() for f in (0.5, 0.1, 0.05, 0.01)] == [7813, 1563, 781, 156]
    with pytest.raises(UserError, match=r"outside 0\.\.1"):
        in_top(kendall_tau_b, 1.5)


def test_precision_worked_by_hand():
    y = [0.5, 0.6, 0.7, 0.8, 0.9]
    x = [1, 5, 2, 4, 3]  # predicted order: 1, 3, 4, 2, 0
    assert precision_at_top_k(x, y, 1) == 0
    assert precision_at_top_k(x, y, 2) == 0.5
    assert precision_at_top_k(x, y, 0.4) == 0.5
    assert precision_at_top_k(x, y, 3) == pytest.approx(2 / 3)
    assert precision_at_bottom_k(x, y, 1) == 1
    assert precision_at_bottom_k(x, y, 2) == 0.5
    assert precision_at_top_k(x, y, 1.0) == 1


def test_a_constant_predictor_has_the_precision_of_chance():
    y = np.random.default_rng(0).permutation(1000)
    assert precision_at_top_k(np.zeros(1000), y, 50) == pytest.approx(0.05)
    assert best_rank_at_k(np.zeros(1000), y, 10) == pytest.approx(1001 / 11)  # expected minimum of 10 of 1..1000
    assert worst_rank_at_k(np.zeros(1000), y, 10) == pytest.approx(10010 / 11)


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 7])
def test_ties_are_broken_at_random_in_expectation(k):
    rng = np.random.default_rng(k)
    for _ in range(20):
        x, y = rng.integers(0, 3, 7), rng.integers(0, 5, 7)
        ranks = np.array([1 + sum(y > value) for value in y])
        hit = y >= np.sort(y)[-k]
        tops = random_tie_breaks(x, k)
        assert precision_at_top_k(x, y, k) == pytest.approx(np.mean([hit[top].mean() for top in tops]))
        assert best_rank_at_k(x, y, k) == pytest.approx(np.mean([ranks[top].min() for top in tops]))
        assert worst_rank_at_k(x, y, k) == pytest.approx(np.mean([ranks[top].max() for top in tops]))


def test_ranks_worked_by_hand_and_normalised():
    y = [0.5, 0.6, 0.7, 0.8, 0.9]
    x = [1, 5, 2, 4, 3]
    assert [best_rank_at_k(x, y, k) for k in (1, 2, 3)] == [4, 2, 1]
    assert [worst_rank_at_k(x, y, k) for k in (1, 2, 5)] == [4, 4, 5]
    assert normalised_best_rank_at_k(x, y, 2) == pytest.approx(0.4)
    assert normalised_worst_rank_at_k(x, y, 5) == 1


@pytest.mark.parametrize("metric", [precision_at_top_k, precision_at_bottom_k, best_rank_at_k, worst_rank_at_k])
def test_k_is_checked(metric):
    assert np.isnan(metric([1, 2, 3], [1, 2, 3], 4))
    with pytest.raises(UserError, match="k = 0 is not a positive count"):
        metric([1, 2, 3], [1, 2, 3], 0)
    with pytest.raises(UserError, match=r"k = 1.5 is not a fraction"):
        metric([1, 2, 3], [1, 2, 3], 1.5)


def test_sparse_tau_forgets_differences_below_a_tenth_of_a_percent():
    y = [0.9001, 0.9002, 0.91, 0.92]
    assert sparse_kendall_tau([2, 1, 3, 4], y) == pytest.approx(5 / np.sqrt(5 * 6))
    assert sparse_kendall_tau([1, 2, 3, 4], y) == sparse_kendall_tau([2, 1, 3, 4], y)
    assert kendall_tau_b([2, 1, 3, 4], y) == pytest.approx(4 / 6)


def test_regret_and_accuracy_of_best():
    assert regret([1, 3, 2], [0.7, 0.8, 0.9]) == pytest.approx(0.1)
    assert regret([1, 2, 3], [0.7, 0.8, 0.9]) == 0
    assert accuracy_of_best([3, 3, 1], [0.7, 0.8, 0.9]) == pytest.approx(0.75)
    assert regret([3, 3, 1], [0.7, 0.8, 0.9]) == pytest.approx(0.15)


def test_regret_is_never_negative():
    y = np.full(7, 0.943733)
    assert regret(np.zeros(7), y) == 0


def test_registry():
    assert all(metric.name == name for name, metric in METRICS.items())
    assert [metric.name for metric in named(["regret", "kendall_tau_b"])] == ["regret", "kendall_tau_b"]
    with pytest.raises(UserError, match="unknown metric 'kendal_tau'; did you mean"):
        named(["kendal_tau"])


def test_tau_of_the_whole_space_is_fast(benchmark):
    rng = np.random.default_rng(0)
    benchmark(kendall_tau_b, rng.normal(size=15625), rng.normal(size=15625))
