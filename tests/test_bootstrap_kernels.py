import numpy as np
import pytest

from bench.stats.bootstrap_kernels import has_kernel, kernel
from bench.stats.metrics import METRICS, in_top, kendall_tau_b, pearson_r, regret, spearman_rho

WITH_KERNEL = {name: metric for name, metric in METRICS.items() if has_kernel(metric.function)}


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
    np.testing.assert_allclose(kernel(function, x, y)(weights), expected, atol=1e-11)


@pytest.mark.parametrize("ties", ["none", "predicted", "true", "both", "one group"])
@pytest.mark.parametrize("name", WITH_KERNEL)
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


def test_which_metrics_have_kernels():
    assert not has_kernel(regret)
    assert not has_kernel(in_top(regret, 0.5))
    assert {"kendall_tau_b", "sparse_kendall_tau", "pearson_r_top_1_percent"} <= set(WITH_KERNEL)
