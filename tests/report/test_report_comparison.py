"""The numbers behind the pictures of the comparison, by brute force, and what is drawn of them."""

import csv
import json
from dataclasses import replace
from functools import partial
from itertools import combinations, pairwise

import numpy as np
import pytest
from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.stats import kendalltau, pearsonr, rankdata

from bench.report import report
from bench.report.look import STYLE
from bench.report.page import pictures_in
from bench.report.scores import OfMethod
from bench.report.sections.alike import NUMBERED, alike, draw_alike, err_alike, plot_alike
from bench.report.sections.alike import csv_rows as alike_rows
from bench.report.sections.bias import biases, plot_bias
from bench.report.sections.drawn_picks import COLUMNS, draw_picks, drawn_picks
from bench.report.sections.drawn_picks import csv_rows as pick_rows
from bench.report.sections.picks import picks
from bench.report.sections.rankings import Bar, plot_bars
from bench.report.sections.scatter import blocks as scatter_blocks
from bench.report.sections.scatter import plot_scatter, rank_scatter, scatter
from bench.report.sections.tau_by_cost import Paid, TauByCost, draw_costs, named, pareto, plot_costs, tau_by_cost, units
from bench.stats.correlations import kendall_tau_b, partial_correlation
from bench.stats.intervals import Estimate, OverSeeds
from mngnas.errors import UserError
from mngnas.methods.info import Cost
from mngnas.spaces.topology import TOPOLOGY, live_graph
from tests.report.made_up import N_ARCH, SAMPLE, TARGET, read, small_study, with_loss, write_run


def whose(label, place=0):
    return OfMethod(label, label, label, "", "", place)


def rendered(draw):
    with style.context(["default", STYLE]):
        figure = draw()
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
    return figure, canvas.get_renderer()


def signs(values):
    """Of all pairs: -1, 0 or 1."""
    return np.array([np.sign(b - a) for a, b in combinations(values, 2)])


# --------------------------------------------------------------------------------------------------------------- alike


def test_partial_correlation_is_that_of_what_regression_leaves_over():
    rng = np.random.default_rng(0)
    x, y, z = rng.normal(size=(3, 60)) + 0.7 * rng.normal(size=60)
    left = [one - np.polyval(np.polyfit(z, one, 1), z) for one in (x, y)]
    three = (pearsonr(x, y)[0], pearsonr(x, z)[0], pearsonr(y, z)[0])
    assert partial_correlation(*three) == pytest.approx(pearsonr(*left)[0])
    assert np.isnan(partial_correlation(0.5, 1.0, 0.5))
    assert np.isnan(partial_correlation(np.nan, 0.5, 0.5))


def test_errors_alike_are_what_the_signs_of_pairs_have_in_common_beyond_the_truth():
    rng = np.random.default_rng(1)
    n = 40
    true, error = rng.normal(size=n), rng.normal(size=n)
    scores = [np.round(true + error + rng.normal(scale=0.5, size=(seeds, n)), 1) for seeds in (1, 3)]
    scores.append(true + rng.normal(size=(2, n)))
    scores[1][0, 5] = scores[2][1, 7] = np.nan  # a seed has no score there
    true[11] = np.nan
    found = err_alike([whose(name) for name in "abc"], scores, true)
    by_name = {method.label: place for place, method in enumerate(found.methods)}
    assert abs(by_name["a"] - by_name["b"]) == 1
    for a, b in combinations(range(3), 2):
        keep = np.isfinite(true) & np.isfinite(scores[a]).all(axis=0) & np.isfinite(scores[b]).all(axis=0)
        x, y = (np.mean([rankdata(row[keep]) for row in scores[one]], axis=0) for one in (a, b))
        i, j = by_name["abc"[a]], by_name["abc"[b]]
        assert found.n[i, j] == found.n[j, i] == keep.sum()
        assert found.tau[i, j] == pytest.approx(kendalltau(x, y)[0])
        of_x, of_y, of_true = signs(x), signs(y), signs(true[keep])
        left = [of - of_true * (of @ of_true) / (of_true @ of_true) for of in (of_x, of_y)]
        by_hand = left[0] @ left[1] / np.sqrt((left[0] @ left[0]) * (left[1] @ left[1]))
        assert found.partial[i, j] == found.partial[j, i] == pytest.approx(by_hand)
    i, j, k = (by_name[name] for name in "abc")
    assert found.partial[i, j] > 0.3 > abs(found.partial[i, k])


