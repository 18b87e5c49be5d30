"""Plots on axes: functions that take an Axes and data of `bench.report.figures` and return the Axes."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from bench.report.ablations import AblationsFigure
from bench.report.figures import CurvesFigure, Panel, SearchGroup, SearchLine, TauFigure
from bench.report.guidance import MethodGuidance
from bench.stats.intervals import SeedSpread

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DENSE = 2_000  # architectures from which a panel shows their density instead of points
# Okabe & Ito's colours that are legible on white; marker and line style change at another pace, so that methods can be
# told apart without colour.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#56B4E9", "#E69F00")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h", "p", "d")
LINES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)))
REFERENCE = "#666666"
_ACCURACY_TICKS = (0.99, 0.97, 0.94, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
_REGRET_TICKS = (0, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)


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
        look = look_of(method.place)
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
        tau, colour = row.metrics["kendall_tau_b"], look_of(y)["color"]
        spread, bootstrapped, parameters = tau.spread, tau.architectures, row.tau_of_parameters.value
        _seeds_and_mean(ax, y, y, tau.values, spread, filled=row.score_set == "inherited")
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
    ax.set_xlabel("Kendall tau-b")
    return _rows(ax, [row.label for row in rows], np.clip(ends, -1, 1))


def plot_gains(ax: "Axes", figure: AblationsFigure, by_loss: bool = False) -> "Axes":
    """A row a method: its seeds as dots and the mean with its interval, all minus MNGNAS on the same seeds."""
    ends = [0.0]
    for y, line in enumerate(figure.lines):
        values, spread = (line.values_by_loss, line.spread_by_loss) if by_loss else (line.values, line.spread)
        _seeds_and_mean(ax, y, line.place, values, spread)
        ends += [*values, spread.ci_low, spread.ci_high]
    ax.axvline(0, color=REFERENCE, linestyle="--", linewidth=1, label=figure.standard, zorder=1)
    ax.set_xlabel(f"tau-b by {'loss' if by_loss else 'accuracy'} minus that of {figure.standard}")
    return _rows(ax, [line.label for line in figure.lines], np.array(ends))


def _seeds_and_mean(
    ax: "Axes", y: int, place: int, values: Sequence[float], spread: SeedSpread, *, filled: bool = True
) -> None:
    """Seeds as dots above the line `y`; on it the mean with the interval over seeds, in the look of `place`."""
    colour = look_of(place)["color"]
    ax.plot(values, [y - 0.22] * len(values), ".", color=colour, markersize=5, label="one seed")
    if np.isfinite(spread.ci_low):
        ax.plot([spread.ci_low, spread.ci_high], [y, y], color=colour, linewidth=2.6, label="mean, 95 % over seeds")
    face, edge = (colour, "white") if filled else ("white", colour)
    ax.plot(spread.mean, y, look_of(place)["marker"], color=face, markeredgecolor=edge, markersize=7.5)


def _rows(ax: "Axes", labels: Sequence[str], ends: np.ndarray) -> "Axes":
    """A named row for each label, and room for the finite ones of `ends` along x."""
    low, high = (np.nanmin(ends), np.nanmax(ends)) if np.isfinite(ends).any() else (-1, 1)
    margin = 0.03 * (high - low) + 0.005
    ax.set(xlim=(low - margin, high + margin), ylim=(len(labels) - 0.4, -0.6))
    ax.set_yticks(range(len(labels)), labels)
    ax.grid(visible=False, axis="y")
    return ax


def plot_alpha(ax: "Axes", method: MethodGuidance, stage: int | None) -> "Axes":
    """A line a teacher: its coefficient in a stage, counted from 0, or the mean over stages for None."""
    for line in method.teachers:
        look = look_of(line.number) | {"marker": ".", "markersize": 2.5, "linewidth": 1.2}
        alpha = line.alpha.mean(axis=0) if stage is None else line.alpha[stage]
        ax.plot(line.spent, alpha, **look, label=f"teacher {line.number}")
    for spent in method.rounds:
        ax.axvline(spent, color=REFERENCE, linestyle=":", linewidth=0.8, zorder=1)
    ax.set(xlim=(0, 1), ylim=(-0.03, 1.03), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
    ax.xaxis.set_major_formatter(lambda value, _: f"{100 * value:g}")
    return ax


def _cloud(ax: "Axes", x: np.ndarray, y: np.ndarray, bins: Literal["log"] | None) -> None:
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    if len(x) < DENSE:
        ax.scatter(x, y, s=7, color=COLOURS[0], alpha=0.75, linewidths=0)
    else:
        dark_is_many = ListedColormap(colormaps["cividis_r"](np.linspace(0.08, 1, 256)))  # visible on white
        ax.hexbin(x, y, gridsize=(40, 23), bins=bins, mincnt=1, cmap=dark_is_many, linewidths=0.1, rasterized=True)


def look_of(number: int) -> dict[str, Any]:
    """Colour, line style and marker of the n-th method."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": LINES[number % len(LINES)],
        "marker": MARKERS[number % len(MARKERS)],
    }


def _lines(group: SearchGroup) -> Iterator[tuple[SearchLine, dict[str, Any]]]:
    for line in group.methods:
        yield line, look_of(line.place) | {"markevery": (line.place % 8, 8)}
    for line, style in zip(group.baselines, (":", "--"), strict=False):
        yield line, {"color": REFERENCE, "linestyle": style}


def _band(ax: "Axes", k: np.ndarray, values: np.ndarray, look: dict[str, Any], label: str) -> None:
    if len(values) > 1:
        ax.fill_between(k, values.min(axis=0), values.max(axis=0), color=look["color"], alpha=0.15, linewidth=0)
    ax.plot(k, values.mean(axis=0), **look, label=label)
