"""The main numbers of a report against the metrics themselves."""

import math

import numpy as np
import pytest

from bench.report.runs import read_runs
from bench.report.scores import GENERATOR_SEED, TAU
from bench.report.sections.differences import FURTHER, differences, standards
from bench.report.sections.opening import opening
from bench.report.sections.rankings import SHOWN, csv_rows, rankings, scores_cell
from bench.report.sections.references import references
from bench.report.sections.tops import PLAIN, RESAMPLED, tops
from bench.report.sections.variants import csv_rows as variants_rows
from bench.report.sections.variants import variants
from bench.scores.read import read_predictions
from bench.stats.evaluation import reference_rows
from bench.stats.intervals import bootstrap_means, paired_difference, seed_spread
from bench.stats.metrics import kendall_tau_b
from bench.study.scores import Scores
from bench.truth import Measure
from bench.truth.sources import nb201
from mngnas.methods.info import Cost
from mngnas.spaces.topology import TOPOLOGY
from tests.report.made_up import (
    N_ARCH,
    SAMPLE,
    TARGET,
    VARIANTS,
    made_up_table,
    read,
    scores,
    small_study,
    with_loss,
    write_run,
    write_searcher,
)


def bootstrap_mean(pairs, metric, **options):
    """Of one metric."""
    return bootstrap_means(pairs, [metric], **options)[metric.name]


@pytest.mark.parametrize("metric", [*SHOWN, *RESAMPLED, *PLAIN], ids=lambda metric: metric.name)
def test_every_number_is_that_of_the_metric(metric, full, table):
    truth = table.mean(TARGET)
    rows = (full.once(rankings) if metric in SHOWN else full.once(tops)).rows
    assert [row.seeds for row in rows] == [(0, 1)] * 3
    for method, row in zip(full.methods, rows, strict=True):
        found = row.metrics[metric.name]
        kept = [scored.run.scores.rankings[method.scores] for scored in method.seeds]
        direct = [metric.function(one.score, truth[one.arch_index]) for one in kept]
        assert found.values == pytest.approx(direct, nan_ok=True)
        if np.isfinite(direct).all():
            assert found.spread == seed_spread(direct)
        else:
            assert (found.spread.n, math.isnan(found.spread.mean)) == (0, True)
        assert (found.architectures is None) == (metric in PLAIN)


def test_columns_without_a_metric_of_their_own(full, table):
    truth, rows = table.mean(TARGET), full.once(rankings).rows
    joined, live = TOPOLOGY.connected, TOPOLOGY.is_canonical
    for method, row in zip(full.methods[:2], rows, strict=False):
        first = method.seeds[0].run.scores.rankings["inherited"]
        assert row.tau_connected.values[0] == kendall_tau_b(first.score[joined], truth[joined])
        assert row.tau_connected.n[0] == N_ARCH - 341
        assert row.tau_live.values[0] == kendall_tau_b(first.score[live], truth[live])
        assert row.tau_live.n[0] == 9_445
        assert row.tau_by_column["minus_loss"].values[0] == kendall_tau_b(first.columns["minus_loss"], truth)
        assert row.tau_by_column["minus_loss"].values[0] != row.metrics[TAU.name].values[0]
    assert [row.is_sample for row in rows] == [False, False, True]
    assert rows[2].metrics[TAU.name].n == (40, 41)
    assert full.once(tops).rows[0].metrics["kendall_tau_b_top_1_percent"].n[0] >= 156


def test_interval_over_architectures_is_of_the_mean_over_seeds(full, table):
    pairs = [(scored.score, table.mean(TARGET)) for scored in full.methods[0].seeds]
    direct = bootstrap_mean(pairs, TAU, resamples=10, rng=np.random.default_rng(GENERATOR_SEED))
    assert full.once(rankings).rows[0].metrics[TAU.name].architectures == direct
    assert direct.ci_low < direct.value < direct.ci_high


