import math
from itertools import permutations

import numpy as np
import pytest
from scipy.stats import spearmanr

from bench.predictions import read_predictions
from bench.report.ablations import ablations
from bench.report.figures import curves, panels, regret_at_k, search, taus
from bench.report.guidance import guidance
from bench.report.results import GENERATOR_SEED, SHOWN, evaluate_study
from bench.report.runs import read_runs
from bench.stats.evaluation import disconnected, reference_rows
from bench.stats.intervals import bootstrap_mean, paired_difference, seed_spread
from bench.stats.metrics import METRICS, kendall_tau_b, precision_at_top_k, regret
from bench.study.records import Curve, RunRecord, RunScores, ScoreSet, save_run, scores_digest
from bench.truth import Measure, Table
from bench.truth.sources import nb201 as compact
from mngnas.errors import UserError
from mngnas.spaces.topology import N_ARCH, from_index, live_graph, parse

TARGET = Measure("digits", "test", 5)
TAU = METRICS["kendall_tau_b"]
EVERYTHING = np.arange(N_ARCH)
SAMPLE = np.random.default_rng(8).choice(N_ARCH, 300, replace=False)


def made_up_table(known=EVERYTHING):
    """Three seeds whose means tie now and then, a parameter count that goes along with them."""
    rng = np.random.default_rng(1)
    good = rng.normal(size=N_ARCH)
    accuracy = np.full((N_ARCH, 3), np.nan, np.float32)
    seeds = np.round(0.7 + 0.05 * good[:, None] + 0.01 * rng.normal(size=(N_ARCH, 3)), 3)
    accuracy[known] = seeds[known]
    parameters = np.round(1e4 * (5 + good + rng.normal(size=N_ARCH))).astype(np.int64)
    return Table(
        "made-up",
        "nas-bench-201",
        {TARGET: accuracy, Measure("digits", "test", 5, "loss"): 1 - accuracy},
        parameters={"digits": parameters},
        flops={"digits": parameters**2},
    )


def scores(table, seed, index, noise=0.05):
    rng = np.random.default_rng(seed)
    good = np.nan_to_num(table.mean(TARGET), nan=0.7)[index]
    accuracy = np.round(good - 0.3 + noise * rng.normal(size=len(index)), 3)
    return ScoreSet(index, accuracy, 2 - accuracy + 0.01 * rng.normal(size=len(index)))


def made_up_curve(table, seed, points=3):
    index = np.arange(0, N_ARCH, 100)
    rows = [scores(table, 100 * seed + point, index, 0.1 / (1 + point)) for point in range(points)]
    steps = np.arange(points)
    return Curve(
        index,
        100.0 * steps,
        12_800 * steps,
        steps * (5.0 + seed),
        np.array([row.accuracy for row in rows]),
        np.array([row.loss for row in rows]),
    )


def made_up_diagnostics(pool=3):
    """Four rounds, after each of which the oldest teacher leaves a pool that is full; three stages."""
    rng, rounds, log = np.random.default_rng(4), [], []
    for number, spent in enumerate((0.3, 0.475, 0.65, 0.825)):
        rounds.append({"spent": spent, "arch_index": 7 + 1000 * number, "loss": 1.5 - 0.1 * number})
        rounds[-1]["retraining_distance"] = number / 2
        teachers = list(range(max(0, number + 1 - pool), number + 1))
        logits = np.cumsum(0.3 * rng.normal(size=(17, 3, len(teachers))), axis=0)
        alpha = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
        entropy = -(alpha * np.log(alpha)).sum(axis=2).mean(axis=1)
        log += [
            {"spent": spent + 0.01 * (1 + i), "teachers": teachers, "alpha": alpha[i].tolist(), "at_cap": i / 17}
            | {"entropy": float(entropy[i]), "loss": 2.0 - spent - i / 100}
            for i in range(17)
        ]
    return {"guidance": log, "rounds": rounds}


def write_run(study, table, strategy="spos", seed=0, sets=None, curve=None, index=EVERYTHING, noise=0.05, **changes):
    """One finished run of made-up scores."""
    sets = sets or {"inherited": scores(table, seed + 50, index, noise)}
    found = RunScores(sets, curve or made_up_curve(table, seed))
    fields = {
        "benchmark": table.name,
        "dataset": "digits",
        "images": "digits (8x8)",
        "strategy": strategy,
        "seed": seed,
        "preset": "tiny",
        "config": {"sample": 0, "training": {"passes": 200}},
        "protocol": 1,
        "table_checksum": table.checksum,
        "steps": 40,
        "passes": 200.0,
        "images_seen": 25_600,
        "train_seconds": 10.0 + seed,
        "score_seconds": 3.0,
        "device": "cpu: made up, 1 thread",
        "versions": {"torch": "2.0", "numpy": "2.1"},
        "commit": "0123abc",
        "dirty": False,
        "started": f"2026-01-0{1 + seed % 9}T00:00:00+00:00",
        "scores_sha256": scores_digest(found),
    }
    save_run_in = study / f"{strategy}-{changes.get('preset', 'tiny')}-seed{seed}"
    save_run_in.mkdir(parents=True)
    save_run(save_run_in, RunRecord(**fields | changes), found)


