import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.text import Text
from test_figures import (
    EVERYTHING,
    N_ARCH,
    SAMPLE,
    TARGET,
    made_up_diagnostics,
    made_up_table,
    scores,
    small_study,
    write_run,
)

from bench.report.ablations import ablations
from bench.report.figures import curves, panels, search, taus
from bench.report.guidance import guidance
from bench.report.pictures import PICTURES, ROOM, STYLE, to_svg
from bench.report.plots import (
    look_of,
    plot_accuracies,
    plot_alpha,
    plot_curves,
    plot_gains,
    plot_precision,
    plot_ranks,
    plot_regret,
    plot_taus,
)
from bench.report.results import evaluate_study
from bench.report.runs import read_runs

MANY = (
    *(f"a-method-with-name-{number}" for number in range(8)),
    *("mngnas-adaptive", "mngnas-uniform", "mngnas", "fairnas", "spos"),
)
BY_NAME = {picture.name: picture for picture in PICTURES}


@pytest.fixture(scope="session")
def table():
    return made_up_table()


def both(study, table):
    runs = read_runs(study, table, TARGET)
    return runs, evaluate_study(runs, resamples=5)


@pytest.fixture(scope="session")
def some(table, tmp_path_factory):
    """Two methods on a sample, one of them with retrained candidates, the other dense."""
    study = tmp_path_factory.mktemp("some")
    for seed in (0, 1, 2):
        sets = {"inherited": scores(table, seed, SAMPLE), "retrained": scores(table, seed + 9, SAMPLE[:30])}
        write_run(study, table, "mngnas", seed, sets=sets, diagnostics=made_up_diagnostics())
        write_run(study, table, "spos", seed, noise=0.1)
    return both(study, table)


@pytest.fixture(scope="session")
def many(table, tmp_path_factory):
    study = tmp_path_factory.mktemp("many")
    small_study(study, table, MANY, seeds=(0, 1), diagnostics=made_up_diagnostics())
    return both(study, table)


@pytest.fixture
def ax():
    return Figure().add_subplot()


# ------------------------------------------------------------------------------------------------------------- on axes


def test_dense_panels_count_every_architecture(some, ax):
    panel = next(p for p in panels(*some).panels if len(p.true) == N_ARCH)
    assert plot_accuracies(ax, panel) is ax
    assert ax.collections[0].get_array().sum() == N_ARCH
    other = Figure().add_subplot()
    assert plot_ranks(other, panel) is other
    assert other.collections[0].get_array().sum() == N_ARCH
    assert [ax.xaxis_inverted(), other.xaxis_inverted(), other.yaxis_inverted()] == [False, True, True]


def test_sparse_panels_show_every_point(some, ax):
    panel = next(p for p in panels(*some).panels if len(p.true) == 300)
    plot_ranks(ax, panel)
    assert np.array_equal(ax.collections[0].get_offsets(), np.stack([panel.predicted_rank, panel.true_rank], axis=1))


def test_accuracy_axis_says_the_accuracy_that_is_there(some, ax):
    panel = next(p for p in panels(*some).panels if len(p.true) == 300)
    plot_accuracies(ax, panel)
    x, heights = np.asarray(ax.collections[0].get_offsets()).T
    assert list(x) == list(100 * panel.predicted)
    assert heights == pytest.approx(-np.log10(1 - panel.true))
    ticks = ax.get_yticks()
    labels = ax.yaxis.get_major_formatter().format_ticks(ticks)
    assert len(ticks) >= 3
    assert [float(label) for label in labels] == pytest.approx(100 - 100 * 10**-ticks, abs=0.05)


@pytest.mark.parametrize("progress", ["passes", "images", "seconds"])
def test_curves_show_the_mean_each_seed_and_the_parameter_count(progress, some, ax):
    figure = curves(*some)
    assert plot_curves(ax, figure, progress) is ax
    mean = {line.get_label(): line for line in ax.lines if not line.get_label().startswith("_")}
    assert set(mean) == {"MNGNAS", "SPOS", "parameter count"}
    for method in figure.methods:
        assert np.array_equal(mean[method.label].get_ydata(), method.mean.tau)
        assert np.array_equal(mean[method.label].get_xdata(), getattr(method.mean, progress))
    assert set(mean["parameter count"].get_ydata()) == {figure.parameters_tau}
    assert len(ax.lines) == 2 * (1 + 3) + 1


