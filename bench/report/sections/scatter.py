"""Two rankings against each other, architecture by architecture: where they part, and who is right there."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from bench.report.look import panels
from bench.report.page import Block, Csv, CsvRow, Folded, Picture, Section
from bench.report.runs import StudyRuns
from bench.report.scores import Method, OfMethod
from bench.report.sections.alike import PairTaus, mean_ranks
from bench.report.sections.clouds import rank_axes
from bench.report.text import number
from mngnas.errors import UserError, unknown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SHARES = (0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1)  # of the architectures below each step of the colours


@dataclass(frozen=True, eq=False)
class RankScatter:
    """The ranks that two methods give to the n architectures that all their seeds scored."""

    x: OfMethod
    y: OfMethod
    n_seed: tuple[int, int]
    target: str
    tau: float  # tau-b between the two
    partial: float  # the same with the truth held
    arch_index: np.ndarray  # int64 [n]
    rank_x: np.ndarray  # [n], 1 = best, of the mean rank over seeds; equal ones share the mean of their places
    rank_y: np.ndarray  # [n]
    true: np.ndarray  # [n], fraction


def scatter(study: StudyRuns) -> RankScatter | None:
    """Of the two that were asked for, by default of the two best main rankings."""
    usable = [method for method in study.methods if any(one.usable for one in method.seeds)]
    chosen = [method for method in usable if method.is_main and not method.asked][:2]
    if study.scatter:
        if len(study.scatter) != 2:
            raise UserError(f"a scatter shows two methods, not {len(study.scatter)} ({', '.join(study.scatter)})")
        chosen = [_named(name.strip(), usable) for name in study.scatter]
    if len(chosen) < 2:
        return None
    scores = [method.everywhere(study.space.n_arch) for method in chosen]
    return rank_scatter((chosen[0], chosen[1]), (scores[0], scores[1]), study.truth, str(study.target))


def _named(name: str, methods: Sequence[Method]) -> Method:
    known = {f"{method.strategy}/{method.scores}": method for method in reversed(methods)}
    known |= {method.strategy: method for method in reversed(methods) if method.is_main}
    if name not in known:
        raise unknown("method of the study", name, known)
    return known[name]


def rank_scatter(
    methods: tuple[OfMethod, OfMethod], scores: tuple[np.ndarray, np.ndarray], true: np.ndarray, target: str
) -> RankScatter | None:
    """From scores `[n_seed, n_arch]`, NaN where there is none, and the truth `[n_arch]`; None without common ones."""
    from scipy.stats import rankdata

    pair = PairTaus(scores, true)
    keep = pair.common(0, 1)
    if keep.sum() < 2:
        return None
    ranks = [rankdata(-mean_ranks(rows, keep)) for rows in scores]
    x, y = (OfMethod(*method.identity) for method in methods)
    n_seed = len(scores[0]), len(scores[1])
    return RankScatter(x, y, n_seed, target, *pair.taus(0, 1), np.flatnonzero(keep), *ranks, true[keep])


# --------------------------------------------------------------------------------------------------------------- words


def blocks(numbers: RankScatter) -> Sequence[Block]:
    """One picture, folded."""
    names = f"{numbers.x.label} and {numbers.y.label}"
    header = ("arch_index", f"rank by {numbers.x.label}", f"rank by {numbers.y.label}", "true")
    csv = Csv("scatter", header, partial(csv_rows, numbers))
    picture = Picture("scatter", f"Ranks by {names}", partial(draw_scatter, numbers), _caption(numbers), csv)
    return [Folded("Two rankings against each other", (picture,))]


def _caption(numbers: RankScatter) -> str:
    seeds = " and ".join(f"{n} seed{'s' * (n != 1)}" for n in numbers.n_seed)
    return (
        f"A point an architecture (n = {len(numbers.true):,}), at the rank of its mean rank over {seeds}; both think "
        "most of what is at the upper right. On the dashed line they agree. Dark is truly good "
        f"({numbers.target}), the darkest is the best hundredth: dark points above the line are good architectures "
        f"that {numbers.y.label} ranks better than {numbers.x.label} does, light points below it bad ones that it "
        f"rightly ranks lower. Tau-b between the two {number(numbers.tau)}, with the truth held "
        f"{number(numbers.partial)}."
    )


# ------------------------------------------------------------------------------------------------------------- picture


def csv_rows(numbers: RankScatter) -> Iterator[CsvRow]:
    """A line an architecture; accuracies as fractions."""
    columns = (numbers.arch_index, numbers.rank_x, numbers.rank_y, numbers.true)
    yield from zip(*(column.tolist() for column in columns), strict=True)


def draw_scatter(numbers: RankScatter) -> "Figure":
    """One panel and the scale of its colours."""
    figure, (ax,) = panels(1, 1, (5.6, 4.3))
    plot_scatter(ax, numbers)
    points = ax.collections[0]
    edges = np.asarray(points.norm.boundaries) if hasattr(points.norm, "boundaries") else np.array([])
    if len(edges):
        bar = figure.colorbar(points, ax=ax, spacing="uniform", shrink=0.85, aspect=22, ticks=edges)
        bar.ax.set_yticklabels([f"{100 * edge:.2f}" for edge in edges])
        bar.set_label(fill(f"{numbers.target}, %", 48))
    return figure


def plot_scatter(ax: "Axes", numbers: RankScatter) -> "Axes":
    """Ranks, 1 = best at the top right, coloured by steps of the true accuracy; the best are drawn last."""
    from matplotlib import colormaps
    from matplotlib.colors import BoundaryNorm, ListedColormap

    n = len(numbers.true)
    order = np.argsort(numbers.true, kind="stable")
    edges = np.unique(np.quantile(numbers.true, _SHARES))
    colour: dict[str, object] = {"color": "black"}
    if len(edges) > 1:
        colours = ListedColormap(colormaps["cividis_r"](np.linspace(0.05, 1, len(edges) - 1)))
        colour = {"c": numbers.true[order], "cmap": colours, "norm": BoundaryNorm(edges, len(edges) - 1)}
    size = float(np.clip(12_000 / n, 3, 14))
    at = numbers.rank_x[order], numbers.rank_y[order]
    ax.scatter(*at, s=size, linewidths=0, rasterized=n > 200, **colour)
    rank_axes(ax, n)
    axes = [(numbers.x, ax.set_xlabel), (numbers.y, ax.set_ylabel)]
    for method, name in axes:
        name(fill(f"rank by {method.label} (1 = best)", 48))
    return ax


SECTION = Section("scatter", scatter, blocks)