def small_study(study, table, strategies=("spos", "fairnas"), seeds=(0, 1, 2), **changes):
    """Several methods on the same sample, which is quick."""
    for number, strategy in enumerate(strategies):
        for seed in seeds:
            write_run(study, table, strategy, seed, index=SAMPLE, noise=0.05 + 0.02 * number, **changes)


@pytest.fixture(scope="session")
def table():
    return made_up_table()


@pytest.fixture(scope="session")
def full_study(table, tmp_path_factory):
    """Two methods with two seeds on everything, one of them with retrained candidates as well."""
    study = tmp_path_factory.mktemp("studies") / "full"
    for seed in (0, 1):
        write_run(study, table, "spos", seed, noise=0.08)
        inherited = scores(table, seed, EVERYTHING)
        candidates = np.argsort(-inherited.accuracy)[: 40 + seed]
        sets = {"inherited": inherited, "retrained": scores(table, seed + 9, candidates, 0.03)}
        write_run(
            study, table, "mngnas", seed, sets=sets, passes=300.0 + seed, diagnostics=made_up_diagnostics(3 - seed)
        )
    return study


@pytest.fixture(scope="session")
def runs(full_study, table):
    return read_runs(full_study, table, TARGET)


@pytest.fixture(scope="session")
def results(runs):
    return evaluate_study(runs, resamples=10)


# ------------------------------------------------------------------------------------------------------------ results


def test_methods_keep_their_score_sets_apart_and_the_best_comes_first(results):
    assert [(row.label, row.score_set) for row in results.rows] == [
        ("MNGNAS", "inherited"),
        ("SPOS", "inherited"),
        ("MNGNAS, retrained", "retrained"),
    ]
    assert [row.strategy for row in results.rows] == ["mngnas", "spos", "mngnas"]
    assert [row.is_sample for row in results.rows] == [False, False, True]
    assert results.rows[2].metrics["kendall_tau_b"].n == (40, 41)
    assert results.rows[0].metrics["kendall_tau_b_top_1_percent"].n[0] >= 156


@pytest.mark.parametrize("metric", SHOWN, ids=lambda metric: metric.name)
def test_every_number_is_that_of_the_metric(metric, runs, results, table):
    truth = table.mean(TARGET)
    for method, row in zip(runs.methods, results.rows, strict=True):
        found = row.metrics[metric.name]
        direct = []
        for scored in method.seeds:
            kept = scored.run.scores.sets[method.score_set]
            direct.append(metric.function(kept.accuracy, truth[kept.arch_index]))
        assert found.values == pytest.approx(direct, nan_ok=True)
        if np.isfinite(direct).all():
            assert found.spread == seed_spread(direct)
        else:
            assert (found.spread.n, math.isnan(found.spread.mean)) == (0, True)


def test_columns_without_a_metric_of_their_own(runs, results, table):
    truth = table.mean(TARGET)
    joined = ~disconnected()
    for method, row in zip(runs.methods[:2], results.rows, strict=False):
        first = method.seeds[0].run.scores.sets["inherited"]
        assert row.tau_connected.values[0] == kendall_tau_b(first.accuracy[joined], truth[joined])
        assert row.tau_connected.n[0] == N_ARCH - 341
        assert row.tau_by_loss.values[0] == kendall_tau_b(-first.loss, truth)
        assert row.tau_by_loss.values[0] != row.metrics["kendall_tau_b"].values[0]
    assert results.rows[0].passes.values == (300.0, 301.0)
    assert results.rows[0].train_seconds.spread.mean == 10.5


def test_interval_over_architectures_is_of_the_mean_over_seeds(runs, results, table):
    truth = table.mean(TARGET)
    pairs = [(scored.run.scores.sets["inherited"].accuracy, truth) for scored in runs.methods[0].seeds]
    direct = bootstrap_mean(pairs, TAU, resamples=10, rng=np.random.default_rng(GENERATOR_SEED))
    assert results.rows[0].metrics["kendall_tau_b"].architectures == direct
    assert direct.ci_low < direct.value < direct.ci_high
    assert results.rows[0].metrics["regret"].architectures is None


def test_reference_rows_and_parameter_count_of_each_row(runs, results, table):
    truth = table.mean(TARGET)
    direct = reference_rows(
        *(truth, table.parameters["digits"], table.flops["digits"], table.values(TARGET)),
        resamples=10,
        rng=np.random.default_rng(GENERATOR_SEED),
    )
    assert results.references == direct
    assert results.rows[0].tau_of_parameters == direct[0].estimates["kendall_tau_b"]
    of_candidates = [
        kendall_tau_b(table.parameters["digits"][scored.arch_index], scored.true) for scored in runs.methods[2].seeds
    ]
    assert results.rows[2].tau_of_parameters.value == pytest.approx(np.mean(of_candidates))


def test_differences_are_paired_by_seed(results):
    (one,) = results.differences  # retrained scores have no partner
    a, b = (results.rows[i].metrics["kendall_tau_b"].values for i in (0, 1))
    assert (one.a, one.b, one.seeds) == ("MNGNAS", "SPOS", (0, 1))
    assert one.difference == paired_difference(a, b)
    assert one.difference.value > 0

    assert one.values == pytest.approx([x - y for x, y in zip(a, b, strict=True)])
    assert results.compared_with == ()


