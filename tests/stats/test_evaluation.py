import csv
import json

import numpy as np
import pytest

from bench.scores.read import read_predictions
from bench.stats.evaluation import evaluate, reference_rows, to_json
from bench.stats.metrics import METRICS, kendall_tau_b, named, spearman_rho
from bench.truth.sources.pandas_frame import read_pickle
from mngnas.errors import UserError
from mngnas.spaces.topology import TOPOLOGY

N_ARCH = TOPOLOGY.n_arch
METRICS_USED = named(["kendall_tau_b", "spearman_rho", "regret"])


def generator(seed=0):
    return np.random.default_rng(seed)


def made_up_truth():
    return np.round(generator(1).uniform(0.5, 0.94, N_ARCH), 4)


def run(index, score, true, **changes):
    subsets = {"connected": TOPOLOGY.connected, "live": TOPOLOGY.is_canonical}
    options = {"metrics": METRICS_USED, **subsets, "resamples": 40, "rng": generator()}
    return evaluate(index, score, true, **(options | changes))


def read_seeds(path):
    """The single seeds in percent `[15625, 3]` of a published pickle: operation numbers -> accuracies."""
    seeds = np.full((N_ARCH, 3), np.nan)
    for digits, values in read_pickle(path).items():
        seeds[TOPOLOGY.to_index(tuple(map(int, digits))), : len(values)] = values
    return np.round(seeds / 100, 6)


@pytest.fixture(scope="session")
def accuracy_200(shared):
    """CIFAR-10 test accuracy after 200 epochs, mean over seeds, in official order."""
    return np.round(np.nanmean(read_seeds(shared / "nb201" / "nb2_test_acc_cf10.p"), axis=1), 6)


@pytest.mark.parametrize(("name", "tau", "rho"), [("one_shot", 0.485, 0.677), ("few_shot", 0.551, 0.741)])
def test_published_scores_have_the_published_correlations(name, tau, rho, shared, accuracy_200):
    scores = read_predictions(shared / "scores" / f"few_shot_nas_{name}_supernet.json", space=TOPOLOGY)
    found = run(scores.arch_index, scores.score, accuracy_200, resamples=100)
    assert found.estimates["kendall_tau_b"].value == pytest.approx(tau, abs=0.001)
    assert found.estimates["spearman_rho"].value == pytest.approx(rho, abs=0.001)
    assert (found.n_scored, found.n_missing, found.n_disconnected) == (15625, 0, 341)
    assert found.connected["kendall_tau_b"].n == 15625 - 341
    for estimate in found.estimates.values():
        assert estimate.ci_low <= estimate.value <= estimate.ci_high
    assert found.estimates["kendall_tau_b"].ci_high - found.estimates["kendall_tau_b"].ci_low < 0.03


@pytest.mark.parametrize(
    ("column", "rho"),
    [
        *(("nwot", 0.811), ("params", 0.799), ("jacov", 0.799), ("synflow", 0.778)),
        *(("flops", 0.770), ("snip", 0.603), ("zen", 0.115)),
    ],
)
def test_training_free_scores_have_the_published_correlations(column, rho, shared):
    # Against the means of NATS-Bench, from which NAS-Bench-201's differ by up to 2.2 %: synflow has .777 with those.
    with (shared / "nb201" / "nats_bench.csv").open() as lines:
        accuracy = np.array([float(row["CIFAR10TestAccuracy200Epochs"]) for row in csv.DictReader(lines)]) / 100
    scores = read_predictions(shared / "scores" / "nb201_zc_proxies.csv", column, space=TOPOLOGY)
    found = run(scores.arch_index, scores.score, accuracy, resamples=10)
    assert found.estimates["spearman_rho"].value == pytest.approx(rho, abs=0.001)
    assert (found.n_scored, found.n_missing) == (9445, N_ARCH - 9445)


