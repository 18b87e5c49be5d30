import time
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from bench.stats.intervals import (
    Estimate,
    SeedSpread,
    bootstrap,
    bootstrap_difference,
    bootstrap_each,
    bootstrap_means,
    paired_difference,
    seed_spread,
)
from bench.stats.metrics import METRICS, kendall_tau_b, named
from mngnas.errors import UserError

TAU, RHO, R, REGRET = named(["kendall_tau_b", "spearman_rho", "pearson_r", "regret"])


def bootstrap_mean(pairs, metric, **options):
    """Of one metric."""
    return bootstrap_means(pairs, [metric], **options)[metric.name]


def generator(seed=0):
    return np.random.default_rng(seed)


def correlated(rng, n, rho=0.6):
    x = rng.normal(size=n)
    return x, rho * x + np.sqrt(1 - rho**2) * rng.normal(size=n)


# Coverage: the population value is known for a bivariate normal, so the intervals can be held to their level.

SIMULATIONS, RHO_POPULATION = 400, 0.6
TRUTH = {
    "kendall_tau_b": 2 / np.pi * np.arcsin(RHO_POPULATION),
    "spearman_rho": 6 / np.pi * np.arcsin(RHO_POPULATION / 2),
    "pearson_r": RHO_POPULATION,
}


@pytest.fixture(scope="module")
def simulated():
    rng = generator(11)
    return [bootstrap(*correlated(rng, 150), [TAU, RHO, R], resamples=400, rng=rng) for _ in range(SIMULATIONS)]


def covers_within_binomial_error(hits, level):
    """A central 99.9 % region of the number of hits if the coverage were exactly `level`."""
    low, high = stats.binom.interval(0.999, len(hits), level)
    return low <= sum(hits) <= high


@pytest.mark.parametrize("name", TRUTH)
def test_coverage(simulated, name):
    hits = [s[name].ci_low <= TRUTH[name] <= s[name].ci_high for s in simulated]
    assert covers_within_binomial_error(hits, 0.95), np.mean(hits)


@pytest.mark.parametrize("name", TRUTH)
@pytest.mark.parametrize("factor", [0.75, 1.4])
def test_the_coverage_test_sees_wrong_intervals(simulated, name, factor):
    hits = []
    for s in simulated:
        middle, half = (s[name].ci_high + s[name].ci_low) / 2, (s[name].ci_high - s[name].ci_low) / 2
        hits.append(abs(TRUTH[name] - middle) <= factor * half)
    assert not covers_within_binomial_error(hits, 0.95)


def test_coverage_of_the_difference():
    rng, hits = generator(5), []
    for _ in range(300):
        a, y = correlated(rng, 150, 0.7)
        b = a + rng.normal(size=150)  # correlation with y: 0.7 / sqrt(2)
        truth = 2 / np.pi * (np.arcsin(0.7) - np.arcsin(0.7 / np.sqrt(2)))
        found = bootstrap_difference(a, b, y, TAU, resamples=300, rng=rng)
        hits.append(found.ci_low <= truth <= found.ci_high)
    assert covers_within_binomial_error(hits, 0.95), np.mean(hits)


# The bootstrap is the plain one, only faster.


@pytest.mark.parametrize("name", METRICS)
def test_equals_the_plain_percentile_bootstrap(name):
    x, y = correlated(generator(2), 400)
    x, y = np.round(x, 1), np.round(0.9 + y / 50, 3)
    rng, function = generator(7), METRICS[name].function
    plain = [function(x[rows], y[rows]) for rows in rng.integers(400, size=(60, 400))]
    plain = [value for value in plain if np.isfinite(value)]
    found = bootstrap(x, y, [METRICS[name]], resamples=60, rng=generator(7))[name]
    assert found.value == pytest.approx(function(x, y), nan_ok=True)
    if np.isfinite(found.ci_low):
        assert (found.ci_low, found.ci_high) == pytest.approx(np.quantile(plain, [0.025, 0.975]), abs=1e-9)
    else:
        assert len(plain) < 0.95 * 60