SIX = ("fairnas", "own", "mngnas", "other", "spos", "mngnas-k1")


@pytest.mark.parametrize(
    ("strategies", "standards"),
    [
        (SIX, ("MNGNAS", "FairNAS")),
        ([name for name in (*SIX, "third") if name != "fairnas"], ("MNGNAS",)),
        (["mngnas-k2", *(name for name in (*SIX, "third") if name not in ("fairnas", "mngnas"))], ("MNGNAS k2",)),
    ],
)
def test_of_many_methods_each_is_compared_with_the_standards(strategies, standards, table, tmp_path):
    small_study(tmp_path, table, strategies, seeds=(0, 1))
    results = evaluate_study(read_runs(tmp_path, table, TARGET), resamples=2)
    assert results.compared_with == standards
    labels = [row.label for row in results.rows]
    n = len(labels)
    for place, standard in enumerate(standards):
        assert {one.a for one in results.differences if one.b == standard} == set(labels) - set(standards[: place + 1])
    assert len(results.differences) == sum(n - 1 - place for place in range(len(standards)))
    taus_of = {row.label: np.array(row.metrics["kendall_tau_b"].values) for row in results.rows}
    for one in results.differences:
        assert one.difference == paired_difference(taus_of[one.a], taus_of[one.b])


def test_of_five_methods_all_pairs_are_compared(table, tmp_path):
    small_study(tmp_path, table, SIX[:5], seeds=(0, 1))
    results = evaluate_study(read_runs(tmp_path, table, TARGET), resamples=2)
    assert (len(results.differences), results.compared_with) == (10, ())


@pytest.mark.parametrize(
    ("seeds", "index", "common", "reason"),
    [
        ((1, 2), SAMPLE, (1, 2), ""),
        ((2, 3), SAMPLE, (2,), "1 common seed: two are needed"),
        ((7, 8), SAMPLE, (), "no common seeds: two are needed"),
        ((1, 2), SAMPLE[1:], (1, 2), "they scored different architectures"),
    ],
)
def test_why_there_is_no_difference(seeds, index, common, reason, table, tmp_path):
    small_study(tmp_path, table, ("spos",))
    for seed in seeds:
        write_run(tmp_path, table, "fairnas", seed, index=index)
    (one,) = evaluate_study(read_runs(tmp_path, table, TARGET), resamples=2).differences
    assert (one.seeds, one.reason) == (common, reason)
    assert (one.difference is None) == bool(reason)


def test_sample_is_compared_with_the_parameter_count_of_that_sample(table, tmp_path):
    small_study(tmp_path, table, ("spos",), seeds=(0,))
    results = evaluate_study(read_runs(tmp_path, table, TARGET), resamples=5)
    tau = results.references[0].estimates["kendall_tau_b"]
    assert tau.n == 300
    assert tau.value == kendall_tau_b(table.parameters["digits"][SAMPLE], table.mean(TARGET)[SAMPLE])
    assert results.rows[0].is_sample
    spread = results.rows[0].metrics["kendall_tau_b"].spread
    assert spread.n == 1
    assert math.isnan(spread.ci_low)
    assert math.isnan(spread.sd)


def test_partial_table_leaves_out_what_it_does_not_know(tmp_path):
    known = np.arange(0, N_ARCH, 40)
    table = made_up_table(known)
    write_run(tmp_path, table)
    runs = read_runs(tmp_path, table, TARGET)
    results = evaluate_study(runs, resamples=5)
    (row,) = results.rows
    accuracy = runs.runs[0].scores.sets["inherited"].accuracy
    assert row.metrics["kendall_tau_b"].n == (len(known),)
    assert row.metrics["kendall_tau_b"].values == (kendall_tau_b(accuracy[known], table.mean(TARGET)[known]),)
    assert not row.is_sample  # everything that has a ground truth is scored
    assert results.references[0].estimates["kendall_tau_b"].n == len(known)
    assert curves(runs, results).n_arch == (np.isin(np.arange(0, N_ARCH, 100), known).sum(),)


def test_run_that_diverged_is_counted_and_not_lost(table, tmp_path):
    small_study(tmp_path, table, ("spos",), seeds=(0, 1))
    dead = ScoreSet(SAMPLE, np.full(300, 0.1), np.full(300, np.nan))
    write_run(tmp_path, table, "spos", 2, sets={"inherited": dead})
    runs = read_runs(tmp_path, table, TARGET)
    (row,) = evaluate_study(runs, resamples=5).rows
    tau = row.metrics["kendall_tau_b"]
    assert row.seeds == (0, 1, 2)
    assert math.isnan(tau.values[2])
    assert (tau.spread.n, row.tau_by_loss.spread.n, row.metrics["regret"].spread.n) == (2, 2, 3)
    assert math.isfinite(tau.architectures.ci_low)