def test_ceiling_of_the_published_table(shared):
    seeds = read_seeds(shared / "nb201" / "cifar10.pkl")
    mean = np.nanmean(seeds, axis=1)
    row = reference_rows(mean, mean, mean, seeds, resamples=50, rng=generator())[2]
    tau = row.estimates["kendall_tau_b"]
    assert row.name == "ceiling"
    assert 0.90 < tau.ci_low < tau.value < tau.ci_high < 0.94  # one seed against one other is .91
    assert tau.n == np.count_nonzero(np.isfinite(seeds).sum(axis=1) > 1)


def test_all_metrics_on_the_whole_space():
    true = made_up_truth()
    found = run(np.arange(N_ARCH), true, true, metrics=METRICS.values(), resamples=5)
    assert list(found.estimates) == list(METRICS)
    assert found.estimates["kendall_tau_b"].value == pytest.approx(1)
    assert found.estimates["regret"].value == 0


def test_the_order_of_the_scores_does_not_matter_and_missing_ones_are_counted():
    true = made_up_truth()
    index = generator(2).permutation(N_ARCH)[:500]
    score = true[index] + generator(3).normal(size=500) / 10
    found = run(index, score, true)
    assert found.estimates["kendall_tau_b"].value == kendall_tau_b(score, true[index])
    assert (found.n_scored, found.n_missing, found.n_without_truth) == (500, N_ARCH - 500, 0)
    joined = TOPOLOGY.connected[index]
    assert found.connected["spearman_rho"].value == spearman_rho(score[joined], true[index][joined])
    assert found.n_disconnected == (~joined).sum() > 0
    alive = TOPOLOGY.canonical_indices[index] == index
    assert found.live["kendall_tau_b"].value == kendall_tau_b(score[alive], true[index][alive])
    assert found.n_live == found.live["kendall_tau_b"].n == alive.sum() < 500


def test_architectures_without_ground_truth():
    true = made_up_truth()
    true[10:] = np.nan
    found = run([3, 4, 5, 11, 12], [1, 2, 3, 4, 5], true)
    assert (found.n_scored, found.n_missing, found.n_without_truth) == (3, 7, 2)
    with pytest.raises(UserError, match="none of the 2 scored architectures has a ground truth"):
        run([11, 12], [1, 2], true)


def test_only_disconnected_architectures():
    index = np.flatnonzero(~TOPOLOGY.connected)[:10]
    found = run(index, np.arange(10), made_up_truth())
    assert found.connected["kendall_tau_b"].n == 0
    assert np.isnan(found.connected["kendall_tau_b"].value)


def test_json():
    true = made_up_truth()
    found = json.loads(json.dumps(to_json(run(np.arange(200), true[:200], true)), allow_nan=False))
    assert set(found["kendall_tau_b"]) == {"value", "ci_low", "ci_high", "n"}
    assert found["kendall_tau_b"]["value"] == pytest.approx(1)
    assert found["spearman_rho"]["n"] == found["n_scored"] == 200
    assert found["n_missing"] == N_ARCH - 200
    for part in ("without_disconnected", "live_only"):
        assert set(found[part]) == {"kendall_tau_b", "spearman_rho"}
    assert (found["resamples"], found["level"]) == (40, 0.95)


def test_json_has_no_nan():
    constant = to_json(run(np.arange(200), np.zeros(200), made_up_truth()))
    assert constant["kendall_tau_b"] == {"value": None, "ci_low": None, "ci_high": None, "n": 200}
    json.dumps(constant, allow_nan=False)


def test_the_same_seed_gives_the_same_evaluation():
    true = made_up_truth()
    score = true + generator(3).normal(size=N_ARCH)
    assert run(np.arange(N_ARCH), score, true) == run(np.arange(N_ARCH), score, true)


