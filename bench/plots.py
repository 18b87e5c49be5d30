"""Pictures from the numbers of `bench.figures`: functions that take an Axes and data and return the Axes.

No pyplot and no global state: a `Figure` is made, drawn and saved inside one style. The same numbers give the same
bytes. A new picture is one `draw_*` function, its caption, and one line in `PICTURES`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from textwrap import fill
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from bench.figures import (
    CurvesFigure,
    FigureNumbers,
    Panel,
    PanelsFigure,
    Results,
    SearchFigure,
    SearchGroup,
    SearchLine,
    StudyRuns,
    TauFigure,
    curves,
    panels,
    search,
    taus,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, FigureBase
    from matplotlib.legend import Legend

WIDTH = 7.2  # inches: the text width of a page, so that fonts print as set here
DENSE = 2_000  # architectures from which a panel shows their density instead of points
# Okabe & Ito's colours that are legible on white; marker and line style change at another pace, so that methods can be
# told apart without colour.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#56B4E9", "#E69F00")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h", "p", "d")
LINES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)))
REFERENCE = "#666666"
_ACCURACY_TICKS = (0.99, 0.97, 0.94, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
_REGRET_TICKS = (0, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
STYLE = {
    "svg.hashsalt": "bench.plots",
    "svg.fonttype": "path",
    "font.size": 8.5,
    "axes.titlesize": 8,
    "axes.labelsize": 8.5,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.5,
    "lines.markersize": 4,
    "savefig.dpi": 220,  # of what is rasterised inside an SVG
}


@dataclass(frozen=True)
class Picture:
    """A picture of the report: where its numbers come from, how it is drawn and how it is read."""

    name: str  # of its file
    data: str  # of the CSV; pictures of the same numbers share it
    title: str
    numbers: Callable[[StudyRuns, Results], FigureNumbers | None]  # None where a study has nothing to show
    draw: Callable[[Any], "Figure"]  # of what `numbers` gives
    caption: Callable[[Any], str]


def to_svg(picture: Picture, numbers: FigureNumbers) -> bytes:
    """The picture as SVG, without a date."""
    from matplotlib import style
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    with style.context(["default", STYLE]):
        figure = picture.draw(numbers)
        out = BytesIO()
        FigureCanvasSVG(figure).print_svg(out, metadata={"Date": None, "Creator": None})
    return out.getvalue()


# ------------------------------------------------------------------------------------------------------------- on axes


def plot_accuracies(ax: "Axes", panel: Panel) -> "Axes":
    """True against predicted accuracy in percent; the true one on a logarithmic scale of the error, best at the top."""
    from matplotlib.ticker import MaxNLocator

    _cloud(ax, 100 * panel.predicted, _height(panel.true), bins="log")
    (low, high), ticks = ax.get_ylim(), list[float]()
    for height in _height(_ACCURACY_TICKS):  # from the best down, as many as have room
        if low <= height <= high and (not ticks or ticks[-1] - height > 0.07 * (high - low)):
            ticks.append(height)
    if len(ticks) < 3:  # a narrow range
        even = MaxNLocator(5).tick_values(panel.true.min(), panel.true.max())
        ticks = [height for height in _height(even) if low <= height <= high]
    ax.set_yticks(ticks)
    ax.yaxis.set_major_formatter(lambda value, _: f"{100 - 100 * 10**-value:.3g}")
    ax.set_box_aspect(1)
    return ax


def _height(accuracy: ArrayLike) -> np.ndarray:
    return -np.log10(np.maximum(1 - np.asarray(accuracy), 1e-4))


def plot_ranks(ax: "Axes", panel: Panel) -> "Axes":
    """True against predicted rank, 1 = best at the top right, with the line of a perfect ranking."""
    from matplotlib.ticker import MaxNLocator

    n = len(panel.true)
    _cloud(ax, panel.predicted_rank, panel.true_rank, bins=None)
    ax.plot([1, n], [1, n], color="white", linewidth=2.2)
    ax.plot([1, n], [1, n], color="black", linewidth=0.9, linestyle=(0, (4, 2)))
    ends = (n + 0.02 * n, 1 - 0.02 * n)
    ticks = [1, *(tick for tick in MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(1, n) if 1 < tick <= n)]
    ax.set(xlim=ends, ylim=ends, box_aspect=1, xticks=ticks, yticks=ticks)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter("{x:,.0f}")
    return ax


def plot_curves(ax: "Axes", figure: CurvesFigure, progress: str) -> "Axes":
    """Tau-b against `progress`, a column of `CurveLine`: "passes", "images" or "seconds"."""
    from matplotlib.ticker import EngFormatter

    for method in figure.methods:
        look = _look(method.place)
        for line in method.lines if len(method.lines) > 1 else ():
            ax.plot(getattr(line, progress), line.tau, color=look["color"], linewidth=0.6, alpha=0.5)
        ax.plot(getattr(method.mean, progress), method.mean.tau, **look, label=method.label)
    ax.axhline(figure.parameters_tau, color=REFERENCE, linestyle="--", linewidth=1, label="parameter count", zorder=1)
    ax.set_xlim(left=0)
    ax.xaxis.set_major_formatter(EngFormatter(sep=""))
    ax.locator_params(axis="x", nbins=5)
    return ax


def plot_precision(ax: "Axes", group: SearchGroup) -> "Axes":
    """Precision at K, the mean over seeds and the band between the lowest and the highest seed."""
    for line, look in _lines(group):
        _band(ax, line.k, line.precision, look, line.label)
    ax.set(ylim=(0, 1.02), ylabel="precision at K")
    return _against_k(ax)


def plot_regret(ax: "Axes", group: SearchGroup) -> "Axes":
    """Regret after training the K best-scored, in percent points; as `plot_precision`."""
    for line, look in _lines(group):
        _band(ax, line.k, 100 * line.regret, look, line.label)
    ax.set_yscale("symlog", linthresh=0.1, linscale=0.4)
    top = 105 * max(float(line.regret.max()) for line, _ in _lines(group))
    ticks = [tick for tick in _REGRET_TICKS if tick <= max(top, 0.1)]
    ax.set_ylim(0, max(top, 0.1))
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set_yticks([], minor=True)
    ax.set_ylabel("regret in percent points")
    return _against_k(ax)


def _against_k(ax: "Axes") -> "Axes":
    from matplotlib.ticker import EngFormatter

    ax.set(xscale="log", xlabel="K best-scored architectures")
    ax.xaxis.set_major_formatter(EngFormatter(sep=""))
    return ax


def plot_taus(ax: "Axes", figure: TauFigure) -> "Axes":
    """A row a method: its seeds as dots, the mean with both intervals, and the parameter count on the same scores."""
    rows, ends = figure.results.rows, []
    for y, row in enumerate(rows):
        tau, colour = row.metrics["kendall_tau_b"], _look(y)["color"]
        spread, bootstrapped, parameters = tau.spread, tau.architectures, row.tau_of_parameters.value
        face = colour if row.score_set == "inherited" else "white"
        ax.plot(tau.values, [y - 0.22] * len(tau.values), ".", color=colour, markersize=5, label="one seed")
        if np.isfinite(spread.ci_low):
            interval = [spread.ci_low, spread.ci_high]
            ax.plot(interval, [y, y], color=colour, linewidth=2.6, label="mean, 95 % over seeds")
        edge = colour if face == "white" else "white"
        ax.plot(spread.mean, y, MARKERS[y % len(MARKERS)], color=face, markeredgecolor=edge, markersize=7.5)
        if bootstrapped is not None:
            interval = [bootstrapped.ci_low, bootstrapped.ci_high]
            ax.plot(interval, [y + 0.22] * 2, "|-", color=colour, linewidth=1, label="95 % over architectures")
            ends += interval
        ax.plot([parameters] * 2, [y - 0.5, y + 0.5], color=REFERENCE, linestyle="--", label="parameter count")
        ends += [*tau.values, spread.ci_low, spread.ci_high, parameters]
    ceiling = figure.results.references[-1].estimates["kendall_tau_b"].value
    inherited = [y for y, row in enumerate(rows) if row.score_set == "inherited"]
    if inherited and np.isfinite(ceiling):
        ax.plot([ceiling] * 2, [-0.5, max(inherited) + 0.5], color=REFERENCE, linestyle=":", label="ceiling")
        ends.append(ceiling)
    low, high = np.clip([np.nanmin(ends), np.nanmax(ends)], -1, 1) if np.isfinite(ends).any() else (-1, 1)
    margin = 0.03 * (high - low) + 0.005
    ax.set(xlim=(low - margin, high + margin), ylim=(len(rows) - 0.4, -0.6), xlabel="Kendall tau-b")
    ax.set_yticks(range(len(rows)), [row.label for row in rows])
    ax.grid(visible=False, axis="y")
    return ax


def _cloud(ax: "Axes", x: np.ndarray, y: np.ndarray, bins: Literal["log"] | None) -> None:
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    if len(x) < DENSE:
        ax.scatter(x, y, s=7, color=COLOURS[0], alpha=0.75, linewidths=0)
    else:
        dark_is_many = ListedColormap(colormaps["cividis_r"](np.linspace(0.08, 1, 256)))  # visible on white
        ax.hexbin(x, y, gridsize=(40, 23), bins=bins, mincnt=1, cmap=dark_is_many, linewidths=0.1, rasterized=True)


def _look(number: int) -> dict[str, Any]:
    """Colour, line style and marker of the n-th method."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": LINES[number % len(LINES)],
        "marker": MARKERS[number % len(MARKERS)],
    }