def test_the_same_seed_gives_the_same_bits():
    x, y = correlated(generator(), 5000)
    first, second = (bootstrap(x, y, [TAU, REGRET], resamples=250, rng=generator(3)) for _ in range(2))
    assert first == second


def test_chunks_do_not_matter(monkeypatch):
    x, y = correlated(generator(), 300)
    whole = bootstrap(x, y, [TAU, REGRET], resamples=100, rng=generator(3))
    monkeypatch.setattr("bench.stats.intervals._CHUNK_NUMBERS", 300 * 7)
    assert bootstrap(x, y, [TAU, REGRET], resamples=100, rng=generator(3)) == whole


def test_n_is_what_the_metric_looks_at():
    x, y = correlated(generator(), 200)
    found = bootstrap(x, y, named(["kendall_tau_b", "kendall_tau_b_top_10_percent"]), resamples=10, rng=generator())
    assert [estimate.n for estimate in found.values()] == [200, 20]
    assert list(found) == ["kendall_tau_b", "kendall_tau_b_top_10_percent"]


def test_higher_levels_are_wider():
    x, y = correlated(generator(), 200)
    narrow, wide = (bootstrap(x, y, [TAU], level=level, rng=generator())["kendall_tau_b"] for level in (0.8, 0.99))
    assert wide.ci_low < narrow.ci_low < narrow.value < narrow.ci_high < wide.ci_high
    assert (narrow.level, wide.level) == (0.8, 0.99)


def test_an_undefined_value_has_an_undefined_interval():
    found = bootstrap(np.zeros(20), np.arange(20), [TAU], resamples=50, rng=generator())["kendall_tau_b"]
    assert np.isnan([found.value, found.ci_low, found.ci_high]).all()
    one_differs = bootstrap([1, 0, 0, 0], [1, 2, 3, 4], [TAU], resamples=200, rng=generator())["kendall_tau_b"]
    assert np.isfinite(one_differs.value)  # but a third of the resamples lack the one that differs
    assert np.isnan([one_differs.ci_low, one_differs.ci_high]).all()


def test_the_whole_space_takes_seconds_at_most():
    x, y = correlated(generator(), 15625)
    started = time.process_time()
    bootstrap(x, y, [TAU], resamples=200, rng=generator())
    assert time.process_time() - started < 5  # 0.15 s where it was written: this notices a lost order of magnitude


def test_bootstrap_of_the_whole_space(benchmark):
    x, y = correlated(generator(), 15625)
    benchmark.pedantic(bootstrap, (x, y, [TAU]), {"resamples": 1000, "rng": generator()}, rounds=3, warmup_rounds=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"resamples": 0}, "resamples 0 is not a positive count"),
        ({"level": 95}, "level 95 is not between 0 and 1"),
        ({"true": [1, 2, np.nan]}, "true score nan at position 2"),
        ({"true": [1, 2]}, "two equally long lists"),
    ],
)
def test_errors(change, message):
    arguments = {"predicted": [1, 2, 3], "true": [1, 2, 3], "metrics": [TAU], "rng": generator()} | change
    with pytest.raises(UserError, match=message):
        bootstrap(**arguments)


# Differences and means over architectures.


def test_the_paired_difference_knows_what_two_predictors_share():
    a, y = correlated(generator(), 500)
    b = a + 0.1 * generator(1).normal(size=500)
    difference = bootstrap_difference(a, b, y, TAU, rng=generator())
    single = bootstrap(a, y, [TAU], rng=generator())["kendall_tau_b"]
    assert difference.value == pytest.approx(kendall_tau_b(a, y) - kendall_tau_b(b, y))
    assert difference.ci_high - difference.ci_low < (single.ci_high - single.ci_low) / 3


def test_a_predictor_does_not_differ_from_itself():
    a, y = correlated(generator(), 50)
    assert bootstrap_difference(a, np.exp(a), y, TAU, resamples=50, rng=generator()) == Estimate(0, 0, 0, 50)


def test_mean_of_one_pair_is_the_bootstrap():
    x, y = correlated(generator(), 100)
    assert bootstrap_mean([(x, y)], TAU, rng=generator(4)) == bootstrap(x, y, [TAU], rng=generator(4))["kendall_tau_b"]