def test_neighbours_err_alike():
    rng = np.random.default_rng(2)
    true, errors = rng.normal(size=200), rng.normal(size=(3, 200))
    scores = [(true + errors[n % 3] + 0.3 * rng.normal(size=200))[None] for n in range(9)]
    found = err_alike([whose(str(n)) for n in range(9)], scores, true)
    kinds = [int(method.label) % 3 for method in found.methods]
    assert kinds in [
        [a] * 3 + [b] * 3 + [c] * 3 for a, b, c in ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))
    ]


def test_a_ranking_that_says_nothing_has_no_errors_in_common():
    true = np.arange(5.0)
    scores = [np.array([[1.0, 3, 2, 5, 4]]), np.ones((1, 5)), np.full((1, 5), np.nan), true[None]]
    found = err_alike([whose(name) for name in "abcd"], scores, true)
    off = ~np.eye(4, dtype=bool)
    assert np.isnan(found.partial[off]).all()  # the last one is the truth: nothing is left over
    assert len(plot_alike(Figure().add_subplot(), found).collections) == 1


def test_alike_of_a_study(table, tmp_path):
    small_study(tmp_path, table, ("plain", "fair"), seeds=(0, 1))
    assert alike(read(tmp_path, table)) is None  # two methods are one number, no matrix
    small_study(tmp_path, table, (), seeds=(0,), variants=({},))
    study = read(tmp_path, table)
    found = alike(study)
    assert {method.label for method in found.methods} == {"Plain", "Fair", "Guided"}
    assert set(found.n.ravel().tolist()) == {len(SAMPLE)}
    rows = list(alike_rows(found))
    assert len(rows) == 3
    by_label = {method.label: method for method in study.methods}
    label, other = rows[0][0], rows[0][3]
    x, y = (np.mean([rankdata(one.score) for one in by_label[name].seeds], axis=0) for name in (label, other))
    assert rows[0][6] == pytest.approx(kendalltau(x, y)[0])
    ax = plot_alike(Figure().add_subplot(), found)
    assert sorted(text.get_text() for text in ax.texts) == sorted(
        f"{row[7]:.2f}".replace("0.", ".", 1).replace("-", "−") for row in rows for _ in range(2)
    )


@pytest.mark.parametrize("n", [3, NUMBERED + 1, 30])
def test_rows_of_the_matrix_do_not_meet(n):
    rng = np.random.default_rng(3)
    true = rng.normal(size=50)
    labels = [f"A method with a longer name {place}" + " [pool=8, rounds=8]" * (place % 4 == 0) for place in range(n)]
    scores = [true + rng.normal(size=(1, 50)) for _ in labels]
    numbers = err_alike([whose(label) for label in labels], scores, true)
    figure, renderer = rendered(partial(draw_alike, numbers))
    ax = figure.axes[0]
    for ticks in (ax.get_yticklabels(), ax.get_xticklabels()):
        boxes = [tick.get_window_extent(renderer) for tick in ticks if tick.get_text()]
        assert len(boxes) == n
        assert not any(a.overlaps(b) for a, b in pairwise(boxes))
    drawn, (width, height) = figure.get_tightbbox(renderer), figure.get_size_inches()
    assert min(drawn.x0, drawn.y0, width - drawn.x1, height - drawn.y1) > -0.01
    assert bool(ax.texts) == (n <= NUMBERED)


