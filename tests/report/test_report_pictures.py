"""The pictures: what is drawn on axes, and how whole pictures look."""

from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.text import Text

from bench.report.look import ROOM, STYLE, look_of, to_svg
from bench.report.page import pictures_in
from bench.report.scores import TAU
from bench.report.sections import SECTIONS
from bench.report.sections.best_scored import best_scored, plot_precision, plot_regret
from bench.report.sections.clouds import clouds, plot_accuracies, plot_ranks
from bench.report.sections.curves import curves, plot_curves
from bench.report.sections.rankings import plot_taus, rankings
from bench.report.sections.trace import plot_traces, traces
from bench.report.sections.variants import plot_gains, variants
from bench.stats.intervals import seed_spread
from tests.report.conftest import MANY
from tests.report.made_up import EVERYTHING, N_ARCH, read, small_study, write_run

NAMES = (
    *("tau", "variants", "trace", "accuracy", "ranks", "best-scored", "curves"),
    *("picks", "tau-by-cost", "bias", "alike", "scatter"),
    "diary-how-much-each-counts",
)
ROOMY = ("accuracy", "ranks", "best-scored", "curves", "diary-how-much-each-counts")  # not all methods have room


def pictures_of(study):
    blocks = []
    for section in SECTIONS:
        numbers = study.once(section.numbers)
        blocks += section.blocks(numbers) if numbers is not None else []
    return {picture.name: picture for picture in pictures_in(blocks)}


@pytest.fixture(scope="session")
def pictures(many):
    return pictures_of(many)


@pytest.fixture
def ax():
    return Figure().add_subplot()


def lines_by_label(ax):
    lines = {}
    for line in ax.lines:
        lines.setdefault(line.get_label(), []).append(line)
    return lines


# ------------------------------------------------------------------------------------------------------------- on axes


def test_dense_panels_count_every_architecture(full, ax):
    cloud = full.once(clouds).clouds[0]
    assert plot_accuracies(ax, cloud) is ax
    assert ax.collections[0].get_array().sum() == N_ARCH
    other = Figure().add_subplot()
    assert plot_ranks(other, cloud) is other
    assert other.collections[0].get_array().sum() == N_ARCH
    assert [ax.xaxis_inverted(), other.xaxis_inverted(), other.yaxis_inverted()] == [False, True, True]


def test_sparse_panels_show_every_point(many, ax):
    cloud = many.once(clouds).clouds[0]
    plot_ranks(ax, cloud)
    assert np.array_equal(ax.collections[0].get_offsets(), np.stack([cloud.predicted_rank, cloud.true_rank], axis=1))


def test_accuracy_axis_says_the_accuracy_that_is_there(many, ax):
    cloud = many.once(clouds).clouds[0]
    plot_accuracies(ax, cloud)
    x, heights = np.asarray(ax.collections[0].get_offsets()).T
    assert list(x) == list(100 * cloud.predicted)
    assert heights == pytest.approx(-np.log10(1 - cloud.true))
    ticks = ax.get_yticks()
    labels = ax.yaxis.get_major_formatter().format_ticks(ticks)
    assert len(ticks) >= 3
    assert [float(label) for label in labels] == pytest.approx(100 - 100 * 10**-ticks, abs=0.05)


@pytest.mark.parametrize("progress", ["passes", "images", "seconds"])
def test_curves_show_the_mean_each_seed_and_the_parameter_count(progress, full, ax):
    numbers = full.once(curves)
    assert plot_curves(ax, numbers, progress) is ax
    mean = {line.get_label(): line for line in ax.lines if not line.get_label().startswith("_")}
    assert set(mean) == {"Guided", "Plain", "parameter count"}
    for method in numbers.methods:
        assert np.array_equal(mean[method.label].get_ydata(), method.mean.tau)
        assert np.array_equal(mean[method.label].get_xdata(), getattr(method.mean, progress))
    assert set(mean["parameter count"].get_ydata()) == {numbers.parameters_tau}
    assert len(ax.lines) == 2 * (1 + 2) + 1


