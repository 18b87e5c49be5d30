"""The numbers of the smaller topics against hand computation."""

import math
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from scipy.stats import spearmanr

from bench.report.sections.agreement import MOST_SEEDS, agreements
from bench.report.sections.best_scored import best_scored, regret_at_k
from bench.report.sections.best_scored import csv_rows as best_scored_rows
from bench.report.sections.brief import with_brief
from bench.report.sections.clouds import clouds
from bench.report.sections.clouds import csv_rows as clouds_rows
from bench.report.sections.costs import costs
from bench.report.sections.curves import csv_rows as curves_rows
from bench.report.sections.curves import curves
from bench.report.sections.diary import blocks as diary_blocks
from bench.report.sections.diary import csv_rows as diary_rows
from bench.report.sections.diary import diaries
from bench.report.sections.picks import picks
from bench.report.sections.trace import best_so_far, traces
from bench.report.sections.trace import csv_rows as trace_rows
from bench.report.sections.traits import favours
from bench.report.sections.transfer import transfer
from bench.stats.intervals import seed_spread
from bench.stats.metrics import kendall_tau_b, precision_at_top_k, regret
from bench.study.brief import BriefTraining, load_brief, save_brief
from bench.truth import Measure, Table
from mngnas.errors import UserError
from mngnas.methods.info import Cost, Diary, Trace
from mngnas.spaces.topology import TOPOLOGY, live_graph
from tests.report.made_up import (
    EVERYTHING,
    N_ARCH,
    SAMPLE,
    TARGET,
    made_up_curve,
    made_up_diary,
    made_up_table,
    read,
    scores,
    small_study,
    with_loss,
    write_run,
    write_searcher,
)

NOT_KNOWN = np.nan

# ---------------------------------------------------------------------------------------------------------- agreement


def test_seeds_agree_on_all_that_both_scored(tmp_path):
    table = made_up_table(np.arange(0, N_ARCH, 40))  # most of the architectures have no ground truth
    rng = np.random.default_rng(2)
    indices = [rng.permutation(200), rng.permutation(300)[:250], 100 + rng.permutation(200)]
    rankings = [with_loss(index, rng.random(len(index)), rng.random(len(index))) for index in indices]
    for seed, one in enumerate(rankings):
        write_run(tmp_path, table, seed=seed, rankings={"inherited": one})
    write_run(tmp_path, table, "fair", rankings={"inherited": rankings[0]})
    study = read(tmp_path, table)
    (found,) = agreements(study).rows  # the other method has one seed
    assert (found.label, found.seeds) == ("Plain", (0, 1, 2))
    stored = [run.scores.rankings["inherited"] for run in study.runs if run.record.method.name == "plain"]
    for name in ("accuracy", "minus_loss"):
        by_hand = []
        for a, b in ((0, 1), (0, 2), (1, 2)):
            x, y = (dict(zip(stored[one].arch_index, stored[one].columns[name], strict=True)) for one in (a, b))
            common = sorted(set(x) & set(y))
            by_hand.append(kendall_tau_b([x[i] for i in common], [y[i] for i in common]))
        assert list(found.taus[name]) == by_hand
        assert found.means[name] == pytest.approx(np.mean(by_hand))
    assert found.n[1] == 100


def test_seeds_without_common_architectures_and_diverged_ones_have_no_agreement(table, tmp_path):
    dead = with_loss(SAMPLE, np.full(300, 0.1), np.full(300, NOT_KNOWN))
    rankings = [scores(table, 1, SAMPLE), dead, scores(table, 2, np.setdiff1d(EVERYTHING, SAMPLE)[:9])]
    for seed, one in enumerate((*rankings, scores(table, 3, SAMPLE))):
        write_run(tmp_path, table, seed=seed, rankings={"inherited": one})
    (found,) = agreements(read(tmp_path, table)).rows
    assert [math.isfinite(tau) for tau in found.taus["accuracy"]] == [False, False, True, False, False, False]
    assert found.means == {name: taus[2] for name, taus in found.taus.items()}
    assert found.n == (300, 0, 300, 0, 300, 0)