# ------------------------------------------------------------------------------------------------------------- scatter


def test_scatter_ranks_what_both_have(table, tmp_path):
    small_study(tmp_path, table, ("plain", "fair"), seeds=(0, 1))
    study = read(tmp_path, table)
    found = scatter(study)
    assert (found.x.label, found.y.label) == tuple(method.label for method in study.methods)
    assert np.array_equal(found.arch_index, np.sort(SAMPLE))
    order = np.argsort(study.methods[0].seeds[0].arch_index)
    mean = np.mean([rankdata(one.score)[order] for one in study.methods[0].seeds], axis=0)
    assert found.rank_x == pytest.approx(rankdata(-mean))
    assert found.tau == pytest.approx(kendall_tau_b(found.rank_x, found.rank_y))
    assert np.array_equal(found.true, study.truth[found.arch_index])
    ax = plot_scatter(Figure().add_subplot(), found)
    points = ax.collections[0]
    assert np.array_equal(np.sort(points.get_array()), np.sort(found.true))
    assert np.argmax(points.get_array()) == len(SAMPLE) - 1  # the best are on top
    (picture,) = pictures_in(scatter_blocks(found))
    assert picture.csv.header[1:3] == tuple(f"rank by {method.label}" for method in study.methods)
    assert len(list(picture.csv.rows())) == len(SAMPLE)


def test_scatter_of_the_two_that_were_asked_for(full):
    chosen = scatter(replace(full, scatter=("plain", "guided/retrained")))
    assert (chosen.x.label, chosen.y.label) == ("Plain", "Guided, retrained")
    candidates = [set(one.arch_index) for one in full.methods[2].seeds]
    assert set(chosen.arch_index) == set.intersection(*candidates)
    with pytest.raises(UserError, match=r"method of the study 'guidde'.*guided"):
        scatter(replace(full, scatter=("plain", "guidde")))
    with pytest.raises(UserError, match="two methods, not 1"):
        scatter(replace(full, scatter=("plain",)))


def test_scatter_without_common_architectures_is_left_out():
    scores = np.full((2, 1, 6), np.nan)
    scores[0, 0, :3], scores[1, 0, 3:] = 1, 2
    assert rank_scatter((whose("a"), whose("b")), (scores[0], scores[1]), np.arange(6.0), "truth") is None


# ---------------------------------------------------------------------------------------------------------------- bias


def test_bias_is_what_regression_on_the_truth_leaves_over(table, tmp_path):
    index = np.random.default_rng(4).permutation(N_ARCH)[:400]
    true = table.mean(TARGET)[index]
    pools = np.array([float(live_graph(TOPOLOGY.from_index(int(i))).count(4)) for i in index])
    for seed in (0, 1):
        noise = 0.03 * np.random.default_rng(seed).normal(size=400)
        liking = with_loss(index, true + noise + 0.02 * pools, noise)
        write_run(tmp_path, table, seed=seed, rankings={"inherited": liking})
        write_run(tmp_path, table, "fair", seed, rankings={"inherited": with_loss(index, true + 2 * noise, noise)})
    study = read(tmp_path, table)
    found = biases(study)
    assert found.traits == tuple(TOPOLOGY.traits())
    for row, method in zip(found.rows, study.methods, strict=True):
        score = method.seeds[1].score
        left = []
        for values in (rankdata(score), rankdata(pools)):
            line = np.polyfit(rankdata(true), values, 1)
            left.append(values - np.polyval(line, rankdata(true)))
        assert row.by_trait["avg_pool_3x3"].values[1] == pytest.approx(pearsonr(*left)[0])
    by_label = {row.label: row.by_trait["avg_pool_3x3"].spread.mean for row in found.rows}
    assert by_label["Plain"] > 0.3
    assert (
        abs(by_label["Fair"]) < 0.1
    )  # noise alone is no bias, though its plain rho is nearer to zero than the truth's
    ax = plot_bias(Figure().add_subplot(), found, "avg_pool_3x3")
    assert ax.get_title() == "pool"
    dots = [line for line in ax.lines if line.get_label() == "one seed"]
    assert [tuple(line.get_xdata()) for line in dots] == [row.by_trait["avg_pool_3x3"].values for row in found.rows]
    assert all(ax.get_xlim()[0] < value < ax.get_xlim()[1] for line in dots for value in line.get_xdata())