def test_reference_rows_and_parameter_count_of_each_row(full, table):
    costs = table.parameters["digits"], table.flops["digits"]
    rng = np.random.default_rng(GENERATOR_SEED)
    direct = reference_rows(table.mean(TARGET), *costs, table.values(TARGET), resamples=10, rng=rng)
    rows = full.once(rankings).rows
    assert full.once(references).rows == direct
    assert rows[0].tau_of_parameters == direct[0].estimates[TAU.name]
    of_candidates = [kendall_tau_b(costs[0][scored.arch_index], scored.true) for scored in full.methods[2].seeds]
    assert rows[2].tau_of_parameters.value == pytest.approx(np.mean(of_candidates))


def test_sample_is_compared_with_the_parameter_count_of_that_sample(table, tmp_path):
    small_study(tmp_path, table, ("plain",), seeds=(0,))
    study = read(tmp_path, table)
    tau = references(study).rows[0].estimates[TAU.name]
    assert (tau.n, study.common.sum()) == (300, 300)
    assert tau.value == kendall_tau_b(table.parameters["digits"][SAMPLE], table.mean(TARGET)[SAMPLE])
    (row,) = rankings(study).rows
    assert row.is_sample
    spread = row.metrics[TAU.name].spread
    assert (spread.n, math.isnan(spread.ci_low), math.isnan(spread.sd)) == (1, True, True)


def test_partial_table_leaves_out_what_it_does_not_know(tmp_path):
    known = np.arange(0, N_ARCH, 40)
    table = made_up_table(known)
    write_run(tmp_path, table)
    study = read(tmp_path, table)
    (row,) = rankings(study).rows
    score = study.runs[0].scores.rankings["inherited"].score
    assert row.metrics[TAU.name].n == (len(known),)
    assert row.metrics[TAU.name].values == (kendall_tau_b(score[known], table.mean(TARGET)[known]),)
    assert not row.is_sample  # everything that has a ground truth is scored
    assert references(study).rows[0].estimates[TAU.name].n == len(known)


def test_run_that_diverged_is_counted_and_not_lost(table, tmp_path):
    small_study(tmp_path, table, ("plain",), seeds=(0, 1))
    dead = with_loss(SAMPLE, np.full(300, 0.1), np.full(300, np.nan))
    write_run(tmp_path, table, "plain", 2, rankings={"inherited": dead})
    study = read(tmp_path, table)
    (row,) = rankings(study).rows
    tau = row.metrics[TAU.name]
    assert row.seeds == (0, 1, 2)
    assert math.isnan(tau.values[2])
    assert (tau.spread.n, row.tau_by_column["minus_loss"].spread.n) == (2, 2)
    assert tops(study).rows[0].metrics["regret"].spread.n == 3
    assert math.isfinite(tau.architectures.ci_low)


def test_a_training_free_method_and_a_searcher_beside_a_supernet(table, tmp_path):
    small_study(tmp_path, table, ("plain",))
    for seed in (0, 1, 2):
        one = scores(table, seed + 5, SAMPLE, 0.02)
        write_run(tmp_path, table, "counter", seed, rankings={"score": Scores(SAMPLE, {"score": 40 * one.score})})
        write_searcher(tmp_path, seed, table)
    study = read(tmp_path, table)
    rows = {row.label: row for row in rankings(study).rows}
    assert {label: (row.scores, row.score, list(row.tau_by_column)) for label, row in rows.items()} == {
        "Counter": ("score", "score", []),
        "Plain": ("inherited", "accuracy", ["minus_loss"]),
    }
    (one,) = differences(study).pairs  # main rankings are compared, whatever their names
    taus = [rows[label].metrics[TAU.name].values for label in ("Counter", "Plain")]
    assert (one.a, one.by_score.difference, one.by_column) == ("Counter", paired_difference(*taus), {})


def test_a_supervised_method_ranks_but_is_marked_with_what_it_read(table, tmp_path):
    """It leads nothing, however well it ranks."""
    small_study(tmp_path, table, ("plain",), seeds=(0, 1))
    for seed, queries in ((0, 50), (1, 60)):
        own = {"kind": "supervised", "oracle": {"measure": "digits valid"}, "cost": Cost(200.0, 100, 1.0, queries)}
        write_run(tmp_path, table, "told", seed, index=SAMPLE, noise=0.001, **own)
    study = read(tmp_path, table)
    told, plain = sorted(rankings(study).rows, key=lambda row: not row.asked)
    assert (told.label, told.queries) == ("told", (50, 60))
    assert scores_cell(told).splitlines()[-1] == "supervised: reads 50 to 60 accuracies"
    assert "supervised" not in scores_cell(plain)
    assert told.metrics[TAU.name].spread.mean > plain.metrics[TAU.name].spread.mean
    assert opening(study).leader.label == "Plain"