def test_seeds_agree_on_all_that_both_scored(tmp_path):
    table = made_up_table(np.arange(0, N_ARCH, 40))  # most of the architectures have no ground truth
    rng = np.random.default_rng(2)
    indices = [rng.permutation(200), rng.permutation(300)[:250], 100 + rng.permutation(200)]
    sets = [ScoreSet(index, rng.normal(size=len(index)), rng.normal(size=len(index))) for index in indices]
    for seed, one in enumerate(sets):
        write_run(tmp_path, table, seed=seed, sets={"inherited": one})
    write_run(tmp_path, table, "fairnas", sets={"inherited": sets[0]})
    (found,) = evaluate_study(read_runs(tmp_path, table, TARGET), resamples=2).agreements  # FairNAS has one seed
    assert (found.label, found.seeds) == ("SPOS", (0, 1, 2))
    by_hand: dict[str, list] = {"accuracy": [], "loss": []}
    for a, b in ((0, 1), (0, 2), (1, 2)):
        common = sorted(set(indices[a].tolist()) & set(indices[b].tolist()))
        for name, taus_of in by_hand.items():
            x, y = (dict(zip(s.arch_index, getattr(s, name), strict=True)) for s in (sets[a], sets[b]))
            taus_of.append(kendall_tau_b([x[i] for i in common], [y[i] for i in common]))
    assert (list(found.by_accuracy), list(found.by_loss)) == (by_hand["accuracy"], by_hand["loss"])
    assert found.mean_by_accuracy == pytest.approx(np.mean(by_hand["accuracy"]))
    assert found.mean_by_loss == pytest.approx(np.mean(by_hand["loss"]))
    assert found.n[1] == 100


def test_operations_that_scores_go_along_with(table, tmp_path):
    """By hand from the live graphs: the second seed likes pooling, the first one convolutions."""
    index = np.random.default_rng(4).permutation(N_ARCH)[:400]
    lives = [live_graph(from_index(int(i))) for i in index]
    convolutions, pools = ([float(live.count(op)) for live in lives] for op in (3, 4))
    for seed, liked in enumerate((convolutions, pools)):
        one = ScoreSet(index, np.array(liked), -np.array(convolutions))
        write_run(tmp_path, table, seed=seed, sets={"inherited": one})
    write_run(tmp_path, table, "fairnas", sets={"inherited": ScoreSet(index, np.full(400, 0.1), np.full(400, np.nan))})
    rows = {row.label: row for row in evaluate_study(read_runs(tmp_path, table, TARGET), resamples=2).operations}
    assert next(iter(rows)) == "ground truth"
    truth = rows["ground truth"].by_accuracy["nor_conv_3x3"].spread.mean
    assert truth == pytest.approx(spearmanr(convolutions, table.mean(TARGET)[index])[0])
    spos = rows["SPOS"]
    assert spos.by_accuracy["nor_conv_3x3"].values == pytest.approx((1, spearmanr(convolutions, pools)[0]))
    assert spos.by_accuracy["avg_pool_3x3"].values == pytest.approx((spearmanr(convolutions, pools)[0], 1))
    assert spos.by_loss["nor_conv_3x3"].values == pytest.approx((1, 1))
    assert all(math.isnan(one.spread.mean) for one in rows["FairNAS"].by_loss.values())


def test_seeds_without_common_architectures_and_diverged_ones_have_no_agreement(table, tmp_path):
    dead = ScoreSet(SAMPLE, np.full(300, 0.1), np.full(300, np.nan))
    sets = [scores(table, 1, SAMPLE), dead, scores(table, 2, np.setdiff1d(EVERYTHING, SAMPLE)[:9])]
    for seed, one in enumerate(sets):
        write_run(tmp_path, table, seed=seed, sets={"inherited": one})
    write_run(tmp_path, table, seed=3, sets={"inherited": scores(table, 3, SAMPLE)})
    (found,) = evaluate_study(read_runs(tmp_path, table, TARGET), resamples=2).agreements
    assert [math.isfinite(tau) for tau in found.by_accuracy] == [False, False, True, False, False, False]
    assert (found.mean_by_accuracy, found.mean_by_loss) == (found.by_accuracy[2], found.by_loss[2])
    assert found.n == (300, 0, 300, 0, 300, 0)


def test_pick_is_the_best_scored_and_of_those_that_tie_the_lowest_loss(table, tmp_path):
    truth = table.mean(TARGET)
    sets = []
    for loss in ([1, 3, 2, 0], [1, 2, 2, 0]):  # of 40 and 50 the best score, with another loss, then the same
        one = ScoreSet(np.array([7, 50, 40, 3]), np.array([0.2, 0.6, 0.6, 0.5]), np.array(loss, dtype=float))
        sets.append({"inherited": one, "retrained": ScoreSet(one.arch_index, one.accuracy[::-1], one.loss)})
        write_run(tmp_path, table, seed=len(sets), sets=sets[-1])
    dead = ScoreSet(SAMPLE, np.full(300, np.nan), np.full(300, np.nan))
    write_run(tmp_path, table, seed=3, sets={"inherited": dead, "retrained": sets[0]["inherited"]})
    inherited, retrained = evaluate_study(read_runs(tmp_path, table, TARGET), resamples=2).picks
    assert (inherited.score_set, inherited.seeds, inherited.n_better) == ("inherited", (1, 2, 3), 0)
    assert inherited.arch_index == (40, 40, None)
    assert [None if text is None else parse(text) for text in inherited.arch_str] == [*[from_index(40)] * 2, None]
    assert (retrained.score_set, retrained.arch_index) == ("retrained", (40, 40, 40))
    assert list(inherited.truth) == ["digits"]
    found = inherited.truth["digits"]
    assert found.target == "digits test accuracy after 5 epochs"
    assert found.best == truth.max()
    assert found.accuracy.values[:2] == (truth[40], truth[40])
    assert math.isnan(found.regret.values[2])
    assert found.regret.spread == seed_spread([truth.max() - truth[40]] * 2)


