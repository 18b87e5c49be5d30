import numpy as np
import pytest

from bench.stats import intervals
from bench.stats.bootstrap_kernels import kernels, linear_in_top
from bench.stats.influence import first_order, has_first_order
from bench.stats.intervals import bootstrap_means
from bench.stats.inversions import larger_before
from bench.stats.metrics import METRICS, in_top, kendall_tau_b, named
from bench.stats.weighted_scores import Weights

WHOLE = named(("kendall_tau_b", "spearman_rho"))
TOP = METRICS["kendall_tau_b_top_10_percent"]
LINEAR = (*WHOLE, TOP)


def seeds_of_a_method(n, seeds, rng, digits=2):
    true = rng.normal(size=n)
    shared = true + 0.5 * rng.normal(size=n)
    return [(np.round(shared + rng.normal(size=n), digits), true) for _ in range(seeds)]


def without_first_order(monkeypatch):
    monkeypatch.setattr(intervals, "MANY_PAIRS", 10**9)


@pytest.mark.parametrize("n", [1, 2, 3, 10, 65, 300, 70_000])
def test_larger_numbers_before(n):
    order = np.random.default_rng(n).permutation(n)
    found = larger_before(order)
    some = range(n) if n < 1000 else range(0, n, 7001)
    assert [found[place] for place in some] == [(order[:place] > order[place]).sum() for place in some]


@pytest.mark.parametrize("metric", WHOLE)
@pytest.mark.parametrize("digits", [0, 1, 9])
def test_influence_is_the_derivative_by_weight(metric, digits):
    rng = np.random.default_rng(0)
    true = np.round(rng.normal(size=40), digits)
    predicted = np.round(true + rng.normal(size=40), digits)
    found = first_order(metric.function, predicted, true)
    assert found.value == metric.function(predicted, true)
    step = 1e-3  # weights are whole numbers for the kernel, and only their ratios count
    weights = np.ones((40, 41)) / step
    weights[:, :40] += np.eye(40)
    (values,) = kernels([metric.function], predicted, true)(weights)
    assert found.influence == pytest.approx((values[:40] - values[40]) / step, abs=2e-3 * np.abs(found.influence).max())
    assert found.influence.sum() == pytest.approx(0, abs=1e-12)


def test_first_order_of_a_top_finds_its_border_anew():
    rng = np.random.default_rng(0)
    true, slope, function = np.round(rng.normal(size=50), 1), rng.normal(size=50), in_top(kendall_tau_b, 0.2)
    drawn = rng.integers(50, size=(30, 50))
    counts = np.array([np.bincount(row, minlength=50) for row in drawn], np.float32).T
    expected = [slope[row][function.members(true[row])].sum() for row in drawn]
    assert linear_in_top(function, slope, true)(Weights(counts)) == pytest.approx(expected)


def test_influence_in_a_top_is_the_derivative_by_the_weight_of_its_members():
    rng = np.random.default_rng(3)
    true = rng.normal(size=200)
    predicted = np.round(true + rng.normal(size=200), 1)
    found, inside = first_order(TOP.function, predicted, true), TOP.function.members(true)
    assert found.value == TOP.function(predicted, true)
    alone = first_order(kendall_tau_b, predicted[inside], true[inside])
    assert found.influence[inside] == pytest.approx(alone.influence)
    step = 1e-3
    for outsider in np.flatnonzero(~inside)[:5]:
        some = np.append(np.flatnonzero(inside), outsider)
        weights = np.full((len(some), 2), 1 / step)
        weights[-1] = 0, 1
        (values,) = kernels([kendall_tau_b], predicted[some], true[some])(weights)
        assert found.influence[outsider] == pytest.approx((values[1] - values[0]) / step, abs=1e-3)


@pytest.mark.parametrize("metric", LINEAR)
def test_a_constant_score_has_no_first_order(metric):
    found = first_order(metric.function, np.zeros(50), np.arange(50.0))
    assert np.isnan([found.value, *found.influence]).all()


def test_not_every_metric_has_a_first_order():
    assert not has_first_order(METRICS["regret"].function)
    assert not has_first_order(METRICS["spearman_rho_top_10_percent"].function)


def test_means_of_many_seeds_have_nearly_the_interval_of_the_full_bootstrap(monkeypatch):
    pairs = seeds_of_a_method(1500, 25, np.random.default_rng(1))
    near = bootstrap_means(pairs, LINEAR, resamples=1000, rng=np.random.default_rng(0))
    without_first_order(monkeypatch)
    full = bootstrap_means(pairs, LINEAR, resamples=1000, rng=np.random.default_rng(0))
    for metric in LINEAR:
        a, b = near[metric.name], full[metric.name]
        width = b.ci_high - b.ci_low
        assert (a.value, a.n) == (b.value, b.n)
        assert a.ci_high - a.ci_low == pytest.approx(width, rel=0.06)
        assert (a.ci_low, a.ci_high) == pytest.approx((b.ci_low, b.ci_high), abs=0.06 * width)
        assert a.ci_low != b.ci_low  # it is another way


def test_few_seeds_and_small_tops_are_resampled_in_full(monkeypatch):
    few = seeds_of_a_method(150, intervals.MANY_PAIRS, np.random.default_rng(1))
    small = seeds_of_a_method(150, intervals.MANY_PAIRS + 1, np.random.default_rng(1))

    def found():
        rng = np.random.default_rng(0)
        return bootstrap_means(few, LINEAR, resamples=50, rng=rng), bootstrap_means(small, [TOP], resamples=50, rng=rng)

    before = found()
    without_first_order(monkeypatch)
    assert found() == before


def test_seeds_with_different_architectures(monkeypatch):
    rng = np.random.default_rng(2)
    pairs = [
        (np.where(rng.random(600) < 0.2, np.nan, x), y)
        for x, y in seeds_of_a_method(600, intervals.MANY_PAIRS + 1, rng)
    ]
    near = bootstrap_means(pairs, WHOLE, resamples=400, rng=np.random.default_rng(0))
    without_first_order(monkeypatch)
    full = bootstrap_means(pairs, WHOLE, resamples=400, rng=np.random.default_rng(0))
    for name, b in full.items():
        width = b.ci_high - b.ci_low
        assert (near[name].ci_low, near[name].ci_high) == pytest.approx((b.ci_low, b.ci_high), abs=0.06 * width)


def test_coverage_to_first_order_is_that_of_the_full_bootstrap(monkeypatch):
    """Of bivariate normal scores, whose tau in the population is known; a pair is a seed, so that one will do."""
    n, rho, simulations, metric = 150, 0.6, 300, METRICS["kendall_tau_b"]
    truth, hits = 2 / np.pi * np.arcsin(rho), {0: 0, 1: 0}
    for number in range(simulations):
        rng = np.random.default_rng(number)
        x = rng.normal(size=n)
        y = rho * x + np.sqrt(1 - rho**2) * rng.normal(size=n)
        for many in hits:
            monkeypatch.setattr(intervals, "MANY_PAIRS", many)
            found = bootstrap_means([(x, y)], [metric], resamples=300, rng=np.random.default_rng(number))[metric.name]
            hits[many] += found.ci_low <= truth <= found.ci_high
    assert hits[0] == pytest.approx(0.94 * simulations, abs=0.03 * simulations)
    assert hits[0] == pytest.approx(hits[1], abs=0.02 * simulations)
