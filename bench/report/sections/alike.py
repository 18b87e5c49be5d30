"""Which methods err alike: how much two rankings agree beyond what the ground truth explains."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from bench.report.look import STYLE, WIDTH, panels
from bench.report.page import Block, Csv, CsvRow, Folded, Picture, Section
from bench.report.runs import StudyRuns
from bench.report.scores import OfMethod
from bench.report.text import count
from bench.stats.correlations import partial_correlation
from bench.stats.metrics import kendall_tau_b
from mngnas.ranks import midranks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NUMBERED = 12  # methods up to which the numbers are in the cells
_LONGEST = 36  # characters of a name
_SCALE = 1.0  # inches, of the scale of colours


@dataclass(frozen=True, eq=False)
class Alike:
    """Of every two methods, in an order in which those that err alike are neighbours."""

    methods: tuple[OfMethod, ...]
    n: np.ndarray  # int64 [n_method, n_method], architectures that all seeds of both scored and whose truth is known
    tau: np.ndarray  # [n_method, n_method], Kendall's tau-b between their mean ranks
    partial: np.ndarray  # [n_method, n_method], the same with the ground truth held; NaN where it is not defined


def alike(study: StudyRuns) -> Alike | None:
    """Of the main rankings, if there are three or more."""
    main = [method for method in study.methods if method.is_main and any(one.usable for one in method.seeds)]
    if len(main) < 3:
        return None
    return err_alike(main, [method.everywhere(study.space.n_arch) for method in main], study.truth)


def err_alike(methods: Sequence[OfMethod], scores: Sequence[np.ndarray], true: np.ndarray) -> Alike:
    """From scores `[n_seed, n_arch]` of each method, higher is better and NaN is none, and the truth `[n_arch]`."""
    pairs = PairTaus(scores, true)
    size = len(methods)
    n, tau, held = np.zeros((size, size), dtype=np.int64), np.eye(size), np.eye(size)
    for a in range(size):
        n[a, a] = pairs.common(a, a).sum()
        for b in range(a):
            n[a, b] = n[b, a] = pairs.common(a, b).sum()
            tau[a, b], held[a, b] = tau[b, a], held[b, a] = pairs.taus(a, b)
    order = _leaf_order(held)
    square = np.ix_(order, order)
    return Alike(tuple(OfMethod(*methods[place].identity) for place in order), n[square], tau[square], held[square])


class PairTaus:
    """Tau-b between mean ranks over seeds, with what several pairs need computed once."""

    def __init__(self, scores: Sequence[np.ndarray], true: np.ndarray) -> None:
        self._scores, self._true = scores, true
        self._known = np.isfinite(true)
        self._scored = [~np.isnan(rows).any(axis=0) & bool(len(rows)) for rows in scores]
        self._ranks: dict[tuple[int, bytes], tuple[np.ndarray, float]] = {}

    def common(self, a: int, b: int) -> np.ndarray:
        """Which architectures all seeds of both scored, bool `[n_arch]`."""
        found: np.ndarray = self._scored[a] & self._scored[b] & self._known
        return found

    def taus(self, a: int, b: int) -> tuple[float, float]:
        """Between a and b, as it is and with the truth held; NaN without two architectures."""
        keep = self.common(a, b)
        if keep.sum() < 2:
            return math.nan, math.nan
        (x, x_true), (y, y_true) = self._of(a, keep), self._of(b, keep)
        tau = kendall_tau_b(x, y)
        return tau, partial_correlation(tau, x_true, y_true)

    def _of(self, method: int, keep: np.ndarray) -> tuple[np.ndarray, float]:
        key = method, keep.tobytes()
        if key not in self._ranks:
            ranks = mean_ranks(self._scores[method], keep)
            self._ranks[key] = ranks, kendall_tau_b(ranks, self._true[keep])
        return self._ranks[key]


def mean_ranks(scores: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """The mean over seeds of the midranks of scores `[n_seed, n_arch]` among those to keep, 1 for the lowest; `[n]`."""
    return np.asarray(np.mean([midranks(row[keep]) for row in scores], axis=0))


def _leaf_order(similarity: np.ndarray) -> list[int]:
    """Average linkage with 1 - similarity as the distance; of the orders of its tree the one with nearest neighbours.

    Bar-Joseph, Gifford & Jaakkola, "Fast optimal leaf ordering for hierarchical clustering", Bioinformatics 2001.
    """
    if len(similarity) < 3:
        return list(range(len(similarity)))
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    distance = 1 - np.nan_to_num(similarity)
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(distance, checks=False), "average", optimal_ordering=True)
    return [int(leaf) for leaf in leaves_list(tree)]


# --------------------------------------------------------------------------------------------------------------- words


def blocks(numbers: Alike) -> Sequence[Block]:
    """One picture, folded."""
    csv = Csv("alike", CSV_HEADER, partial(csv_rows, numbers))
    picture = Picture("alike", "Methods that err alike", partial(draw_alike, numbers), _caption(numbers), csv)
    return [Folded("Which methods err alike", (picture,))]


def _caption(numbers: Alike) -> str:
    n = count([int(one) for one in numbers.n[np.triu_indices(len(numbers.n), 1)]])
    return (
        "Kendall’s partial tau-b between the rankings of two methods, the ground truth held: 1 where both get the same "
        "pairs of architectures wrong in the same way, 0 where they agree no more than two good rankings must, below 0 "
        "where one corrects the other, so that joining the two would help most. The plain tau-b, in the CSV as well, "
        "is high for any two good methods and would tell who is good, not who errs alike. Ranks are means over seeds "
        f"(n = {n} architectures of a pair); methods that err alike are neighbours (average linkage). All share the "
        "noise of one table, so a small positive number means little."
    )


# ------------------------------------------------------------------------------------------------------------- picture

CSV_HEADER = ("method", "strategy", "scores", "other", "other_strategy", "other_scores", "tau", "partial_tau", "n")


def csv_rows(numbers: Alike) -> Iterator[CsvRow]:
    """A line for each pair, in the order of the picture."""
    for a, one in enumerate(numbers.methods):
        for b, other in enumerate(numbers.methods[:a]):
            names = one.label, one.strategy, one.scores, other.label, other.strategy, other.scores
            yield *names, float(numbers.tau[a, b]), float(numbers.partial[a, b]), int(numbers.n[a, b])


def draw_alike(numbers: Alike) -> "Figure":
    """The matrix and its scale; rows are named, columns have the numbers of the rows."""
    names = 0.066 * (4 + min(_LONGEST, max(len(method.label) for method in numbers.methods)))  # inches, about
    side = min(0.5 * len(numbers.methods), WIDTH - names - _SCALE)
    figure, (ax,) = panels(1, 1, (names + side + _SCALE, max(side, 1.6) + 0.4))
    plot_alike(ax, numbers)
    bar = figure.colorbar(ax.collections[0], ax=ax, shrink=min(1.0, 2.2 / side), aspect=18)
    bar.set_label("partial tau-b")
    return figure


def plot_alike(ax: "Axes", numbers: Alike) -> "Axes":
    """A cell for every two methods, with its number where there is room; none on the diagonal."""
    from matplotlib import colormaps

    size = len(numbers.methods)
    off = np.where(np.eye(size, dtype=bool), np.nan, numbers.partial)
    finite = off[np.isfinite(off)]
    high = math.ceil(10 * max(0.1, float(np.max(np.abs(finite), initial=0)))) / 10
    low = -high if not len(finite) or finite.min() < 0 else math.floor(10 * float(finite.min())) / 10
    colours, between = colormaps["RdBu_r" if low < 0 else "cividis_r"], 0.8 if size <= NUMBERED else 0.4
    ax.pcolormesh(off, cmap=colours, vmin=low, vmax=high, edgecolors="white", linewidth=between)
    ax.set_facecolor("#EEEEEE")  # of what is not defined, and of the diagonal
    if size <= NUMBERED:
        for (a, b), value in np.ndenumerate(off):
            if np.isfinite(value):
                text = f"{value:z.2f}".replace("0.", ".", 1).replace("-", "−")
                darkness = abs(value) / high if low < 0 else (value - low) / (high - low)
                ink = "white" if darkness > 0.65 else "black"
                ax.text(b + 0.5, a + 0.5, text, ha="center", va="center", fontsize=7.5, color=ink)
    middles = np.arange(size) + 0.5
    names = [_shortened(method.label) for method in numbers.methods]
    ax.set_yticks(middles, [f"{name}  {place}" for place, name in enumerate(names, 1)])
    ax.set_xticks(middles, [str(place) for place in range(1, size + 1)])
    ax.tick_params(length=0, labelsize=STYLE["ytick.labelsize"] if size <= NUMBERED else 7)
    ax.tick_params(axis="x", labeltop=True, labelbottom=False, rotation=0 if size <= NUMBERED else 90)
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    ax.set(ylim=(size, 0), aspect="equal")
    return ax


def _shortened(label: str) -> str:
    """Both ends: variants of a method begin alike."""
    return label if len(label) <= _LONGEST else f"{label[: _LONGEST - 20].rstrip()} … {label[-17:].lstrip()}"


SECTION = Section("alike", alike, blocks)