def test_pick_is_judged_on_every_data_set_after_the_longest_training(tmp_path):
    small = made_up_table()
    rng = np.random.default_rng(3)
    other = rng.uniform(0.2, 0.7, (N_ARCH, 2)).astype(np.float32)
    other[40] = np.nan
    measures = {
        TARGET: small.values(TARGET),
        Measure("digits", "test", 12): small.values(TARGET) + np.float32(0.1),
        Measure("digits", "valid", 90): other,
        Measure("letters", "test", 200): other,
        Measure("letters", "test", 12): other / 2,
        Measure("letters", "test", 200, "loss"): 1 - other,
    }
    table = Table("made-up", "nas-bench-201", measures, parameters=small.parameters, flops=small.flops)
    for seed, best in ((0, 60), (1, 40), (2, 70)):
        index = np.array([best, 5])
        write_run(tmp_path, table, seed=seed, sets={"inherited": ScoreSet(index, np.array([0.6, 0.5]), np.ones(2))})
    (pick,) = evaluate_study(read_runs(tmp_path, table, TARGET), resamples=2).picks
    assert {name: one.target for name, one in pick.truth.items()} == {
        "digits": "digits test accuracy after 12 epochs",
        "letters": "letters test accuracy after 200 epochs",
    }
    for name, measure in (("digits", Measure("digits", "test", 12)), ("letters", Measure("letters", "test"))):
        truth, found = table.mean(measure), pick.truth[name]
        assert found.accuracy.values == pytest.approx(truth[[60, 40, 70]], nan_ok=True)
        assert found.best == np.nanmax(truth)
        assert found.regret.values == pytest.approx(np.nanmax(truth) - truth[[60, 40, 70]], nan_ok=True)
    letters = pick.truth["letters"].regret
    assert (letters.spread.n, letters.spread) == (2, seed_spread([letters.values[0], letters.values[2]]))


def test_pick_has_a_ground_truth_and_it_is_counted_where_another_scores_higher(tmp_path):
    known = np.arange(0, N_ARCH, 40)
    table = made_up_table(known)
    for seed, index in enumerate(([1, 40, 80], [40, 1, 80], [40, 80, 1])):
        one = ScoreSet(np.array(index), np.array([0.6, 0.5, 0.4]), np.ones(3))
        write_run(tmp_path, table, seed=seed, sets={"inherited": one})
    (pick,) = evaluate_study(read_runs(tmp_path, table, TARGET), resamples=2).picks
    assert pick.arch_index == (40, 40, 40)
    assert pick.n_better == 1


# ----------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"benchmark": "other"}, "mixes runs of 2 benchmark values"),
        ({"dataset": "cifar10"}, r"mixes runs of 2 dataset values \(cifar10, digits\)"),
        ({"images": "other pixels"}, "mixes runs of 2 images values"),
        ({"protocol": 2}, r"mixes runs of 2 protocol values \(1, 2\)"),
        ({"table_checksum": "00"}, "mixes runs of 2 table_checksum values"),
        ({"config": {"sample": 0, "training": {"passes": 9}}}, "seeds 0 and 1 of 'spos' differ in 'training'"),
    ],
)
def test_runs_that_do_not_belong_together_are_refused(changes, message, table, tmp_path):
    write_run(tmp_path, table, index=SAMPLE)
    write_run(tmp_path, table, seed=1, index=SAMPLE, **changes)
    with pytest.raises(UserError, match=message) as error:
        read_runs(tmp_path, table, TARGET)
    assert "\n" not in str(error.value)


def test_a_run_from_before_an_option_existed_had_its_default(table, tmp_path):
    write_run(tmp_path, table, index=SAMPLE, config={"mngnas": {"rounds": 3}})
    write_run(tmp_path, table, seed=1, index=SAMPLE, config={"mngnas": {"rounds": 3, "size": 0.0}})
    assert len(read_runs(tmp_path, table, TARGET).runs) == 2
    write_run(tmp_path, table, seed=2, index=SAMPLE, config={"mngnas": {"rounds": 3, "size": 0.5}})
    with pytest.raises(UserError, match="seeds 0 and 2 of 'spos' differ in 'mngnas'"):
        read_runs(tmp_path, table, TARGET)


def test_same_seed_twice_is_refused(table, tmp_path):
    write_run(tmp_path, table, index=SAMPLE)
    (tmp_path / "spos-tiny-seed0").rename(tmp_path / "copy")
    write_run(tmp_path, table, index=SAMPLE)
    with pytest.raises(UserError, match="holds seed 0 of 'spos' twice"):
        read_runs(tmp_path, table, TARGET)