def test_search_lines_are_means_over_seeds(full, ax):
    group = full.once(best_scored).groups[0]
    assert plot_precision(ax, group) is ax
    labels = [line.get_label() for line in ax.lines]
    assert labels == [*(line.label for line in group.methods), "random choice", "parameter count"]
    assert ax.lines[0].get_ydata() == pytest.approx(group.methods[0].precision.mean(axis=0))
    other = plot_regret(Figure().add_subplot(), group)
    assert other.lines[1].get_ydata() == pytest.approx(100 * group.methods[1].regret.mean(axis=0))
    assert (other.get_xscale(), other.get_ylim()[0]) == ("log", 0)


def test_taus_show_seeds_both_intervals_and_what_to_compare_with(full, ax):
    numbers = full.once(rankings)
    assert plot_taus(ax, numbers) is ax
    lines, tau = lines_by_label(ax), numbers.rows[0].metrics[TAU.name]
    assert tuple(lines["one seed"][0].get_xdata()) == tau.values
    assert list(lines["mean, 95 % over seeds"][0].get_xdata()) == [tau.spread.ci_low, tau.spread.ci_high]
    archs = [tau.architectures.ci_low, tau.architectures.ci_high]
    assert list(lines["95 % over architectures"][0].get_xdata()) == archs
    assert len(lines["parameter count"]) == 3
    assert lines["ceiling"][0].get_xdata()[0] == numbers.references[2].estimates[TAU.name].value
    assert lines["ceiling"][0].get_ydata()[1] == 1.5  # beside the two main rows only
    assert [label.get_text() for label in ax.get_yticklabels()] == [row.label for row in numbers.rows]


@pytest.mark.parametrize("column", ["", "minus_loss"])
def test_gains_are_seeds_means_and_intervals_around_zero(column, many, ax):
    numbers = many.once(variants)
    assert plot_gains(ax, numbers, column) is ax
    lines = lines_by_label(ax)
    for y, gain in enumerate(numbers.lines):
        spread = seed_spread(gain.by(column).values)
        assert tuple(lines["one seed"][y].get_xdata()) == gain.by(column).values
        assert list(lines["mean, 95 % over seeds"][y].get_xdata()) == [spread.ci_low, spread.ci_high]
        assert set(lines["mean, 95 % over seeds"][y].get_ydata()) == {y}
        assert lines["one seed"][y].get_color() == look_of(gain.place)["color"]
    assert set(lines["Guided"][0].get_xdata()) == {0}
    low, high = ax.get_xlim()
    assert low < 0 < high


def test_traces_are_steps_in_percent_below_the_best(many, ax):
    numbers = many.once(traces)
    assert plot_traces(ax, numbers) is ax
    lines = lines_by_label(ax)
    assert lines["Finder"][0].get_ydata() == pytest.approx(100 * numbers.methods[0].true.mean(axis=0))
    assert lines["Finder"][0].get_drawstyle() == "steps-post"
    assert lines["best of all"][0].get_ydata()[0] == 100 * numbers.best


def test_one_seed_has_no_bar_over_seeds(table, tmp_path, ax):
    small_study(tmp_path, table, ("plain",), seeds=(3,))
    plot_taus(ax, rankings(read(tmp_path, table)))
    assert "mean, 95 % over seeds" not in {line.get_label() for line in ax.lines}


def test_methods_can_be_told_apart_without_colour():
    looks = [look_of(number) for number in range(12)]
    assert len({(look["linestyle"], look["marker"]) for look in looks}) == 12
    assert len({look["color"] for look in looks}) == 7


# ------------------------------------------------------------------------------------------------------ whole pictures