# --------------------------------------------------------------------------------------------------------------- picks


def test_drawn_pick_is_the_one_that_most_seeds_pick(table, tmp_path):
    truth = table.mean(TARGET)
    chosen = [int(index) for index in SAMPLE[:2]]
    for seed, best in enumerate((chosen[0], chosen[1], chosen[1])):
        write_run(tmp_path, table, seed=seed, rankings={"inherited": with_loss(SAMPLE, best == SAMPLE, SAMPLE)})
    study = read(tmp_path, table)
    found = drawn_picks(study)
    (row,) = found.rows
    assert study.once(picks).rows[0].arch_index == (chosen[0], chosen[1], chosen[1])
    assert (row.arch_index, row.n_agree, row.n_seed) == (chosen[1], 2, 3)
    assert (row.accuracy, row.rank) == (truth[chosen[1]], np.flatnonzero(-np.sort(-truth) == truth[chosen[1]])[0] + 1)
    assert (found.best.rank, found.best.accuracy) == (1, truth.max())
    figure = draw_picks(found)
    assert [ax.get_title() for ax in figure.axes] == ["best of all", "Plain (2\u00a0of\u00a03)"]
    assert figure.axes[1].texts[-1].get_text() == f"{100 * row.accuracy:.2f} %, rank {row.rank:,}"
    assert [line[3] for line in pick_rows(found)] == [found.best.arch_index, chosen[1]]


def test_of_many_picks_the_first_are_drawn_and_the_others_named(many):
    found = drawn_picks(many)
    rows = tuple(replace(found.rows[n % 3], label=f"Method {n}", place=n) for n in range(30))
    figure, renderer = rendered(partial(draw_picks, replace(found, rows=rows)))
    assert len(figure.axes) == 4 * COLUMNS
    boxes = [ax.title.get_window_extent(renderer) for ax in figure.axes]
    boxes += [ax.texts[-1].get_window_extent(renderer) for ax in figure.axes]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


# ---------------------------------------------------------------------------------------------------------------- cost


def paid(label, tau, passes, seconds=1.0, *, asked=False, place=0):
    return Paid(label, label, label, "", "", place, asked, OverSeeds.of([tau]), passes, seconds)


def test_pareto_line_has_what_no_other_beats():
    rows = [paid("a", 0.5, 10), paid("b", 0.4, 20), paid("c", 0.6, 20), paid("d", 0.6, 30), paid("e", 0.7, np.nan)]
    rows += [paid("f", 0.9, 1, asked=True), paid("g", 0.3, 0), paid("h", 0.5, 10)]
    best = pareto(rows, "passes")
    assert [row.label for row in best] == ["g", "a", "c"]
    for row in rows:
        if np.isfinite(row.passes) and not row.asked:
            beaten = [
                other
                for other in rows
                if not other.asked
                and other.passes <= row.passes
                and other.tau.values >= row.tau.values
                and (other.passes, other.tau.values) != (row.passes, row.tau.values)
            ]
            assert bool(beaten) == (row.label in "bd")