def test_another_table_or_a_target_that_does_not_fit_is_refused(table, tmp_path):
    write_run(tmp_path, table, index=SAMPLE)
    with pytest.raises(UserError, match=f"checksum {table.checksum[:12]}, and this table 'made-up' has"):
        read_runs(tmp_path, made_up_table(SAMPLE), TARGET)
    with pytest.raises(UserError, match="'digits test loss after 5 epochs' is not an accuracy"):
        read_runs(tmp_path, table, Measure("digits", "test", 5, "loss"))
    with pytest.raises(UserError, match="is not an accuracy on digits"):
        read_runs(tmp_path, table, Measure("cifar10", "test"))
    with pytest.raises(UserError, match="unknown split 'valid'"):
        read_runs(tmp_path, table, Measure("digits", "valid", 5))


def test_study_without_any_ground_truth_is_refused(tmp_path):
    table = made_up_table(SAMPLE)
    write_run(tmp_path, table, index=np.setdiff1d(EVERYTHING, SAMPLE)[:50])
    with pytest.raises(UserError, match="no architecture scored"):
        read_runs(tmp_path, table, TARGET)


# ------------------------------------------------------------------------------------------------------------ figures


def test_panels_show_the_first_seed_and_share_ranks_of_ties(runs, results):
    figure = panels(runs, results)
    assert [(p.label, p.seed, len(p.true)) for p in figure.panels] == [
        ("MNGNAS", 0, N_ARCH),
        ("SPOS", 0, N_ARCH),
        ("MNGNAS, retrained", 0, 40),
    ]
    panel = figure.panels[0]
    best = panel.predicted == panel.predicted.max()
    assert set(panel.predicted_rank[best]) == {(best.sum() + 1) / 2}
    assert panel.true_rank.min() >= 1
    assert panel.tau == results.rows[0].metrics["kendall_tau_b"].values[0]
    rows = list(figure.rows())
    assert len(rows) == 2 * N_ARCH + 40
    assert rows[7] == ("MNGNAS", "mngnas", 0, 7, *(c[7] for c in (panel.predicted, panel.true)), *ranks_of(panel, 7))


def ranks_of(panel, place):
    """1 + the number of better ones + half of the others that tie."""
    return [
        1 + (values > values[place]).sum() + ((values == values[place]).sum() - 1) / 2
        for values in (panel.predicted, panel.true)
    ]


def test_curves_are_taus_of_the_sample_and_their_mean(runs, results, table):
    figure = curves(runs, results)
    truth = table.mean(TARGET)
    index = np.arange(0, N_ARCH, 100)
    assert [method.label for method in figure.methods] == ["MNGNAS", "SPOS"]
    assert (figure.n_arch, figure.n_samples) == ((len(index),), 1)
    assert figure.parameters_tau == kendall_tau_b(table.parameters["digits"][index], truth[index])
    for method, curve in zip(runs.methods, figure.methods, strict=False):
        for scored, line in zip(method.seeds, curve.lines, strict=True):
            raw = scored.run.scores.curve
            assert line.tau == pytest.approx([kendall_tau_b(row, truth[index]) for row in raw.accuracy])
            assert list(line.seconds) == list(raw.seconds)
        assert curve.mean.tau == pytest.approx(np.mean([line.tau for line in curve.lines], axis=0))
        assert list(curve.mean.seconds) == [0, 5.5, 11]
    rows = list(figure.rows())
    assert len(rows) == 2 * 3 * 3 + 1
    assert rows[0] == ("MNGNAS", "mngnas", 0, 0.0, 0.0, 0.0, figure.methods[0].lines[0].tau[0])
    assert rows[-1][-1] == figure.parameters_tau


def test_curves_of_different_lengths_have_a_mean_as_far_as_all_go(table, tmp_path):
    for seed, points in ((0, 4), (1, 2)):
        write_run(tmp_path, table, seed=seed, index=SAMPLE, curve=made_up_curve(table, seed, points))
    runs = read_runs(tmp_path, table, TARGET)
    (method,) = curves(runs, evaluate_study(runs, 2)).methods
    assert [len(line.tau) for line in (*method.lines, method.mean)] == [4, 2, 2]


def test_study_without_curves_has_no_such_figure(table, tmp_path):
    nothing = Curve(SAMPLE, *np.empty((3, 0)), *np.empty((2, 0, len(SAMPLE))))
    write_run(tmp_path, table, index=SAMPLE, curve=nothing)
    runs = read_runs(tmp_path, table, TARGET)
    assert curves(runs, evaluate_study(runs, 2)) is None


@pytest.mark.parametrize("predicted", [[3, 2, 2, 2, 1, 0], [1, 1, 1, 1, 1, 1], [5, 4, 3, 2, 1, 0], [0, 0, 1, 1, 2, 2]])
def test_regret_at_k_is_the_mean_over_all_orders_of_ties(predicted):
    predicted, true = np.array(predicted, dtype=float), np.array([0.3, 0.9, 0.5, 0.7, 0.5, 0.8])
    orders = [list(o) for o in permutations(range(6)) if (np.diff(predicted[list(o)]) <= 0).all()]
    by_hand = [np.mean([0.9 - true[order[:k]].max() for order in orders]) for k in range(1, 7)]
    found = regret_at_k(predicted, true, range(1, 7))
    assert found == pytest.approx(by_hand)
    assert found[0] == pytest.approx(regret(predicted, true))


