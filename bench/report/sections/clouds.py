"""Predicted against true, architecture by architecture: as accuracies and as ranks."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from textwrap import fill
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike

from bench.report.look import COLOURS, STYLE, foremost, left_out, panels
from bench.report.page import Block, Csv, CsvRow, Heading, Picture, Section
from bench.report.runs import StudyRuns
from bench.report.scores import TAU, OfMethod
from bench.report.text import count, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DENSE = 2_000  # architectures from which a panel shows their density instead of points
MANY_POINTS = 200  # from which they are drawn as one image
_ACCURACY_TICKS = (0.99, 0.97, 0.94, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)


@dataclass(frozen=True, eq=False)
class Cloud(OfMethod):
    """The first seed of a method."""

    seed: int
    tau: float
    score: str  # name of the column that is predicted
    arch_index: np.ndarray  # int64 [n]
    predicted: np.ndarray  # [n]
    true: np.ndarray  # [n]
    predicted_rank: np.ndarray  # [n], 1 = best, the mean rank where scores tie
    true_rank: np.ndarray  # [n]


@dataclass(frozen=True)
class Clouds:
    """Of every method with a usable first seed."""

    target: str
    clouds: tuple[Cloud, ...]


def clouds(study: StudyRuns) -> Clouds | None:
    """What one run gives."""
    from scipy.stats import rankdata

    found = [
        Cloud(
            *(*method.identity, one.seed, one.value(TAU), method.columns[0]),
            *(one.arch_index, one.score, one.true, rankdata(-one.score), rankdata(-one.true)),
        )
        for method in study.methods
        for one in method.seeds[:1]
        if one.usable
    ]
    return Clouds(str(study.target), tuple(found)) if found else None


# --------------------------------------------------------------------------------------------------------------- words


def blocks(numbers: Clouds) -> Sequence[Block]:
    """Two pictures of the same numbers."""
    csv = Csv("architectures", CSV_HEADER, partial(csv_rows, numbers))
    by_value = Picture(
        *("accuracy", "Predicted and true accuracy", partial(draw_accuracies, numbers)), _caption(numbers), csv
    )
    by_rank = Picture("ranks", "Predicted and true rank", partial(draw_ranks, numbers), _caption_ranks(numbers), csv)
    return [Heading("Architecture by architecture"), by_value, by_rank]


def _whose(numbers: Clouds) -> str:
    n = count([len(cloud.true) for cloud in numbers.clouds])
    return f"One panel a method: its first seed, not a mean over seeds; n = {n} architectures a panel."


def _caption(numbers: Clouds) -> str:
    return (
        f"{_whose(numbers)} Right is what the method believes to be good, up is what is good ({numbers.target}, mean "
        "over the table's seeds), spaced by the logarithm of the error so that the many good architectures are not "
        "squeezed into one line. A good method shows a rising band that is narrow at its upper right end. Dark cells "
        "hold many architectures (logarithmic scale). The panels have their own horizontal scales."
        + left_out(numbers.clouds)
    )


def _caption_ranks(numbers: Clouds) -> str:
    return (
        f"{_whose(numbers)} The best architectures are at the upper right; a perfect ranking lies on the dashed line. "
        "Architectures with the same score share their mean rank and stand above each other. Dark cells hold many."
        + left_out(numbers.clouds)
    )


# ------------------------------------------------------------------------------------------------------------ pictures

CSV_HEADER = (
    *("method", "strategy", "scores", "seed", "arch_index"),
    *("predicted", "true", "predicted_rank", "true_rank"),
)


def csv_rows(numbers: Clouds) -> Iterator[CsvRow]:
    """A line for each architecture of each panel; accuracies as fractions."""
    for c in numbers.clouds:
        columns = (c.arch_index, c.predicted, c.true, c.predicted_rank, c.true_rank)
        for values in zip(*(column.tolist() for column in columns), strict=True):
            yield c.label, c.strategy, c.scores, c.seed, *values


def draw_accuracies(numbers: Clouds) -> "Figure":
    """A panel a method, of `look.ROOM` at most."""
    scores = {cloud.score for cloud in numbers.clouds}
    x = "predicted accuracy in %" if scores == {"accuracy"} else "score (accuracies in %)"
    return _draw(numbers, plot_accuracies, x, fill(f"{numbers.target}, %", 28))


def draw_ranks(numbers: Clouds) -> "Figure":
    """A panel a method."""
    return _draw(numbers, plot_ranks, "predicted rank (1 = best)", "true rank (1 = best)")


def _draw(numbers: Clouds, plot: Callable[["Axes", Cloud], "Axes"], x: str, y: str) -> "Figure":
    from matplotlib.collections import PolyCollection

    shown = foremost(numbers.clouds)
    columns = min(3, len(shown))
    figure, axes = panels(len(shown), columns, (2.3, 2.25) if columns == 3 else (3.0, 3.0))
    for ax, cloud in zip(axes, shown, strict=True):
        plot(ax, cloud)
        name = fill(f"{cloud.label}, seed\u00a0{cloud.seed}", 28)
        ax.set_title(f"{name}\ntau-b {number(cloud.tau)}, n = {len(cloud.true):,}")
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


def plot_accuracies(ax: "Axes", cloud: Cloud) -> "Axes":
    """True accuracy against the score (accuracies in percent), on a logarithmic scale of the error, best at the top."""
    from matplotlib.ticker import MaxNLocator

    _cloud(ax, cloud.predicted * (100 if cloud.score == "accuracy" else 1), _height(cloud.true), bins="log")
    (low, high), ticks = ax.get_ylim(), list[float]()
    for height in _height(_ACCURACY_TICKS):  # from the best down, as many as have room
        if low <= height <= high and (not ticks or ticks[-1] - height > 0.07 * (high - low)):
            ticks.append(height)
    if len(ticks) < 3:  # a narrow range
        even = MaxNLocator(5).tick_values(cloud.true.min(), cloud.true.max())
        ticks = [height for height in _height(even) if low <= height <= high]
    ax.set_yticks(ticks)
    ax.yaxis.set_major_formatter(lambda value, _: f"{100 - 100 * 10**-value:.3g}")
    ax.set_box_aspect(1)
    return ax


def _height(accuracy: ArrayLike) -> np.ndarray:
    return np.asarray(-np.log10(np.maximum(1 - np.asarray(accuracy), 1e-4)))


def plot_ranks(ax: "Axes", cloud: Cloud) -> "Axes":
    """True against predicted rank, 1 = best at the top right, with the line of a perfect ranking."""
    _cloud(ax, cloud.predicted_rank, cloud.true_rank, bins=None)
    return rank_axes(ax, len(cloud.true))


def rank_axes(ax: "Axes", n: int) -> "Axes":
    """Both axes from n at the lower left to 1 at the upper right, and the line of equal ranks."""
    from matplotlib.ticker import MaxNLocator

    ax.plot([1, n], [1, n], color="white", linewidth=2.2)
    ax.plot([1, n], [1, n], color="black", linewidth=0.9, linestyle=(0, (4, 2)))
    ends = (n + 0.02 * n, 1 - 0.02 * n)
    ticks = [1, *(tick for tick in MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(1, n) if 1 < tick <= n)]
    ax.set(xlim=ends, ylim=ends, box_aspect=1, xticks=ticks, yticks=ticks)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter("{x:,.0f}")
    return ax


def _cloud(ax: "Axes", x: np.ndarray, y: np.ndarray, bins: Literal["log"] | None) -> None:
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    if len(x) < DENSE:
        ax.scatter(x, y, s=7, color=COLOURS[0], alpha=0.75, linewidths=0, rasterized=len(x) > MANY_POINTS)
    else:
        dark_is_many = ListedColormap(colormaps["cividis_r"](np.linspace(0.08, 1, 256)))  # visible on white
        ax.hexbin(x, y, gridsize=(40, 23), bins=bins, mincnt=1, cmap=dark_is_many, linewidths=0.1, rasterized=True)


SECTION = Section("clouds", clouds, blocks)