def test_cost_is_that_of_a_seed_with_its_scoring(table, tmp_path):
    small_study(tmp_path, table, ("plain",), seeds=(0, 1))
    both = {
        "inherited": with_loss(SAMPLE, SAMPLE / N_ARCH, SAMPLE),
        "retrained": with_loss(SAMPLE, 1 - SAMPLE / N_ARCH, SAMPLE),
    }
    own = {"cost": Cost(100, 0, 7.0), "ranking_costs": {"inherited": Cost(0, 0, 2.0), "retrained": Cost(50, 0, 4.0)}}
    write_run(tmp_path, table, "guided", rankings=both, **own)
    found = tau_by_cost(read(tmp_path, table))
    costs = {(row.label, row.scores): (row.passes, row.seconds) for row in found.rows}
    assert costs == {
        ("Plain", "inherited"): (200, 13.5),
        ("Guided", "inherited"): (100, 9),
        ("Guided, retrained", "retrained"): (150, 11),
    }
    assert units(found.rows) == ["passes", "seconds"]
    assert units(found.rows[:1]) == ["seconds"]


@pytest.mark.parametrize("n", [3, 30])
def test_markers_show_cost_and_tau_and_the_line_is_filled(n):
    rows = [paid(f"Method {k}", 0.3 + 0.1 * np.sin(k), float(10 * k), 1.0 + k, place=k) for k in range(n)]
    numbers = TauByCost(tuple(rows), 0.4, 0.8)
    ax = plot_costs(Figure().add_subplot(), numbers, "passes")
    best = {row.label for row in pareto(rows, "passes")}
    points = {line.get_label(): line for line in ax.lines if line.get_marker() not in ("None", None, "")}
    assert {name for name, line in points.items() if line.get_markerfacecolor() != "white"} == best
    assert ("other methods" in points) == (n == 30)
    for row in named(rows):
        assert tuple(points[row.label].get_xydata()[0]) == (row.passes, row.tau.spread.mean)
    assert ax.get_xlim()[0] < 0  # one costs nothing
    figure, renderer = rendered(partial(draw_costs, numbers))
    drawn, (width, height) = figure.get_tightbbox(renderer), figure.get_size_inches()
    assert min(drawn.x0, drawn.y0, width - drawn.x1, height - drawn.y1) > -0.01


# ------------------------------------------------------------------------------------------------- bars, and a report


def test_bars_need_no_study():
    archs = Estimate(0.5, 0.45, 0.55, 100)
    bars = [Bar(*whose("ours", 0).identity, OverSeeds.of((0.4, 0.6), (), archs), True, 0.3)]
    bars += [Bar(*whose("a file", 1).identity, OverSeeds.of((0.5,), (), archs))]
    ax = plot_bars(Figure().add_subplot(), bars, ceiling=0.9, flops=0.35)
    lines = {}
    for line in ax.lines:
        lines.setdefault(line.get_label(), []).append(list(line.get_xdata()))
    assert (lines["ceiling"], lines["FLOPs"]) == ([[0.9, 0.9]], [[0.35, 0.35]])
    assert lines["95 % over architectures"] == [[0.45, 0.55]] * 2
    assert lines["one seed"] == [[0.4, 0.6], [0.5]]
    assert lines["parameter count"][0] == [0.3, 0.3]


def test_a_report_draws_the_two_that_were_asked_for(table, tmp_path):
    small_study(tmp_path, table, ("plain", "fair"), seeds=(0,))
    write_run(tmp_path, table, "guided", index=SAMPLE, noise=0.2)
    paths = report(tmp_path, table, target=TARGET, resamples=2, scatter=("guided", "plain"))
    with (tmp_path / "report/figures/scatter.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["arch_index", "rank by Guided", "rank by Plain", "true"]
    assert len(rows) == 1 + len(SAMPLE)
    page, markdown = paths.html.read_text(), paths.markdown.read_text()
    for name, title in (("alike", "Which methods err alike"), ("scatter", "Two rankings against each other")):
        folded = page[page.index(f"<summary>{title}</summary>") :]
        assert f'<figure id="{name}"><img src="data:image/svg+xml' in folded[: folded.index("</details>")]
        assert f"## {title}" in markdown
    results = json.loads(paths.results.read_text())
    assert results["scatter"]["x"]["label"] == "Guided"
