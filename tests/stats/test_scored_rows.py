"""Infinite scores, reference rows of the scored architectures alone, and percentages that the registry lacks."""

import numpy as np
import pytest

from bench.stats.evaluation import evaluate, reference_rows
from bench.stats.metrics import METRICS, kendall_tau_b, named, precision_at_top_k
from mngnas.errors import UserError
from mngnas.spaces.topology import TOPOLOGY

RANKS = [metric for name, metric in METRICS.items() if not name.startswith("pearson")]


def generator():
    return np.random.default_rng(3)


def run(index, score, true, metrics):
    subsets = {"connected": TOPOLOGY.connected, "live": TOPOLOGY.is_canonical}
    return evaluate(index, score, true, metrics=metrics, **subsets, resamples=20, rng=generator())


def test_infinities_rank_first_and_last():
    rng = generator()
    true = rng.integers(500, 900, TOPOLOGY.n_arch) / 1000
    index = rng.permutation(TOPOLOGY.n_arch)[:400]
    score = rng.normal(size=400)
    score[:40], score[40:50] = -np.inf, np.inf
    finite = score.copy()
    finite[:40], finite[40:50] = -100, 100
    found, wanted = run(index, score, true, METRICS.values()), run(index, finite, true, RANKS)
    for metric in RANKS:
        assert repr(found.estimates[metric.name]) == repr(wanted.estimates[metric.name]), metric.name
    assert list(found.estimates) == list(METRICS)
    assert found.connected == wanted.connected
    for name in set(METRICS) - {metric.name for metric in RANKS}:
        assert np.isnan(found.estimates[name].value)
    with pytest.raises(UserError, match="score nan of architecture index"):
        run(index, np.where(np.isinf(score), np.nan, score), true, RANKS)


def test_reference_rows_of_the_scored_rows_alone():
    rng = generator()
    seeds = rng.random((TOPOLOGY.n_arch, 3))
    cost, other = rng.random(TOPOLOGY.n_arch), rng.random(TOPOLOGY.n_arch)
    rows = rng.permutation(TOPOLOGY.n_arch)[:300]
    true = seeds.mean(axis=1)
    found = reference_rows(true, cost, -cost, seeds, rows=rows, others={"x": other}, resamples=10, rng=generator())
    assert [row.name for row in found] == ["parameters", "flops", "ceiling", "x"]
    assert {row.estimates["kendall_tau_b"].n for row in found} == {300}
    for row, values in ((found[0], cost), (found[1], -cost), (found[3], other)):
        assert row.estimates["kendall_tau_b"].value == pytest.approx(kendall_tau_b(values[rows], true[rows]))
    by_hand = [kendall_tau_b(seeds[rows, k], np.delete(seeds, k, axis=1)[rows].mean(axis=1).round(6)) for k in range(3)]
    assert found[2].estimates["kendall_tau_b"].value == pytest.approx(np.mean(by_hand))


def test_any_percentage():
    rng = generator()
    x, y = rng.random(1000), rng.random(1000)
    top, precision = named(["kendall_tau_b_top_0.5_percent", "precision_at_top_0.2_percent"])
    best = np.argsort(y)[-5:]
    assert top.function(x, y) == pytest.approx(kendall_tau_b(x[best], y[best]))
    assert precision.function(x, y) == precision_at_top_k(x, y, 2)
    assert (top.label, precision.label) == ("Kendall tau-b, top 0.5 %", "P@top 0.2 %")
    assert named(["kendall_tau_b_top_1_percent"])[0] is METRICS["kendall_tau_b_top_1_percent"]
    for wrong in ("kendall_tau_b_top_101_percent", "kendall_tau_b_top_0_percent", "regret_top_5_percent"):
        with pytest.raises(UserError, match=f"unknown metric '{wrong}'"):
            named([wrong])