def test_tau_csv_lists_both_intervals(full):
    numbers = full.once(rankings)
    rows = list(csv_rows(numbers))
    tau = numbers.rows[0].metrics[TAU.name]
    who = "Guided", "guided", "inherited"
    assert rows[:2] == [(*who, "seed", seed, tau.values[seed], "", "", N_ARCH) for seed in (0, 1)]
    s, a = tau.spread, tau.architectures
    assert rows[2] == (*who, "mean, interval over seeds", "", s.mean, s.ci_low, s.ci_high, 2)
    assert rows[3][3:] == ("mean, interval over architectures", "", a.value, a.ci_low, a.ci_high, N_ARCH)
    assert [row[0] for row in rows if row[3] == "reference"] == [r.label for r in numbers.references]


# -------------------------------------------------------------------------------------------------------- differences


def test_differences_are_paired_by_seed(full):
    found = full.once(differences)
    (one,) = found.pairs  # retrained scores have no partner
    a, b = (row.metrics[TAU.name].values for row in full.once(rankings).rows[:2])
    assert (one.a, one.b, one.seeds, one.scores) == ("Guided", "Plain", (0, 1), "inherited")
    assert one.by_score.difference == paired_difference(a, b)
    assert one.by_score.difference.value > 0
    assert one.by_score.values == pytest.approx(np.subtract(a, b))
    by_loss = [row.tau_by_column["minus_loss"].values for row in full.once(rankings).rows[:2]]
    assert one.by_column["minus_loss"].difference == paired_difference(*by_loss)
    for metric in FURTHER:
        values = [method.values(metric) for method in full.methods[:2]]
        assert one.further[metric.name].difference == paired_difference(*values)
    assert found.compared_with == ()


def test_of_many_methods_each_is_compared_with_two(table, tmp_path):
    small_study(tmp_path, table, ("plain", "fair", "guided"), seeds=(0, 1), variants=VARIANTS)
    study = read(tmp_path, table, resamples=2)
    found = differences(study)
    labels = [method.label for method in study.methods]
    assert found.compared_with == ("Guided", "Plain")  # the one with variants, then the best other unchanged one
    assert [one.a for one in found.pairs if one.b == "Guided"] == [label for label in labels if label != "Guided"]
    assert {one.a for one in found.pairs if one.b == "Plain"} == set(labels) - {"Guided", "Plain"}
    assert len(found.pairs) == 5 + 4
    assert standards([method for method in study.methods if method.is_changed])[0].label == "Guided [pool=1]"


def test_of_five_methods_all_pairs_are_compared(table, tmp_path):
    small_study(tmp_path, table, ("a", "b", "c", "d", "e"), seeds=(0, 1))
    found = differences(read(tmp_path, table))
    assert (len(found.pairs), found.compared_with) == (10, ())


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
    small_study(tmp_path, table, ("plain",))
    for seed in seeds:
        write_run(tmp_path, table, "fair", seed, index=index)
    (one,) = differences(read(tmp_path, table)).pairs
    assert (one.seeds, one.reason) == (common, reason)
    assert (one.by_score is None) == bool(reason)


# ----------------------------------------------------------------------------------------------------------- variants