def test_reference_rows_by_hand():
    rng = generator(4)
    quality = rng.normal(size=N_ARCH)
    seeds = np.round(0.8 + (quality[:, None] + 0.3 * rng.normal(size=(N_ARCH, 3))) / 50, 6)
    seeds[5000:, 2] = np.nan
    seeds[15000:, 1:] = np.nan
    mean = np.nanmean(seeds, axis=1)
    rows = reference_rows(mean, quality, -quality, seeds, resamples=30, rng=generator())
    assert [row.name for row in rows] == ["parameters", "flops", "ceiling"]
    for name, metric in (("kendall_tau_b", kendall_tau_b), ("spearman_rho", spearman_rho)):
        assert rows[0].estimates[name].value == pytest.approx(metric(quality, mean))
        assert rows[1].estimates[name].value == pytest.approx(-metric(quality, mean))
        by_hand = []
        for column in range(3):
            others = np.delete(seeds, column, axis=1)
            both = np.isfinite(seeds[:, column]) & np.isfinite(others).any(axis=1)
            by_hand.append(metric(seeds[both, column], np.nanmean(others[both], axis=1)))
        ceiling = rows[2].estimates[name]
        assert ceiling.value == pytest.approx(np.mean(by_hand), abs=1e-3)  # means are rounded to 1e-6
        assert ceiling.ci_low < ceiling.value < ceiling.ci_high
        assert ceiling.n == 15000


def test_costs_that_rank_alike_share_their_intervals():
    rng = generator(4)
    cost, true = rng.integers(1, 50, 300), rng.normal(size=300)
    seeds = true[:, None]
    same = reference_rows(true, cost, cost**2, seeds, resamples=30, rng=generator())
    assert same[0].estimates == same[1].estimates
    other = reference_rows(true, cost, -cost, seeds, resamples=30, rng=generator())
    assert other[0].estimates == same[0].estimates
    assert other[1].estimates["kendall_tau_b"].ci_low == pytest.approx(-other[0].estimates["kendall_tau_b"].ci_high)


def test_any_number_of_architectures():
    true = np.array([0.1, 0.2, np.nan, 0.4])
    found = run([0, 3, 1, 2], [1, 2, 3, 4], true, connected=[True, False, True, True], live=[True] * 4)
    assert (found.n_scored, found.n_without_truth, found.n_disconnected) == (3, 1, 1)
    with pytest.raises(UserError, match=r"architecture index 4 is outside 0\.\.3"):
        run([4], [1], true, connected=[True] * 4, live=[True] * 4)
    with pytest.raises(UserError, match="no architecture has a ground truth"):
        reference_rows(true * np.nan, true, true, true[:, None], rng=generator())


def test_a_single_seed_has_no_ceiling():
    true = made_up_truth()
    row = reference_rows(true, true, true, true[:, None], resamples=5, rng=generator())[2]
    assert row.estimates["kendall_tau_b"].n == 0
    assert np.isnan(row.estimates["kendall_tau_b"].value)


@pytest.mark.parametrize(
    ("index", "score", "message"),
    [
        ([1, 2], [1], r"one score per architecture is needed, not \[1\] for \[2\]"),
        ([], [], "one score per architecture is needed"),
        ([1.0, 2.0], [1, 2], "must be whole numbers, not float64"),
        ([1, 15625], [1, 2], r"architecture index 15625 is outside 0\.\.15624"),
        ([1, -1], [1, 2], "architecture index -1 is outside"),
        ([7, 8, 7], [1, 2, 3], "architecture index 7 has 2 scores"),
        ([7, 8], [1, np.nan], "score nan of architecture index 8 is not finite"),
    ],
)
def test_errors(index, score, message):
    with pytest.raises(UserError, match=message):
        run(index, score, made_up_truth())


def test_shapes_of_the_truth():
    with pytest.raises(
        UserError, match=r"true must have the shape \[n_arch\], one row per architecture, not \[10, 2\]"
    ):
        run([1], [1], np.zeros((10, 2)))
    with pytest.raises(
        UserError, match=r"connected must have the shape \[10\], one row per architecture, not \[15625\]"
    ):
        run([1], [1], np.zeros(10))
    true = made_up_truth()
    with pytest.raises(UserError, match=r"true_of_seeds must have the shape \[15625, n_seed\]"):
        reference_rows(true, true, true, true, rng=generator())