def test_search_figure_is_precision_and_regret_beside_chance(runs, results):
    figure = search(runs, results)
    assert [group.score_set for group in figure.groups] == ["inherited", "retrained"]
    everything, candidates = figure.groups
    line, scored = everything.methods[0], runs.methods[0].seeds[1]
    at = 30
    assert line.k[[0, -1]].tolist() == [1, N_ARCH]
    assert line.precision[1, at] == precision_at_top_k(scored.accuracy, scored.true, int(line.k[at]))
    assert line.regret[1, 0] == pytest.approx(regret(scored.accuracy, scored.true))
    assert (line.regret[:, -1] == 0).all()
    chance, parameters = everything.baselines
    assert (chance.label, parameters.label) == ("random choice", "parameter count")
    descending = np.sort(scored.true)[::-1]
    assert chance.precision[0] == pytest.approx([(scored.true >= descending[k - 1]).mean() for k in chance.k])
    assert chance.regret[0, 0] == pytest.approx(scored.true.max() - scored.true.mean())
    assert [line.n_arch for line in candidates.methods] == [40]
    assert len(candidates.baselines[0].regret) == 2  # the seeds have different candidates
    rows = list(figure.rows())
    assert rows[0] == ("inherited", "MNGNAS", "mngnas", N_ARCH, 0, 1, line.precision[0, 0], line.regret[0, 0])
    assert len(rows) == sum(one.precision.size for g in figure.groups for one in (*g.methods, *g.baselines))


def test_tau_figure_lists_both_intervals(runs, results):
    rows = list(taus(runs, results).rows())
    tau = results.rows[0].metrics["kendall_tau_b"]
    assert rows[:2] == [("MNGNAS", "mngnas", "seed", seed, tau.values[seed], "", "", N_ARCH) for seed in (0, 1)]
    s, a = tau.spread, tau.architectures
    assert rows[2] == ("MNGNAS", "mngnas", "mean, interval over seeds", "", s.mean, s.ci_low, s.ci_high, 2)
    assert rows[3][2:] == ("mean, interval over architectures", "", a.value, a.ci_low, a.ci_high, N_ARCH)
    assert [row[0] for row in rows if row[2] == "reference"] == [r.label for r in results.references]


def test_ablations_are_differences_to_mngnas_and_the_best_comes_first(table, tmp_path):
    small_study(tmp_path, table, ("mngnas-k2", "mngnas", "spos", "mngnas-k1"), seeds=(0, 1, 2))
    write_run(tmp_path, table, "fairnas", 1, index=SAMPLE)
    write_run(tmp_path, table, "fairnas", 4, index=SAMPLE)
    runs = read_runs(tmp_path, table, TARGET)
    results = evaluate_study(runs, 2)
    figure = ablations(runs, results)
    values = {row.strategy: row.metrics["kendall_tau_b"].values for row in results.rows}
    by_loss = {row.strategy: row.tau_by_loss.values for row in results.rows}
    assert [line.strategy for line in figure.lines] == ["mngnas-k2", "spos", "mngnas-k1"]
    for line in figure.lines:
        paired = paired_difference(values[line.strategy], values["mngnas"])
        assert (line.spread.mean, line.spread.ci_low) == (paired.value, paired.ci_low)
        assert line.values == pytest.approx(np.subtract(values[line.strategy], values["mngnas"]))
        assert line.values_by_loss == pytest.approx(np.subtract(by_loss[line.strategy], by_loss["mngnas"]))
        assert line.spread_by_loss.mean == pytest.approx(np.mean(line.values_by_loss))
        assert runs.methods[line.place].strategy == line.strategy
    assert figure.left_out == ("FairNAS: 1 common seed: two are needed",)
    rows = list(figure.rows())
    first = figure.lines[0]
    assert rows[0] == ("MNGNAS k2", "mngnas-k2", "MNGNAS", "accuracy", 0, first.values[0], "", "", "")
    mean = first.spread.mean, first.spread.ci_low, first.spread.ci_high, 3
    assert rows[3] == ("MNGNAS k2", "mngnas-k2", "MNGNAS", "accuracy", "mean", *mean)
    assert rows[4][3:6] == ("loss", 0, first.values_by_loss[0])
    assert len(rows) == 3 * 2 * 4


@pytest.mark.parametrize(
    ("strategies", "seeds"),
    [
        (("mngnas", "mngnas-k1", "spos", "fairnas"), (0, 1)),  # one ablation is a difference, not a picture
        (("mngnas-k1", "mngnas-k2", "mngnas-k8"), (0, 1)),  # nothing to compare with
        (("mngnas", "mngnas-k1", "mngnas-k2"), (0,)),
    ],
)
def test_without_ablations_there_is_no_such_picture(strategies, seeds, table, tmp_path):
    small_study(tmp_path, table, strategies, seeds)
    runs = read_runs(tmp_path, table, TARGET)
    assert ablations(runs, evaluate_study(runs, 2)) is None