def test_search_lines_are_means_over_seeds(some, ax):
    group = search(*some).groups[0]
    assert plot_precision(ax, group) is ax
    assert [line.get_label() for line in ax.lines] == [
        *(line.label for line in group.methods),
        "random choice",
        "parameter count",
    ]
    assert ax.lines[0].get_ydata() == pytest.approx(group.methods[0].precision.mean(axis=0))
    other = plot_regret(Figure().add_subplot(), group)
    assert other.lines[1].get_ydata() == pytest.approx(100 * group.methods[1].regret.mean(axis=0))
    assert (other.get_xscale(), other.get_ylim()[0]) == ("log", 0)


def test_taus_show_seeds_both_intervals_and_what_to_compare_with(some, ax):
    figure = taus(*some)
    assert plot_taus(ax, figure) is ax
    lines = {}
    for line in ax.lines:
        lines.setdefault(line.get_label(), []).append(line)
    row = figure.results.rows[0]
    tau = row.metrics["kendall_tau_b"]
    assert tuple(lines["one seed"][0].get_xdata()) == tau.values
    assert list(lines["mean, 95 % over seeds"][0].get_xdata()) == [tau.spread.ci_low, tau.spread.ci_high]
    assert list(lines["95 % over architectures"][0].get_xdata()) == [
        tau.architectures.ci_low,
        tau.architectures.ci_high,
    ]
    assert len(lines["parameter count"]) == 3
    assert lines["ceiling"][0].get_xdata()[0] == figure.results.references[2].estimates["kendall_tau_b"].value
    assert lines["ceiling"][0].get_ydata()[1] == 1.5  # beside the two rows of inherited scores only
    assert [label.get_text() for label in ax.get_yticklabels()] == [r.label for r in figure.results.rows]


def test_gains_are_seeds_means_and_intervals_around_zero(many, ax):
    figure = ablations(*many)
    assert plot_gains(ax, figure) is ax
    lines = {}
    for line in ax.lines:
        lines.setdefault(line.get_label(), []).append(line)
    for y, gain in enumerate(figure.lines):
        assert tuple(lines["one seed"][y].get_xdata()) == gain.values
        assert list(lines["mean, 95 % over seeds"][y].get_xdata()) == [gain.spread.ci_low, gain.spread.ci_high]
        assert set(lines["mean, 95 % over seeds"][y].get_ydata()) == {y}
        assert lines["one seed"][y].get_color() == look_of(gain.place)["color"]
    assert set(lines["MNGNAS"][0].get_xdata()) == {0}
    assert [label.get_text() for label in ax.get_yticklabels()] == [gain.label for gain in figure.lines]
    low, high = ax.get_xlim()
    assert low < min(gain.spread.ci_low for gain in figure.lines) < 0 < high


@pytest.mark.parametrize("stage", [None, 0, 2])
def test_alpha_has_a_line_a_teacher_and_one_a_round(stage, some, ax):
    (method,) = guidance(*some).methods
    assert plot_alpha(ax, method, stage) is ax
    teachers, rounds = ax.lines[:4], ax.lines[4:]
    for line, teacher in zip(teachers, method.teachers, strict=True):
        assert line.get_label() == f"teacher {teacher.number}"
        assert list(line.get_xdata()) == list(teacher.spent)
        expected = teacher.alpha.mean(axis=0) if stage is None else teacher.alpha[stage]
        assert list(line.get_ydata()) == list(expected)
    assert [line.get_xdata()[0] for line in rounds] == list(method.rounds)


def test_one_seed_has_no_bar_over_seeds(table, tmp_path, ax):
    small_study(tmp_path, table, ("spos",), seeds=(3,))
    plot_taus(ax, taus(*both(tmp_path, table)))
    assert "mean, 95 % over seeds" not in {line.get_label() for line in ax.lines}


def test_methods_can_be_told_apart_without_colour():
    looks = [look_of(number) for number in range(12)]
    assert len({(look["linestyle"], look["marker"]) for look in looks}) == 12
    assert len({look["color"] for look in looks}) == 7