def test_variants_are_differences_and_the_best_comes_first(table, tmp_path):
    small_study(tmp_path, table, ("guided", "plain"), variants=VARIANTS[:2])
    write_run(tmp_path, table, "fair", 1, index=SAMPLE)
    write_run(tmp_path, table, "fair", 4, index=SAMPLE)
    study = read(tmp_path, table)
    numbers, rows = variants(study), {row.strategy: row for row in rankings(study).rows}
    assert [line.strategy for line in numbers.lines] == ["plain", "guided[pool=1]", "guided[pool=2]"]
    assert (numbers.standard, numbers.columns) == ("Guided", ("minus_loss",))
    for line in numbers.lines:
        taus = [rows[name].metrics[TAU.name].values for name in (line.strategy, "guided")]
        assert line.by_score.difference == paired_difference(*taus)
        assert line.by_score.values == pytest.approx(np.subtract(*taus))
        by_loss = [rows[name].tau_by_column["minus_loss"].values for name in (line.strategy, "guided")]
        assert line.by_column["minus_loss"].values == pytest.approx(np.subtract(*by_loss))
        assert study.methods[line.place].strategy == line.strategy
    assert numbers.left_out == ("Fair: 1 common seed: two are needed",)
    csv, first = list(variants_rows(numbers)), numbers.lines[0]
    assert csv[0] == ("Plain", "plain", "Guided", "accuracy", 0, first.by_score.values[0], "", "", "")
    one = first.by_score.difference
    assert csv[3] == ("Plain", "plain", "Guided", "accuracy", "mean", one.value, one.ci_low, one.ci_high, 3)
    assert csv[4][3:6] == ("minus_loss", 0, first.by_column["minus_loss"].values[0])
    assert len(csv) == 3 * 2 * 4


@pytest.mark.parametrize(
    ("names", "changed", "seeds"),
    [
        (("guided", "plain", "fair"), VARIANTS[:1], (0, 1)),  # one variant is a difference, not a topic
        ((), VARIANTS, (0, 1)),  # nothing to compare with
        (("guided",), VARIANTS, (0,)),
    ],
)
def test_without_variants_there_is_no_such_topic(names, changed, seeds, table, tmp_path):
    small_study(tmp_path, table, names, seeds, changed)
    assert variants(read(tmp_path, table)) is None


# ------------------------------------------------------------------------------------------------------------ opening


def test_opening_says_who_leads_and_by_how_much(full):
    found = opening(full)
    tau, parameters = (full.once(rankings).rows[0].metrics[TAU.name], full.once(references).rows[0])
    leader = found.leader
    assert (leader.label, leader.next, leader.tau.values) == ("Guided", "Plain", tau.values)
    assert leader.over_next == full.once(differences).pairs[0].by_score.difference
    count = parameters.estimates[TAU.name].value
    assert leader.over_parameters.value == pytest.approx(tau.spread.mean - count)
    assert leader.over_parameters.ci_low == pytest.approx(tau.spread.ci_low - count)
    assert found.sentence.startswith(
        f"Of 2 methods Guided ranks best with a Kendall tau-b of {tau.spread.mean:.3f} (mean of 2 seeds, 15,625 "
        "architectures) against the mean digits test accuracy after 5 epochs, images digits (8x8): it "
    )
    assert found.sentence.count("95 % over 2 seeds") == 2


def test_opening_admits_what_it_does_not_know(table, tmp_path):
    write_searcher(tmp_path, table=table)
    assert opening(read(tmp_path, table)).sentence.startswith("No method of this study gives a ranking")
    small_study(tmp_path, table, seeds=(0,))
    sentence = opening(read(tmp_path, table)).sentence
    assert "Of 2 methods Plain ranks best" in sentence
    assert "cannot be told (1 common seed: two are needed)" in sentence
    assert "without an interval over seeds" in sentence
    for seed in (1, 2):  # the same ranking under another name
        write_run(tmp_path, table, "plain", seed, index=SAMPLE)
        write_run(tmp_path, table, "twin", seed, index=SAMPLE)
    assert "it cannot be told apart from" in opening(read(tmp_path, table)).sentence


def test_published_scores_of_a_real_table(shared, tmp_path):
    real = nb201.build({file.name: shared / "nb201" / file.name for file in nb201.FILES})
    for name in ("one_shot", "few_shot"):
        published = read_predictions(shared / "scores" / f"few_shot_nas_{name}_supernet.json", space=TOPOLOGY)
        one = Scores(published.arch_index, {"accuracy": published.score / 100})
        write_run(tmp_path, real, name, rankings={"inherited": one}, curve=False, dataset="cifar10")
    study = read_runs(tmp_path, real, Measure("cifar10", "test", 200), 5)
    assert [(row.label, round(row.metrics[TAU.name].spread.mean, 3)) for row in rankings(study).rows] == [
        ("few_shot", 0.551),
        ("one_shot", 0.485),
    ]
    assert references(study).rows[0].estimates[TAU.name].value == pytest.approx(0.577, abs=0.001)