def _lines(group: SearchGroup) -> Iterator[tuple[SearchLine, dict[str, Any]]]:
    for line in group.methods:
        yield line, _look(line.place) | {"markevery": (line.place % 8, 8)}
    for line, style in zip(group.baselines, (":", "--"), strict=False):
        yield line, {"color": REFERENCE, "linestyle": style}


def _band(ax: "Axes", k: np.ndarray, values: np.ndarray, look: dict[str, Any], label: str) -> None:
    if len(values) > 1:
        ax.fill_between(k, values.min(axis=0), values.max(axis=0), color=look["color"], alpha=0.15, linewidth=0)
    ax.plot(k, values.mean(axis=0), **look, label=label)


# ------------------------------------------------------------------------------------------------------ whole pictures


def _grid(panels: int, columns: int, size: tuple[float, float]) -> "tuple[Figure, list[Axes]]":
    """As many axes as panels, in rows of `columns`; `size` is that of one in inches."""
    from matplotlib.figure import Figure

    rows = -(-panels // columns)
    figure = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    return figure, [figure.add_subplot(rows, columns, 1 + place) for place in range(panels)]


def _legend(figure: "FigureBase", ax: "Axes") -> "Legend":
    """One entry a label, below everything."""
    handles = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    widest = max(map(len, handles), default=1)
    columns = max(1, min(5, len(handles), 105 // (widest + 6)))
    return figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=columns)


def _clouds(numbers: PanelsFigure, plot: Callable[["Axes", Panel], "Axes"], x: str, y: str) -> "Figure":
    from matplotlib.collections import PolyCollection

    columns = min(3, len(numbers.panels))
    figure, axes = _grid(len(numbers.panels), columns, (2.3, 2.25) if columns == 3 else (3.0, 3.0))
    for ax, panel in zip(axes, numbers.panels, strict=True):
        plot(ax, panel)
        name = fill(f"{panel.label}, seed\u00a0{panel.seed}", 24)
        ax.set_title(f"{name}\ntau-b {_number(panel.tau)}, n = {len(panel.true):,}")
    figure.supxlabel(x, fontsize=STYLE["font.size"])
    figure.supylabel(y, fontsize=STYLE["font.size"])
    dense = [one for ax in axes for one in ax.collections if isinstance(one, PolyCollection)]
    if dense:  # one scale of colours for all panels; a few crowded cells must not decide it
        counts = np.concatenate([np.asarray(one.get_array()) for one in dense])
        for one in dense:
            one.set_clim(1, max(2.0, np.quantile(counts, 0.98)))
        rows = -(-len(axes) // columns)
        bar = figure.colorbar(dense[0], ax=axes, shrink=0.85 / rows, anchor=(0, 1), aspect=22, extend="max")
        bar.set_label("architectures in a cell")
        bar.ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    return figure


def draw_accuracies(numbers: PanelsFigure) -> "Figure":
    """A panel a method."""
    return _clouds(numbers, plot_accuracies, "one-shot accuracy in % (predicted)", f"{numbers.target}, %")


def draw_ranks(numbers: PanelsFigure) -> "Figure":
    """A panel a method."""
    return _clouds(numbers, plot_ranks, "predicted rank (1 = best)", "true rank (1 = best)")


def draw_curves(numbers: CurvesFigure) -> "Figure":
    """The same curves against three measures of effort."""
    figure, axes = _grid(3, 3, (WIDTH / 3, 2.9))
    labels = {"passes": "forward-backward passes", "images": "training images", "seconds": "seconds of training"}
    for ax, (progress, label) in zip(axes, labels.items(), strict=True):
        plot_curves(ax, numbers, progress)
        ax.set_xlabel(label)
        ax.sharey(axes[0])
        ax.tick_params(labelleft=ax is axes[0])
    axes[0].set_ylabel("Kendall tau-b")
    _legend(figure, axes[0])
    return figure


def draw_search(numbers: SearchFigure) -> "Figure":
    """A row a score set: precision and regret."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, 3.5 * len(numbers.groups)), layout="constrained")
    for place, group in enumerate(numbers.groups):
        part = figure.add_subfigure(figure.add_gridspec(len(numbers.groups), 1)[place])
        left, right = part.subplots(1, 2)
        plot_regret(right, group)
        _legend(part, plot_precision(left, group))
        part.suptitle(f"{group.score_set} scores, n = {_sizes(group)}", fontsize=STYLE["font.size"])
    return figure


def draw_taus(numbers: TauFigure) -> "Figure":
    """A row a method."""
    from matplotlib.lines import Line2D

    figure, axes = _grid(1, 1, (WIDTH, 1.3 + 0.42 * len(numbers.results.rows)))
    for handle in _legend(figure, plot_taus(axes[0], numbers)).legend_handles:
        if isinstance(handle, Line2D):
            handle.set_color("black")  # it stands for all rows
    return figure


def _number(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else "n/a"


# ------------------------------------------------------------------------------------------------------------ captions


def _whose(numbers: PanelsFigure) -> str:
    sizes = sorted({len(panel.true) for panel in numbers.panels})
    n = " to ".join(f"{size:,}" for size in (sizes[0], sizes[-1])[: len(sizes)])
    return f"One panel a method: its first seed, not a mean over seeds; n = {n} architectures a panel."


def caption_accuracies(numbers: PanelsFigure) -> str:
    """How to read `draw_accuracies`."""
    return (
        f"{_whose(numbers)} Right is what the method believes to be good, up is what is good ({numbers.target}, mean "
        "over the table's seeds), spaced by the logarithm of the error so that the many good architectures are not "
        "squeezed into one line. A good method shows a rising band that is narrow at its upper right end. Dark cells "
        "hold many architectures (logarithmic scale). The panels have their own horizontal scales."
    )


def caption_ranks(numbers: PanelsFigure) -> str:
    """How to read `draw_ranks`."""
    return (
        f"{_whose(numbers)} The best architectures are at the upper right; a perfect ranking lies on the dashed line. "
        "Architectures with the same score share their mean rank and stand above each other. Dark cells hold many."
    )


def caption_curves(numbers: CurvesFigure) -> str:
    """How to read `draw_curves`."""
    n = " or ".join(f"{size:,}" for size in numbers.n_arch)
    sample = "the same sample" if numbers.n_samples == 1 else f"one of {numbers.n_samples} samples"
    seeds = ", ".join(f"{method.label} {len(method.seeds)}" for method in numbers.methods)
    return (
        f"Tau-b on {sample} of n = {n} architectures that is scored while the supernet trains, so it differs a little "
        f"from the tables. Thick: mean over seeds; thin: each seed (seeds: {seeds}). Dashed: the parameter count's "
        f"tau-b on the sample, {_number(numbers.parameters_tau)}. Passes are forward-backward passes of one batch, "
        "forwards counted as a third; seconds compare only runs on the same device."
    )


def caption_search(numbers: SearchFigure) -> str:
    """How to read `draw_search`."""
    return (
        "Left: the share of the K best-scored architectures that is among the K truly best (higher is better). Right: "
        "how far the best of these K, once trained, stays below the best of all (lower is better; linear below 0.1). "
        "Lines: mean over seeds; bands: from the lowest to the highest seed. Equal scores are taken in random order, "
        "as an expected value. " + " ".join(map(_group_size, numbers.groups))
    )


def _sizes(group: SearchGroup) -> str:
    sizes = sorted({line.n_arch for line in group.methods})
    return " to ".join(f"{size:,}" for size in (sizes[0], sizes[-1])[: len(sizes)])


def _group_size(group: SearchGroup) -> str:
    seeds = ", ".join(f"{line.label} {len(line.seeds)}" for line in group.methods)
    return f"{group.score_set.capitalize()} scores: n = {_sizes(group)} architectures; seeds: {seeds}."


def caption_taus(numbers: TauFigure) -> str:
    """How to read `draw_taus`."""
    reference = numbers.results.references[-1].estimates["kendall_tau_b"]
    return (
        "Small dots: one seed each. Large marker and thick bar: their mean and its 95 % interval over seeds (none for "
        "one seed). Thin bar below: 95 % interval of the same mean over architectures. Dashed: the parameter count on "
        "the same architectures; a method left of it tells less than counting does. Dotted: one seed of the "
        f"table against the mean of its others (n = {reference.n:,}). Filled markers are inherited weights, open ones "
        "retrained samples."
    )


PICTURES = (
    Picture("tau", "tau", "Rank correlation of every method", taus, draw_taus, caption_taus),
    Picture("accuracy", "architectures", "Predicted and true accuracy", panels, draw_accuracies, caption_accuracies),
    Picture("ranks", "architectures", "Predicted and true rank", panels, draw_ranks, caption_ranks),
    Picture("curves", "curves", "Rank correlation during training", curves, draw_curves, caption_curves),
    Picture("search", "search", "What training the best-scored would find", search, draw_search, caption_search),
)
