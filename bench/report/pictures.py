"""Whole pictures from the numbers of `bench.report.figures` and `bench.report.guidance`, with their captions.

No pyplot and no global state: a `Figure` is made, drawn and saved inside one style. The same numbers give the same
bytes. A new picture is one `draw_*` function, its caption, and one line in `PICTURES`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from textwrap import fill
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from bench.report.ablations import AblationsFigure, ablations
from bench.report.figures import (
    CurvesFigure,
    FigureNumbers,
    MethodCurve,
    Panel,
    PanelsFigure,
    SearchFigure,
    SearchGroup,
    SearchLine,
    TauFigure,
    curves,
    panels,
    search,
    taus,
)
from bench.report.guidance import GuidanceFigure, MethodGuidance, guidance
from bench.report.plots import (
    plot_accuracies,
    plot_alpha,
    plot_curves,
    plot_gains,
    plot_precision,
    plot_ranks,
    plot_regret,
    plot_taus,
)
from bench.report.results import Results
from bench.report.runs import StudyRuns
from bench.report.text import count, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, FigureBase
    from matplotlib.legend import Legend

ROOM = 6  # methods in a picture that has a panel, a row or a line with a band for each
_FIRST = ("mngnas", "fairnas", "spos")  # strategies that are kept before all others
_T = TypeVar("_T", Panel, MethodCurve, SearchLine, MethodGuidance)
_L = TypeVar("_L", MethodCurve, SearchLine)
WIDTH = 7.2  # inches: the text width of a page, so that fonts print as set here
STYLE = {
    "svg.hashsalt": "bench.report.plots",
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
        figure.draw_without_rendering()  # the layout of axes with a scale of their own settles in a second pass only
        out = BytesIO()
        FigureCanvasSVG(figure).print_svg(out, metadata={"Date": None, "Creator": None})
    return out.getvalue()


def _grid(panels: int, columns: int, size: tuple[float, float]) -> "tuple[Figure, list[Axes]]":
    """As many axes as panels, in rows of `columns`; `size` is that of one in inches."""
    from matplotlib.figure import Figure

    rows = -(-panels // columns)
    figure = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    return figure, [figure.add_subplot(rows, columns, 1 + place) for place in range(panels)]


def _legend(figure: "FigureBase", *axes: "Axes") -> "Legend":
    """One entry a label, below everything."""
    handles = {label: one for ax in axes for one, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    widest = max(map(len, handles), default=1)
    columns = max(1, min(5, len(handles), 105 // (widest + 6)))
    return figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=columns)


def _foremost(methods: Sequence[_T]) -> list[_T]:
    """Those that a picture has room for, in their order: of `_FIRST`, then the first of the rest."""
    order = {name: place for place, name in enumerate(_FIRST)}
    kept = sorted(methods, key=lambda one: order.get(one.strategy, len(order)))[:ROOM]
    return [one for one in methods if one in kept]


def _lines(methods: Sequence[_L]) -> tuple[_L, ...]:
    """`_foremost`; where that leaves any out, with looks that differ from each other, not those of other pictures."""
    shown = _foremost(methods)
    return tuple(shown if len(shown) == len(methods) else (replace(one, place=n) for n, one in enumerate(shown)))


def _left_out(methods: Sequence[_T]) -> str:
    """The end of a caption."""
    names = [one.label for one in methods if one not in _foremost(methods)]
    return f" Not shown, but in the CSV: {', '.join(names)}." if names else ""


def _clouds(numbers: PanelsFigure, plot: Callable[["Axes", Panel], "Axes"], x: str, y: str) -> "Figure":
    from matplotlib.collections import PolyCollection

    shown = _foremost(numbers.panels)
    columns = min(3, len(shown))
    figure, axes = _grid(len(shown), columns, (2.3, 2.25) if columns == 3 else (3.0, 3.0))
    for ax, panel in zip(axes, shown, strict=True):
        plot(ax, panel)
        name = fill(f"{panel.label}, seed\u00a0{panel.seed}", 24)
        ax.set_title(f"{name}\ntau-b {number(panel.tau)}, n = {len(panel.true):,}")
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
    """A panel a method, of `ROOM` at most."""
    return _clouds(numbers, plot_accuracies, "one-shot accuracy in % (predicted)", fill(f"{numbers.target}, %", 28))


def draw_ranks(numbers: PanelsFigure) -> "Figure":
    """A panel a method."""
    return _clouds(numbers, plot_ranks, "predicted rank (1 = best)", "true rank (1 = best)")


def draw_curves(numbers: CurvesFigure) -> "Figure":
    """The same curves against three measures of effort."""
    figure, axes = _grid(3, 3, (WIDTH / 3, 2.9))
    labels = {"passes": "forward-backward passes", "images": "training images", "seconds": "seconds of training"}
    shown = replace(numbers, methods=_lines(numbers.methods))
    for ax, (progress, label) in zip(axes, labels.items(), strict=True):
        plot_curves(ax, shown, progress)
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
    for place, whole in enumerate(numbers.groups):
        group = replace(whole, methods=_lines(whole.methods))
        part = figure.add_subfigure(figure.add_gridspec(len(numbers.groups), 1)[place])
        left, right = part.subplots(1, 2)
        plot_regret(right, group)
        _legend(part, plot_precision(left, group))
        part.suptitle(f"{whole.score_set} scores, n = {_sizes(whole)}", fontsize=STYLE["font.size"])
    return figure


def draw_taus(numbers: TauFigure) -> "Figure":
    """A row a method."""
    return _row_a_method([plot_taus], numbers, len(numbers.results.rows))


def draw_ablations(numbers: AblationsFigure) -> "Figure":
    """A row a method: by accuracy, then by loss."""
    return _row_a_method([plot_gains, partial(plot_gains, by_loss=True)], numbers, len(numbers.lines))


def _row_a_method(plots: Sequence[Callable[["Axes", Any], "Axes"]], numbers: FigureNumbers, rows: int) -> "Figure":
    """One panel a plot; the rows are named at the left one."""
    from matplotlib.lines import Line2D

    figure, axes = _grid(len(plots), len(plots), (WIDTH / len(plots), 1.3 + 0.42 * rows))
    for ax, plot in zip(axes, plots, strict=True):
        plot(ax, numbers).tick_params(labelleft=ax is axes[0])
    for handle in _legend(figure, axes[0]).legend_handles:
        if isinstance(handle, Line2D):
            handle.set_color("black")  # it stands for all rows
    return figure


def draw_guidance(numbers: GuidanceFigure) -> "Figure":
    """A row a method: the mean over stages, then each stage."""
    shown = _foremost(numbers.methods)
    stages = max(len(line.alpha) for method in shown for line in method.teachers)
    columns = 1 + stages
    figure, axes = _grid(columns * len(shown), columns, (WIDTH / columns, 1.7))
    for place, method in enumerate(shown):
        row = axes[place * columns : (place + 1) * columns]
        for ax, stage in zip(row, (None, *range(stages)), strict=True):
            plot_alpha(ax, method, stage)
            ax.set_title("mean over stages" if stage is None else f"stage {stage + 1}")
            ax.tick_params(labelleft=stage is None)
        row[0].set_ylabel(fill(f"{method.label}, seed\u00a0{method.seed}", 20))
    for ax in axes[-columns:]:
        ax.set_xlabel("budget spent, %")
    _legend(figure, *axes[::columns])
    return figure


# ------------------------------------------------------------------------------------------------------------ captions


def _whose(numbers: PanelsFigure) -> str:
    n = count([len(panel.true) for panel in numbers.panels])
    return f"One panel a method: its first seed, not a mean over seeds; n = {n} architectures a panel."


def caption_accuracies(numbers: PanelsFigure) -> str:
    """How to read `draw_accuracies`."""
    return (
        f"{_whose(numbers)} Right is what the method believes to be good, up is what is good ({numbers.target}, mean "
        "over the table's seeds), spaced by the logarithm of the error so that the many good architectures are not "
        "squeezed into one line. A good method shows a rising band that is narrow at its upper right end. Dark cells "
        "hold many architectures (logarithmic scale). The panels have their own horizontal scales."
        + _left_out(numbers.panels)
    )


def caption_ranks(numbers: PanelsFigure) -> str:
    """How to read `draw_ranks`."""
    return (
        f"{_whose(numbers)} The best architectures are at the upper right; a perfect ranking lies on the dashed line. "
        "Architectures with the same score share their mean rank and stand above each other. Dark cells hold many."
        + _left_out(numbers.panels)
    )


def caption_curves(numbers: CurvesFigure) -> str:
    """How to read `draw_curves`."""
    n = " or ".join(f"{size:,}" for size in numbers.n_arch)
    sample = "the same sample" if numbers.n_samples == 1 else f"one of {numbers.n_samples} samples"
    seeds = ", ".join(f"{method.label} {len(method.seeds)}" for method in _foremost(numbers.methods))
    return (
        f"Tau-b on {sample} of n = {n} architectures that is scored while the supernet trains, so it differs a little "
        f"from the tables. Thick: mean over seeds; thin: each seed (seeds: {seeds}). Dashed: the parameter count's "
        f"tau-b on the sample, {number(numbers.parameters_tau)}. Passes are forward-backward passes of one batch, "
        "forwards counted as a third; seconds compare only runs on the same device." + _left_out(numbers.methods)
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
    return count([line.n_arch for line in group.methods])


def _group_size(group: SearchGroup) -> str:
    seeds = ", ".join(f"{line.label} {len(line.seeds)}" for line in _foremost(group.methods))
    about = f"{group.score_set.capitalize()} scores: n = {_sizes(group)} architectures; seeds: {seeds}."
    return about + _left_out(group.methods)


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


def caption_ablations(numbers: AblationsFigure) -> str:
    """How to read `draw_ablations`."""
    few, many = (f([len(line.seeds) for line in numbers.lines]) for f in (min, max))
    seeds = f"{many}" if few == many else ", ".join(f"{line.label} {len(line.seeds)}" for line in numbers.lines)
    left_out = f" Not shown: {'; '.join(numbers.left_out)}." if numbers.left_out else ""
    return (
        f"Tau-b of every method minus that of {numbers.standard} on the same seed, inherited weights, with the "
        f"accuracy (left) or minus the loss (right) as the score; right of the dashed line is better than "
        f"{numbers.standard}. Small dots: one seed each. Large marker and thick bar: their "
        f"mean and its 95 % t-interval over the common seeds (n = {seeds}). The highest mean comes first. No "
        "correction for the number of methods: where nothing differs, one interval of twenty misses zero by chance."
        + left_out
    )


def caption_guidance(numbers: GuidanceFigure) -> str:
    """How to read `draw_guidance`."""
    return (
        "A row a method: its first seed, not a mean over seeds. Lines: the coefficient alpha of each teacher in the "
        "pool, means over stretches of about 1 % of the budget; those of one moment add up to 1. Left the mean over "
        "the stages, then each stage. Dotted: rounds of search, each of which makes the teacher of the next number; a "
        "line that ends is a teacher that left the pool. A teacher alone has 1." + _left_out(numbers.methods)
    )


PICTURES = (
    Picture("tau", "tau", "Rank correlation of every method", taus, draw_taus, caption_taus),
    Picture("ablations", "ablations", "Every method against MNGNAS", ablations, draw_ablations, caption_ablations),
    Picture("accuracy", "architectures", "Predicted and true accuracy", panels, draw_accuracies, caption_accuracies),
    Picture("ranks", "architectures", "Predicted and true rank", panels, draw_ranks, caption_ranks),
    Picture("curves", "curves", "Rank correlation during training", curves, draw_curves, caption_curves),
    Picture("search", "search", "What training the best-scored would find", search, draw_search, caption_search),
    Picture("guidance", "guidance", "How much each teacher counts", guidance, draw_guidance, caption_guidance),
)