def test_of_many_seeds_the_first_are_paired(table, tmp_path):
    small_study(tmp_path, table, ("plain",), seeds=range(MOST_SEEDS + 3))
    (found,) = agreements(read(tmp_path, table)).rows
    assert (len(found.seeds), len(found.n)) == (MOST_SEEDS, MOST_SEEDS * (MOST_SEEDS - 1) // 2)


def test_brief_training_is_set_beside_each_method(table, tmp_path):
    small_study(tmp_path, table, ("plain",), seeds=(0, 1))
    assert with_brief(read(tmp_path, table)) is None
    chosen = [int(index) for index in SAMPLE[:40]]
    rng = np.random.default_rng(5)
    save_brief(tmp_path, BriefTraining(30, 0.1, {i: (float(rng.random()), float(rng.random())) for i in chosen}))
    study = read(tmp_path, table)
    found, (method,) = with_brief(study), study.methods
    brief = load_brief(tmp_path).scores
    accuracy = dict(zip(brief.arch_index.tolist(), brief.score.tolist(), strict=True))
    for name in ("accuracy", "minus_loss"):
        for scored, value in zip(method.seeds, found.rows[0].by_column[name].values, strict=True):
            one = dict(zip(scored.arch_index, scored.columns[name], strict=True))
            assert value == kendall_tau_b([one[i] for i in chosen], [accuracy[i] for i in chosen])
    assert (found.steps, found.learning_rate, found.rows[0].by_column["accuracy"].n) == (30, 0.1, (40, 40))
    truth = table.mean(TARGET)
    assert found.with_truth.value == kendall_tau_b([accuracy[i] for i in chosen], truth[chosen])
    save_brief(tmp_path, BriefTraining(30, 0.1, {N_ARCH: (0.5, 0.5)}))
    with pytest.raises(UserError, match="index outside"):
        with_brief(read(tmp_path, table))


def test_traits_that_scores_go_along_with(table, tmp_path):
    """By hand from the live graphs: the second seed likes pooling, the first one convolutions."""
    index = np.random.default_rng(4).permutation(N_ARCH)[:400]
    lives = [live_graph(TOPOLOGY.from_index(int(i))) for i in index]
    convolutions, pools = (np.array([float(live.count(op)) for live in lives]) for op in (3, 4))
    for seed, liked in enumerate((convolutions, pools)):
        write_run(tmp_path, table, seed=seed, rankings={"inherited": with_loss(index, liked / 10, convolutions)})
    dead = with_loss(index, np.full(400, 0.1), np.full(400, NOT_KNOWN))
    write_run(tmp_path, table, "fair", rankings={"inherited": dead})
    found = favours(read(tmp_path, table))
    assert list(found.truth) == list(TOPOLOGY.traits())
    assert found.truth["nor_conv_3x3"] == pytest.approx(spearmanr(convolutions, table.mean(TARGET)[index])[0])
    rows = {row.label: row for row in found.rows}
    both = spearmanr(convolutions, pools)[0]
    assert rows["Plain"].by_score["nor_conv_3x3"].values == pytest.approx((1, both))
    assert rows["Plain"].by_score["avg_pool_3x3"].values == pytest.approx((both, 1))
    assert rows["Plain"].by_column["minus_loss"]["nor_conv_3x3"].values == pytest.approx((-1, -1))
    assert all(math.isnan(one.spread.mean) for one in rows["Fair"].by_column["minus_loss"].values())


# -------------------------------------------------------------------------------------------------------------- picks


def test_pick_is_the_best_scored_and_of_those_that_tie_the_lowest_loss(table, tmp_path):
    truth, given = table.mean(TARGET), []
    for loss in ([1, 3, 2, 0], [1, 2, 2, 0]):  # of 40 and 50 the best score, with another loss, then the same
        index, accuracy = np.array([7, 50, 40, 3]), np.array([0.2, 0.6, 0.6, 0.5])
        given.append({"a": with_loss(index, accuracy, loss), "b": with_loss(index, accuracy[::-1], loss)})
        write_run(tmp_path, table, seed=len(given), rankings=given[-1])
    dead = with_loss(SAMPLE, np.full(300, NOT_KNOWN), np.full(300, NOT_KNOWN))
    write_run(tmp_path, table, seed=3, rankings={"a": dead, "b": given[0]["a"]})
    first, second = picks(read(tmp_path, table)).rows
    assert (first.scores, first.seeds, first.n_better) == ("a", (1, 2, 3), 0)
    assert first.arch_index == (40, 40, None)
    assert first.arch_str == (*[TOPOLOGY.to_str(TOPOLOGY.from_index(40))] * 2, None)
    assert (second.scores, second.arch_index) == ("b", (40, 40, 40))
    found = first.truth["digits"]
    assert (found.target, found.best) == ("digits test accuracy after 5 epochs", truth.max())
    assert found.accuracy.values[:2] == (truth[40], truth[40])
    assert math.isnan(found.regret.values[2])
    assert found.regret.spread == seed_spread([truth.max() - truth[40]] * 2)


def test_pick_is_judged_on_every_data_set_after_the_longest_training(tmp_path):
    small = made_up_table()
    other = np.random.default_rng(3).uniform(0.2, 0.7, (N_ARCH, 2)).astype(np.float32)
    other[40] = np.nan
    measures = {
        TARGET: small.values(TARGET),
        Measure("digits", "test", 12): small.values(TARGET) + np.float32(0.1),
        Measure("digits", "valid", 90): other,
        Measure("letters", "test", 200): other,
        Measure("letters", "test", 12): other / 2,
        Measure("letters", "test", 200, "loss"): 1 - other,
    }
    table = Table("made-up", TOPOLOGY.name, measures, parameters=small.parameters, flops=small.flops)
    for seed, best in ((0, 60), (1, 40), (2, 70)):
        write_run(tmp_path, table, seed=seed, rankings={"inherited": with_loss([best, 5], [0.6, 0.5], [1, 1])})
    (pick,) = picks(read(tmp_path, table)).rows
    assert {name: one.target for name, one in pick.truth.items()} == {
        "digits": "digits test accuracy after 12 epochs",
        "letters": "letters test accuracy after 200 epochs",
    }
    for name, epochs in (("digits", 12), ("letters", 200)):
        truth, found = table.mean(Measure(name, "test", epochs)), pick.truth[name]
        assert found.accuracy.values == pytest.approx(truth[[60, 40, 70]], nan_ok=True)
        assert found.best == np.nanmax(truth)
        assert found.regret.values == pytest.approx(np.nanmax(truth) - truth[[60, 40, 70]], nan_ok=True)
    letters = pick.truth["letters"].regret
    assert (letters.spread.n, letters.spread) == (2, seed_spread([letters.values[0], letters.values[2]]))


def test_pick_has_a_ground_truth_and_it_is_counted_where_another_scores_higher(tmp_path):
    table = made_up_table(np.arange(0, N_ARCH, 40))
    for seed, index in enumerate(([1, 40, 80], [40, 1, 80], [40, 80, 1])):
        one = with_loss(index, [0.6, 0.5, 0.4], np.ones(3))
        write_run(tmp_path, table, seed=seed, rankings={"inherited": one}, proposal=(index[0], 80))
    pick, proposal = picks(read(tmp_path, table)).rows
    assert (pick.arch_index, pick.n_better) == ((40, 40, 40), 1)
    assert (proposal.scores, proposal.arch_index, proposal.n_better) == ("proposal", (80, 40, 40), 1)


def test_proposals_of_a_searcher_stand_beside_the_picks(table, tmp_path):
    small_study(tmp_path, table, ("plain",))
    best = [write_searcher(tmp_path, seed, table)[1] for seed in (0, 1)]
    pick, proposal = picks(read(tmp_path, table)).rows
    assert (pick.label, pick.scores, pick.asked) == ("Plain", "inherited", False)
    assert (proposal.label, proposal.scores, proposal.asked) == ("Finder", "proposal", True)
    assert proposal.arch_index == tuple(best)
    assert proposal.truth["digits"].accuracy.values == tuple(table.mean(TARGET)[best])


# -------------------------------------------------------------------------------------------------------------- costs


def test_the_cost_of_retraining_belongs_to_the_retrained_row(table, tmp_path):
    rankings = {"inherited": scores(table, 1, SAMPLE), "retrained": scores(table, 2, SAMPLE[:30])}
    spent = {"inherited": Cost(40.0, 0, 3.0), "retrained": Cost(500.0, 0, 7.0)}
    for seed in (0, 1):
        write_run(tmp_path, table, seed=seed, rankings=rankings, ranking_costs=spent)
    write_searcher(tmp_path, table=table)
    inherited, retrained, searcher = costs(read(tmp_path, table)).rows
    assert (inherited.passes.values, inherited.seconds.values) == ((200, 200), (10, 11))
    assert (inherited.scoring_passes.values, inherited.scoring_seconds.values) == ((40, 40), (3, 3))
    assert (retrained.passes.values, retrained.seconds.values) == ((700, 700), (17, 18))
    assert (retrained.adds_ranking, retrained.scoring_seconds.values) == (True, (7, 7))
    assert (searcher.label, searcher.scores, searcher.asked, searcher.queries.values) == ("Finder", "", True, (30,))


# -------------------------------------------------------------------------------------------------------------- diary


def test_diary_is_what_the_methods_wrote_down(full, table):
    found = full.once(diaries)
    (numbers,) = found.numbers  # once, although the retrained scores are another method
    assert (numbers.label, numbers.seeds) == ("Guided", (0, 1))
    assert numbers.numbers["distance"].values == (1.5, 2.5)
    assert numbers.numbers["entropy, nats"].spread.n == 0
    (one,) = found.tables
    assert [column.name for column in one.columns] == ["round", "spent", "teacher", "true accuracy, %", "loss"]
    truth = table.mean(TARGET)
    assert one.rows == (
        (0, 0.3, TOPOLOGY.to_str(TOPOLOGY.from_index(7)), truth[7], 1.5),
        (1, 0.475, TOPOLOGY.to_str(TOPOLOGY.from_index(1007)), truth[1007], None),
    )
    rows = list(diary_rows(found.plots))
    assert rows[0] == ("Guided", "guided", 0, "stage 1", "teacher 0", 31.0, 1.0)
    assert rows[-1] == ("Guided", "guided", 0, "", "mark", 47.5, "")
    assert len(rows) == 3 * (4 + 3) + 2


def test_diary_blocks_are_by_names_titles_and_plots(full):
    heading, numbers, note, title, table, remark, picture = diary_blocks(full.once(diaries))
    assert heading.text == "What the methods wrote down"
    assert numbers.head == ("method", "distance", "entropy, nats")
    assert numbers.rows[0][0] == "Guided"
    assert numbers.rows[0][1].startswith("2.000\nseeds ")
    assert numbers.rows[0][2] == "n/a"
    assert note.text.endswith("Distances are far.")
    assert title.text == "Teachers, of the first seed:"
    first, second = table.rows
    assert (*first[:3], first[5]) == ("Guided\nseed 0", "0", "30.0", "1.500")
    assert second[5] == "n/a"
    assert remark.text == "A round makes a teacher."
    assert (picture.name, picture.title) == ("diary-how-much-each-counts", "How much each counts")


def test_methods_with_other_numbers_have_a_table_of_their_own(table, tmp_path):
    write_run(tmp_path, table, "guided", index=SAMPLE, diary=made_up_diary())
    write_run(tmp_path, table, "guided", index=SAMPLE, diary=made_up_diary(), changes={"pool": 1})
    write_run(tmp_path, table, "fair", index=SAMPLE, diary=Diary({"luck": 0.5}, "Luck is luck."))
    write_run(tmp_path, table, "plain", index=SAMPLE)
    found = diaries(read(tmp_path, table))
    tables = [block for block in diary_blocks(replace(found, tables=(), plots=())) if hasattr(block, "head")]
    assert sorted((one.head[1:], len(one.rows)) for one in tables) == [
        (("distance", "entropy, nats"), 2),
        (("luck",), 1),
    ]


def test_without_a_diary_there_is_no_such_topic(table, tmp_path):
    write_run(tmp_path, table, index=SAMPLE)
    assert diaries(read(tmp_path, table)) is None


# -------------------------------------------------------------------------------------------------------------- trace


def test_best_so_far_is_the_truth_of_the_best_answer():
    truth = np.array([0.1, 0.9, 0.5, np.nan, 0.7])
    trace = Trace([0, 2, 3, 4, 1, 2], [0.2, 0.6, 0.9, 0.5, 0.7, 0.6], [10.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    seconds, best = best_so_far(trace, truth)
    assert seconds.tolist() == [10, 11, 16, 20, 25]  # what has no ground truth is passed over, its seconds are not
    assert best.tolist() == [0.1, 0.5, 0.5, 0.9, 0.9]
    assert best_so_far(Trace([3], [0.5], [1.0]), truth) is None


def test_trace_goes_from_where_all_seeds_are_to_where_the_last_ends(table, tmp_path):
    made = {seed: write_searcher(tmp_path, seed, table, n=20 + seed)[0] for seed in (0, 1)}
    write_run(tmp_path, table, index=SAMPLE)
    found = traces(read(tmp_path, table))
    (line,) = found.methods
    truth = table.mean(TARGET)
    by_hand = {seed: best_so_far(trace, truth) for seed, trace in made.items()}
    assert (line.label, line.seeds, line.queries) == ("Finder", (0, 1), (20, 21))
    assert line.best_at_end == tuple(best[-1] for _, best in by_hand.values())
    assert line.seconds[0] == pytest.approx(max(seconds[0] for seconds, _ in by_hand.values()))
    assert line.seconds[-1] == pytest.approx(max(seconds[-1] for seconds, _ in by_hand.values()))
    for row, (seconds, best) in zip(line.true, by_hand.values(), strict=True):
        for moment, value in zip(line.seconds, row, strict=True):
            assert value == best[np.flatnonzero(seconds <= moment)[-1]]
    assert found.best == truth.max()
    rows = list(trace_rows(found))
    assert len(rows) == len(line.seconds)
    end = seed_spread(line.best_at_end)  # what a seed ends with stays
    assert rows[-1] == ("Finder", "finder", 2, line.seconds[-1], end.mean, end.sd, end.ci_low, end.ci_high)


def test_without_a_search_there_is_no_trace(full):
    assert traces(full) is None


# ------------------------------------------------------------------------------------------- clouds, curves, searching


def test_clouds_show_the_first_seed_and_share_ranks_of_ties(full):
    found = full.once(clouds)
    assert [(c.label, c.seed, len(c.true)) for c in found.clouds] == [
        *(("Guided", 0, N_ARCH), ("Plain", 0, N_ARCH), ("Guided, retrained", 0, 40)),
    ]
    cloud = found.clouds[0]
    best = cloud.predicted == cloud.predicted.max()
    assert set(cloud.predicted_rank[best]) == {(best.sum() + 1) / 2}
    assert cloud.true_rank.min() >= 1
    rows = list(clouds_rows(found))
    assert len(rows) == 2 * N_ARCH + 40
    ranks = [  # 1 + the number of better ones + half of the others that tie
        1 + (values > values[7]).sum() + ((values == values[7]).sum() - 1) / 2
        for values in (cloud.predicted, cloud.true)
    ]
    assert rows[7] == ("Guided", "guided", "inherited", 0, 7, cloud.predicted[7], cloud.true[7], *ranks)


def test_curves_are_taus_of_the_sample_and_their_mean(full, table):
    found, truth = full.once(curves), table.mean(TARGET)
    index = np.arange(0, N_ARCH, 100)
    assert [method.label for method in found.methods] == ["Guided", "Plain"]
    assert (found.n_arch, found.n_samples) == ((len(index),), 1)
    assert found.parameters_tau == kendall_tau_b(table.parameters["digits"][index], truth[index])
    for method, curve in zip(full.methods, found.methods, strict=False):
        for scored, line in zip(method.seeds, curve.lines, strict=True):
            raw = scored.run.scores.curve
            assert line.tau == pytest.approx([kendall_tau_b(row, truth[index]) for row in raw.columns["accuracy"]])
            assert list(line.seconds) == list(raw.seconds)
        assert curve.mean.tau == pytest.approx(np.mean([line.tau for line in curve.lines], axis=0))
        assert list(curve.mean.seconds) == [0, 5.5, 11]
    rows = list(curves_rows(found))
    assert len(rows) == 2 * 3 * 3 + 1
    assert rows[0] == ("Guided", "guided", 0, 0.0, 0.0, 0.0, found.methods[0].lines[0].tau[0])
    assert rows[-1][-1] == found.parameters_tau


def test_curves_of_different_lengths_have_a_mean_as_far_as_all_go(table, tmp_path):
    for seed, points in ((0, 4), (1, 2)):
        write_run(tmp_path, table, seed=seed, index=SAMPLE, curve=made_up_curve(table, seed, points))
    (method,) = curves(read(tmp_path, table)).methods
    assert [len(line.tau) for line in (*method.lines, method.mean)] == [4, 2, 2]


def test_study_without_curves_has_no_such_topic(table, tmp_path):
    write_run(tmp_path, table, index=SAMPLE, curve=False)
    write_run(tmp_path, table, seed=1, index=SAMPLE, curve=made_up_curve(table, 1, 1))  # a moment is no curve
    assert curves(read(tmp_path, table)) is None


@pytest.mark.parametrize("predicted", [[3, 2, 2, 2, 1, 0], [1, 1, 1, 1, 1, 1], [5, 4, 3, 2, 1, 0], [0, 0, 1, 1, 2, 2]])
def test_regret_at_k_is_the_mean_over_all_orders_of_ties(predicted):
    predicted, true = np.array(predicted, dtype=float), np.array([0.3, 0.9, 0.5, 0.7, 0.5, 0.8])
    orders = [list(o) for o in permutations(range(6)) if (np.diff(predicted[list(o)]) <= 0).all()]
    by_hand = [np.mean([0.9 - true[order[:k]].max() for order in orders]) for k in range(1, 7)]
    found = regret_at_k(predicted, true, range(1, 7))
    assert found == pytest.approx(by_hand)
    assert found[0] == pytest.approx(regret(predicted, true))


def test_best_scored_is_precision_and_regret_beside_chance(full):
    found = full.once(best_scored)
    assert [group.scores for group in found.groups] == ["inherited", "retrained"]
    everything, candidates = found.groups
    line, scored, at = everything.methods[0], full.methods[0].seeds[1], 30
    assert line.k[[0, -1]].tolist() == [1, N_ARCH]
    assert line.precision[1, at] == precision_at_top_k(scored.score, scored.true, int(line.k[at]))
    assert line.regret[1, 0] == pytest.approx(regret(scored.score, scored.true))
    assert (line.regret[:, -1] == 0).all()
    chance, parameters = everything.baselines
    assert (chance.label, parameters.label) == ("random choice", "parameter count")
    descending = np.sort(scored.true)[::-1]
    assert chance.precision[0] == pytest.approx([(scored.true >= descending[k - 1]).mean() for k in chance.k])
    assert chance.regret[0, 0] == pytest.approx(scored.true.max() - scored.true.mean())
    assert [one.n_arch for one in candidates.methods] == [40]
    assert len(candidates.baselines[0].regret) == 2  # the seeds have different candidates
    rows = list(best_scored_rows(found))
    assert rows[0] == ("inherited", "Guided", "guided", N_ARCH, 0, 1, line.precision[0, 0], line.regret[0, 0])
    assert len(rows) == sum(one.precision.size for g in found.groups for one in (*g.methods, *g.baselines))


# ------------------------------------------------------------------------------------------------------------ transfer


def test_transfer_is_the_same_scores_against_another_truth(table, tmp_path):
    rng = np.random.default_rng(5)
    elsewhere = table.values(TARGET).astype(np.float64) + 0.02 * rng.normal(size=(N_ARCH, 3))
    elsewhere[::7] = NOT_KNOWN
    far = Measure("photographs", TARGET.split, TARGET.epochs)
    wider = replace(table, measures={**table.measures, far: elsewhere.astype(np.float32)})
    small_study(tmp_path, wider, ("plain",), (0, 1))
    study = read(tmp_path, wider)
    found = transfer(study)
    (row,) = found.rows
    assert list(row.taus) == [TARGET, far]
    for target in (TARGET, far):
        by_hand = []
        for run in study.runs:
            scored, true = run.scores.rankings["inherited"], wider.mean(target)
            known = np.isfinite(true[scored.arch_index])
            by_hand.append(kendall_tau_b(scored.score[known], true[scored.arch_index][known]))
        assert list(row.taus[target].values) == pytest.approx(by_hand)
    common = np.flatnonzero(study.common & np.isfinite(wider.mean(far)))
    assert found.n == len(common) < study.common.sum()
    assert found.parameters[far] == kendall_tau_b(study.parameters[common], wider.mean(far)[common])
    assert found.own == {far: kendall_tau_b(study.truth[common], wider.mean(far)[common])}


def test_one_data_set_has_no_transfer(full):
    assert transfer(full) is None
