import gc
import weakref
from functools import partial

import numpy as np
import pytest

from bench.stats.bootstrap_kernels import has_kernel, kernel, kernels
from bench.stats.metrics import (
    METRICS,
    accuracy_of_best,
    best_rank_at_k,
    in_top,
    kendall_tau_b,
    pearson_r,
    precision_at_bottom_k,
    precision_at_top_k,
    regret,
    spearman_rho,
    worst_rank_at_k,
)
from bench.stats.weighted_scores import Column, Scores, Weighted, running_sum


def scores(rng, n, ties):
    x = rng.normal(size=n)
    y = 0.8 + 0.03 * (x + rng.normal(size=n))
    return {
        "none": (x, y),
        "predicted": (np.round(x), y),
        "true": (x, np.round(y, 2)),
        "both": (np.round(x, 1), np.round(y, 2)),
        "one group": (np.where(x < 0.5, 0, x), np.where(y < 0.82, 0.1, y)),
    }[ties]


def resample_counts(rng, n, r):
    return np.stack([np.bincount(rng.integers(n, size=n), minlength=n) for _ in range(r)], axis=1).astype(np.float32)


def assert_equals_repetition(function, x, y, weights):
    repeated = [np.repeat(np.arange(len(x)), column.astype(int)) for column in weights.T]
    expected = [function(x[rows], y[rows]) for rows in repeated]
    np.testing.assert_allclose(kernel(function, x, y)(weights), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("ties", ["none", "predicted", "true", "both", "one group"])
@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("n", [100, 257])
def test_weights_are_repetitions(name, ties, n):
    rng = np.random.default_rng(n)
    assert_equals_repetition(METRICS[name].function, *scores(rng, n, ties), resample_counts(rng, n, 20))


@pytest.mark.parametrize("function", [kendall_tau_b, spearman_rho, pearson_r])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 9, 10])
def test_small_inputs_where_resamples_become_constant(function, n):
    rng = np.random.default_rng(n)
    for _ in range(30):
        x, y = rng.integers(0, 3, n) * 0.7, rng.integers(0, 4, n) * 0.3
        assert_equals_repetition(function, x, y, resample_counts(rng, n, 40))


@pytest.mark.parametrize("function", [kendall_tau_b, spearman_rho, pearson_r])
def test_any_whole_weights_will_do(function):
    rng = np.random.default_rng(0)
    weights = rng.integers(0, 9, (60, 30)).astype(np.float32)
    assert_equals_repetition(function, *scores(rng, 60, "both"), weights)


@pytest.mark.parametrize("ties", ["none", "one group"])
def test_the_whole_space(ties):
    rng = np.random.default_rng(5)
    x, y = scores(rng, 15625, ties)
    for function in (kendall_tau_b, spearman_rho, pearson_r, in_top(kendall_tau_b, 0.01), in_top(spearman_rho, 0.5)):
        assert_equals_repetition(function, x, y, resample_counts(rng, 15625, 2))


def test_beyond_what_float32_counts_exactly():
    rng = np.random.default_rng(5)
    x, y = scores(rng, 30000, "both")
    assert_equals_repetition(kendall_tau_b, x, y, resample_counts(rng, 30000, 2))


def test_a_lopsided_resample_reaches_below_the_rows_kept_for_the_top():
    n = 2000
    weights = np.zeros((n, 2), np.float32)
    weights[:, 0] = 1
    weights[:1000, 1] = 2  # the lower half by the true accuracy, twice
    y = np.arange(n) / n
    x = np.random.default_rng(0).normal(size=n)
    assert_equals_repetition(in_top(kendall_tau_b, 0.1), x, y, weights)


SELECTIONS = [
    *(partial(f, k=k) for f in (precision_at_top_k, precision_at_bottom_k) for k in (1, 3, 0.3, 1.0)),
    *(partial(f, k=k) for f in (best_rank_at_k, worst_rank_at_k) for k in (1, 2, 5, 0.5)),
    *(accuracy_of_best, regret),
]


@pytest.mark.parametrize("function", SELECTIONS, ids=map(str, range(len(SELECTIONS))))
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 9, 10, 70])
def test_selections_from_small_inputs_with_many_ties(function, n):
    rng = np.random.default_rng(n)
    for groups in (1, 2, 3, n + 1):
        x, y = rng.integers(0, groups, n) * 0.7, rng.integers(0, 4, n) * 0.3
        assert_equals_repetition(function, x, y, resample_counts(rng, n, 40))


def test_more_places_than_architectures():
    weights = resample_counts(np.random.default_rng(0), 5, 3)
    for function in (precision_at_top_k, precision_at_bottom_k, best_rank_at_k, worst_rank_at_k):
        assert np.isnan(kernel(partial(function, k=6), np.arange(5.0), np.arange(5.0))(weights)).all()


def test_heavy_weights_leave_float32():
    """One architecture has nearly all the weight: sums and squares are far above 2**24."""
    rng = np.random.default_rng(0)
    x, y = scores(rng, 40, "both")
    weights = np.ones((40, 3), np.float32)
    weights[5, 0] = weights[7, 1] = 6000
    for function in (kendall_tau_b, spearman_rho):
        assert_equals_repetition(function, x, y, weights)


def test_kernels_share_their_work_and_keep_their_order():
    rng = np.random.default_rng(0)
    x, y = scores(rng, 150, "both")
    weights = resample_counts(rng, 150, 10)
    names = [name for name in METRICS if name != "pearson_r"]
    together = kernels([METRICS[name].function for name in names], x, y)(weights)
    for name, values in zip(names, together, strict=True):
        np.testing.assert_array_equal(values, kernel(METRICS[name].function, x, y)(weights))


def test_weights_are_freed_at_once():
    """No cycle keeps them alive until the next garbage collection."""
    x, y = scores(np.random.default_rng(0), 50, "both")
    weighted = Weighted(Scores(x, y), np.ones((50, 2), np.float32))
    gc.disable()
    try:
        kept = weakref.ref(weighted.true)
        assert isinstance(kept(), Column)
        del weighted
        assert kept() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("n", [1, 7, 64, 65, 100, 1000])
def test_running_sum(n):
    values = np.random.default_rng(n).integers(0, 9, (n, 3)).astype(np.float32)
    np.testing.assert_array_equal(running_sum(values), np.cumsum(values, axis=0))


def test_which_metrics_have_kernels():
    assert all(has_kernel(metric.function) for metric in METRICS.values())
    assert not has_kernel(in_top(regret, 0.5))
    assert not has_kernel(max)