# ------------------------------------------------------------------------------------------------------ whole pictures


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_pictures_are_xml_without_a_date_and_have_a_caption(picture, some, many):
    numbers = picture.numbers(*(many if picture.name == "ablations" else some))
    svg = to_svg(picture, numbers)
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert b"dc:date" not in svg
    assert picture.caption(numbers).endswith(".")


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_nothing_is_clipped_and_no_titles_meet_with_many_methods(picture, many):
    with style.context(["default", STYLE]):
        figure = picture.draw(picture.numbers(*many))
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
    renderer = canvas.get_renderer()
    drawn, (width, height) = figure.get_tightbbox(renderer), figure.get_size_inches()
    assert min(drawn.x0, drawn.y0, width - drawn.x1, height - drawn.y1) > -0.01
    texts = [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()]
    assert len(texts) > 12
    assert min(text.get_fontsize() for text in texts) >= 7
    titles = [ax.title.get_window_extent(renderer) for ax in figure.axes if ax.get_title()]
    assert not any(a.overlaps(b) for i, a in enumerate(titles) for b in titles[:i])


def test_panels_wrap(many):
    figure = BY_NAME["accuracy"].draw(panels(*many))
    FigureCanvasAgg(figure).draw()
    places = {(round(ax.get_position().x0, 2), round(ax.get_position().y0, 2)) for ax in figure.axes}
    assert (len(figure.axes), len({x for x, _ in places}), len({y for _, y in places})) == (ROOM, 3, 2)


def drawn_methods(figure, name):
    """The names of methods in panels, on rows or in the legend."""
    if name == "guidance":
        return {
            ax.get_ylabel().replace("-\n", "-").replace("\n", " ").split(",")[0]
            for ax in figure.axes
            if ax.get_ylabel()
        }
    if name in ("accuracy", "ranks"):
        return {ax.get_title().replace("-\n", "-").replace("\n", " ").split(",")[0] for ax in figure.axes}
    legend = (figure.subfigs or [figure])[0].legends[0]
    return {text.get_text() for text in legend.get_texts()} - {"parameter count", "random choice"}


@pytest.mark.parametrize("name", ["accuracy", "ranks", "curves", "search", "guidance"])
def test_of_many_methods_those_that_matter_are_drawn_and_the_others_named(name, many):
    kept = {"MNGNAS", "FairNAS", "SPOS", *MANY[:3]}  # the first three are the best of the rest
    numbers = BY_NAME[name].numbers(*many)
    assert drawn_methods(BY_NAME[name].draw(numbers), name) == kept
    caption, out = BY_NAME[name].caption(numbers), [*MANY[3:8], "MNGNAS adaptive", "MNGNAS uniform"]
    assert caption.endswith(f" Not shown, but in the CSV: {', '.join(out)}.")
    strategies = {row[numbers.header.index("strategy")] for row in numbers.rows()}
    assert strategies - {""} == set(MANY)


@pytest.mark.parametrize("name", ["accuracy", "ranks", "curves", "search", "guidance"])
def test_of_few_methods_none_is_left_out(name, some):
    assert "Not shown" not in BY_NAME[name].caption(BY_NAME[name].numbers(*some))


@pytest.mark.parametrize("name", ["curves", "search"])
def test_lines_of_many_methods_have_colours_of_their_own(name, many):
    figure = BY_NAME[name].draw(BY_NAME[name].numbers(*many))
    handles = (figure.subfigs or [figure])[0].legends[0].legend_handles
    assert len({handle.get_color() for handle in handles}) == ROOM + 1  # and that of what they are compared with


def test_every_method_has_its_tau_and_its_row_against_mngnas(many):
    for name, rows in (("tau", 13), ("ablations", 12)):
        figure = BY_NAME[name].draw(BY_NAME[name].numbers(*many))
        assert len(figure.axes[0].get_yticklabels()) == rows


def test_all_dense_panels_share_one_scale_of_colours(table, tmp_path):
    for number, strategy in enumerate(("a", "b")):
        write_run(tmp_path, table, strategy, index=EVERYTHING, noise=0.02 + 0.2 * number)
    figure = BY_NAME["accuracy"].draw(panels(*both(tmp_path, table)))
    clouds = [one for ax in figure.axes for one in ax.collections if isinstance(one, PolyCollection)]
    assert len({one.get_clim() for one in clouds[:2]}) == 1
    assert len(figure.axes) == 3  # two panels and one bar


def test_matplotlib_and_torch_are_not_imported_before_something_is_drawn():
    code = "import sys, bench.report; print([m for m in ('matplotlib', 'torch', 'scipy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