def test_guidance_is_what_the_first_seed_wrote_down(runs, results):
    (method,) = guidance(runs, results).methods  # once, although its retrained scores are another method
    assert (method.label, method.strategy, method.seed) == ("MNGNAS", "mngnas", 0)
    assert method.rounds == (0.3, 0.475, 0.65, 0.825)
    assert [(line.number, len(line.spent), line.alpha.shape) for line in method.teachers] == [
        *((0, 51, (3, 51)), (1, 51, (3, 51)), (2, 34, (3, 34)), (3, 17, (3, 17))),
    ]
    entry = made_up_diagnostics()["guidance"][20]  # after the second round
    assert [line.alpha[2, 20 - 17 * line.number] for line in method.teachers[:2]] == entry["alpha"][2]
    rows = list(guidance(runs, results).rows())
    assert len(rows) == (51 + 51 + 34 + 17) * 4
    assert rows[0] == ("MNGNAS", "mngnas", 0, 0, 0.31, 1, 1.0)
    at_once = [row[6] for row in rows if row[4:6] == (entry["spent"], "mean")]
    assert (len(at_once), sum(at_once)) == (2, pytest.approx(1))


def test_teachers_have_their_true_accuracy_and_what_follows_them(results, table):
    log = made_up_diagnostics()["guidance"]
    assert [row.round for row in results.teachers] == [0, 1, 2, 3]
    for row in results.teachers:
        assert (row.label, row.strategy, row.seed, row.arch_index) == ("MNGNAS", "mngnas", 0, 7 + 1000 * row.round)
        assert parse(row.arch_str) == from_index(row.arch_index)
        assert row.true_accuracy == table.mean(TARGET)[row.arch_index]
        follow = log[17 * row.round : 17 * (row.round + 1)]
        assert row.entropy == pytest.approx(np.mean([entry["entropy"] for entry in follow]))
        assert row.at_cap == pytest.approx(8 / 17)


def test_without_guidance_there_is_no_such_picture(table, tmp_path):
    alone = made_up_diagnostics() | {"guidance": []}
    write_run(tmp_path, table, "mngnas-plain", index=SAMPLE, diagnostics={"guidance": [], "rounds": []})
    write_run(tmp_path, table, "mngnas-retraining", index=SAMPLE, diagnostics=alone)
    write_run(tmp_path, table, "own", index=SAMPLE)
    runs = read_runs(tmp_path, table, TARGET)
    results = evaluate_study(runs, 2)
    assert guidance(runs, results) is None
    assert [(row.label, row.round) for row in results.teachers] == [("MNGNAS retraining", n) for n in range(4)]
    assert all(math.isnan(row.at_cap) and math.isnan(row.entropy) for row in results.teachers)
    assert {row.label for row in results.rows} == {"MNGNAS plain", "MNGNAS retraining", "own"}


def test_published_scores_of_a_real_table(shared, tmp_path):
    real = compact.build({file.name: shared / "nb201" / file.name for file in compact.FILES})
    for strategy, name in (("one-shot", "one_shot"), ("few-shot", "few_shot")):
        published = read_predictions(shared / "scores" / f"few_shot_nas_{name}_supernet.json")
        accuracy = published.score / 100
        write_run(
            tmp_path,
            real,
            strategy,
            sets={"inherited": ScoreSet(published.arch_index, accuracy, -accuracy)},
            curve=made_up_curve(made_up_table(), 0),
            dataset="cifar10",
        )
    results = evaluate_study(read_runs(tmp_path, real, Measure("cifar10", "test")), resamples=5)
    assert [(row.label, round(row.metrics["kendall_tau_b"].spread.mean, 3)) for row in results.rows] == [
        ("few-shot", 0.551),
        ("one-shot", 0.485),
    ]
    assert results.references[0].estimates["kendall_tau_b"].value == pytest.approx(0.577, abs=0.001)


def test_students_distances_are_means_over_their_stretches(table, tmp_path):
    write_run(tmp_path, table, "mngnas", 0, diagnostics=made_up_diagnostics())
    write_run(tmp_path, table, "mngnas", 1, diagnostics=made_up_diagnostics())
    write_run(tmp_path, table, "spos", 0)
    (row,) = evaluate_study(read_runs(tmp_path, table, TARGET), 2).guided
    log = made_up_diagnostics()["guidance"]
    assert (row.label, row.seeds) == ("MNGNAS", (0, 1))
    assert row.loss.values == pytest.approx([np.mean([entry["loss"] for entry in log])] * 2)
    assert row.loss_at_end.values == pytest.approx([np.mean([2 - 0.825 - i / 100 for i in range(17)])] * 2)
    assert row.at_cap_at_end.spread.mean == pytest.approx(8 / 17)
    assert row.retraining_distance.values == pytest.approx([1.0, 1.0])  # not the first round, which has no teacher
    assert np.isnan(row.perturbation_distance.values).all()


def test_the_cost_of_retraining_belongs_to_the_retrained_row(table, tmp_path):
    sets = {"inherited": scores(table, 1, SAMPLE), "retrained": scores(table, 2, SAMPLE[:30])}
    for seed in (0, 1):
        changes = {"retraining_passes": 500.0, "retraining_seconds": 7.0}
        write_run(tmp_path, table, "spos", seed, sets=sets, **changes)
    inherited, retrained = evaluate_study(read_runs(tmp_path, table, TARGET), 2).rows
    assert retrained.passes.values == pytest.approx([value + 500 for value in inherited.passes.values])
    assert retrained.train_seconds.values == pytest.approx([value + 7 for value in inherited.train_seconds.values])