@pytest.mark.parametrize("name", NAMES)
def test_pictures_are_xml_without_a_date_and_have_a_caption(name, pictures):
    assert set(pictures) == set(NAMES)
    svg = to_svg(pictures[name].draw)
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert b"dc:date" not in svg
    assert pictures[name].caption.endswith(".")
    width = {len(row) for row in pictures[name].csv.rows()}
    assert width == {len(pictures[name].csv.header)}


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_clipped_and_no_titles_meet_with_many_methods(name, pictures):
    with style.context(["default", STYLE]):
        figure = pictures[name].draw()
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
    renderer = canvas.get_renderer()
    drawn, (width, height) = figure.get_tightbbox(renderer), figure.get_size_inches()
    assert min(drawn.x0, drawn.y0, width - drawn.x1, height - drawn.y1) > -0.01
    texts = [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()]
    assert min(text.get_fontsize() for text in texts) >= (5.5 if name == "picks" else 7)  # cells are small drawings
    titles = [ax.title.get_window_extent(renderer) for ax in figure.axes if ax.get_title()]
    labels = [ax.xaxis.label.get_window_extent(renderer) for ax in figure.axes if ax.get_xlabel()]
    for boxes in (titles, labels):
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_panels_wrap(pictures):
    figure = pictures["accuracy"].draw()
    FigureCanvasAgg(figure).draw()
    places = {(round(ax.get_position().x0, 2), round(ax.get_position().y0, 2)) for ax in figure.axes}
    assert (len(figure.axes), len({x for x, _ in places}), len({y for _, y in places})) == (ROOM, 3, 2)


def drawn_methods(figure, name):
    """The names of methods in panels, on rows or in the legend."""
    if name.startswith("diary"):
        texts = [ax.get_ylabel() for ax in figure.axes if ax.get_ylabel()]
    elif name in ("accuracy", "ranks"):
        texts = [ax.get_title() for ax in figure.axes]
    else:
        legend = (figure.subfigs or [figure])[0].legends[0]
        return {text.get_text() for text in legend.get_texts()} - {"parameter count", "random choice"}
    return {text.replace("-\n", "-").replace("\n", " ").split(", seed")[0] for text in texts}


@pytest.mark.parametrize("name", ROOMY)
def test_of_many_methods_the_first_unchanged_ones_are_drawn_and_the_others_named(name, many, pictures):
    main = [method for method in many.methods if method.is_main]
    kept = [method.label for method in main if not method.is_changed][:ROOM]
    assert drawn_methods(pictures[name].draw(), name) == set(kept)
    out = [method.label for method in main if method.label not in kept]
    assert pictures[name].caption.endswith(f" Not shown, but in the CSV: {', '.join(out)}.")
    at = pictures[name].csv.header.index("strategy")
    names = {row[at] for row in pictures[name].csv.rows()}
    assert set(MANY) < names
    assert "guided[pool=1]" in names


def test_of_few_methods_changed_ones_have_room(full):
    assert all("Not shown" not in picture.caption for picture in pictures_of(full).values())


@pytest.mark.parametrize("name", ["curves", "best-scored"])
def test_lines_of_many_methods_have_colours_of_their_own(name, pictures):
    figure = pictures[name].draw()
    handles = (figure.subfigs or [figure])[0].legends[0].legend_handles
    assert len({handle.get_color() for handle in handles}) == ROOM + 1  # and that of what they are compared with


def test_every_method_has_its_tau_and_its_row_in_the_variants(pictures):
    for name, rows in (("tau", 15), ("variants", 14)):
        assert len(pictures[name].draw().axes[0].get_yticklabels()) == rows


def test_diary_has_a_row_a_method_a_panel_each_and_dotted_marks(pictures):
    figure = pictures["diary-how-much-each-counts"].draw()
    assert len(figure.axes) == 3 * ROOM
    assert [ax.get_title() for ax in figure.axes[:3]] == ["stage 1", "stage 2", "stage 3"]
    lines = lines_by_label(figure.axes[2])
    assert list(lines["teacher 0"][0].get_ydata()) == pytest.approx([1.0, 0.5, 0.4, 0.3])
    dotted = [line for line in figure.axes[0].lines if line.get_linestyle() == ":"]
    assert [line.get_xdata()[0] for line in dotted] == [30.0, 47.5]


def test_all_dense_panels_share_one_scale_of_colours(table, tmp_path):
    for number, name in enumerate(("a", "b")):
        write_run(tmp_path, table, name, index=EVERYTHING, noise=0.02 + 0.2 * number)
    figure = pictures_of(read(tmp_path, table))["accuracy"].draw()
    dense = [one for ax in figure.axes for one in ax.collections if isinstance(one, PolyCollection)]
    assert len({one.get_clim() for one in dense[:2]}) == 1
    assert len(figure.axes) == 3  # two panels and one bar