def test_each_predictor_has_its_own_bootstrap_over_the_same_resamples():
    x, y = correlated(generator(), 200)
    found = bootstrap_each([x, -x, np.round(x)], y, [TAU, REGRET], resamples=50, rng=generator(4))
    for predicted, one in zip([x, -x, np.round(x)], found, strict=True):
        assert one == bootstrap(predicted, y, [TAU, REGRET], resamples=50, rng=generator(4))


def test_means_of_several_metrics_are_over_the_same_resamples():
    x, y = correlated(generator(), 100)
    pairs = [(x, y), (x, np.where(x < 0, np.nan, y))]
    both = bootstrap_means(pairs, [TAU, RHO], resamples=50, rng=generator(4))
    assert both == {m.name: bootstrap_mean(pairs, m, resamples=50, rng=generator(4)) for m in (TAU, RHO)}


def test_a_metric_without_a_kernel_is_called_on_each_resample():
    x, y = correlated(generator(), 60)
    most = replace(REGRET, name="most", function=lambda a, b: float(np.max(b) - np.min(a)))
    found = bootstrap(x, y, [TAU, most, RHO], resamples=40, rng=generator(4))
    rows = generator(4).integers(60, size=(40, 60))
    expected = [y[r].max() - x[r].min() for r in rows]
    assert (found["most"].ci_low, found["most"].ci_high) == pytest.approx(np.quantile(expected, [0.025, 0.975]))
    assert found["kendall_tau_b"] == bootstrap(x, y, [TAU], resamples=40, rng=generator(4))["kendall_tau_b"]
    assert found["spearman_rho"] == bootstrap(x, y, [RHO], resamples=40, rng=generator(4))["spearman_rho"]


def test_mean_over_pairs_leaves_out_what_is_missing():
    x, y = correlated(generator(), 100)
    z = -y.copy()
    z[:30] = np.nan
    found = bootstrap_mean([(x, y), (x, z)], TAU, resamples=100, rng=generator(4))
    assert found.value == pytest.approx((kendall_tau_b(x, y) + kendall_tau_b(x[30:], z[30:])) / 2)
    assert found.ci_low < found.value < found.ci_high
    assert found.n == 100


# Seeds.


def test_seed_spread_agrees_with_scipy():
    values = [0.59, 0.61, 0.58, 0.62]
    found = seed_spread(values)
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert found == SeedSpread(np.mean(values), np.std(values, ddof=1), pytest.approx(low), pytest.approx(high), 4)


def test_one_seed_has_no_spread():
    found = seed_spread([0.6])
    assert (found.mean, found.n) == (0.6, 1)
    assert np.isnan([found.sd, found.ci_low, found.ci_high]).all()


@pytest.mark.parametrize("values", [[], [0.5, np.nan], [[0.5]]])
def test_seed_spread_refuses_what_is_no_list_of_numbers(values):
    with pytest.raises(UserError, match="one finite number per seed"):
        seed_spread(values)


def test_coverage_of_the_t_interval_at_three_seeds():
    rng = generator(8)
    spreads = [seed_spread(rng.normal(size=3)) for _ in range(2000)]
    assert covers_within_binomial_error([s.ci_low <= 0 <= s.ci_high for s in spreads], 0.95)


def test_paired_difference_agrees_with_scipy():
    a, b = [0.61, 0.63, 0.60, 0.66], [0.60, 0.60, 0.59, 0.61]
    found, expected = paired_difference(a, b), stats.ttest_rel(a, b).confidence_interval(0.95)
    assert found == Estimate(pytest.approx(0.025), pytest.approx(expected.low), pytest.approx(expected.high), 4)
    with pytest.raises(UserError, match="not 4 and 3"):
        paired_difference(a, b[:3])


def test_paired_difference_of_one_seed():
    found = paired_difference([0.6], [0.5])
    assert found.value == pytest.approx(0.1)
    assert np.isnan([found.ci_low, found.ci_high]).all()
