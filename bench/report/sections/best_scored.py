"""What training the K best-scored architectures would find."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.report.look import REFERENCE, STYLE, WIDTH, band, foremost, left_out, legend, lines_of, look_of
from bench.report.page import Block, Csv, CsvRow, Heading, Picture, Section
from bench.report.runs import StudyRuns
from bench.report.scores import OfMethod, Scored
from bench.report.text import count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_POINTS = 60  # values of K
_REGRET_TICKS = (0, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)


@dataclass(frozen=True, eq=False)
class SearchLine(OfMethod):
    """What training the K best-scored of n architectures gives."""

    seeds: tuple[int, ...]  # of a baseline: a seed that scored each of the samples
    n_arch: int
    k: np.ndarray  # int64 [p]
    precision: np.ndarray  # [n_seed, p], share of the K that is in the true top K
    regret: np.ndarray  # [n_seed, p], fraction


@dataclass(frozen=True)
class SearchGroup:
    """All main rankings, or all further ones of one name, and what stands beside them."""

    scores: str  # names of the rankings
    methods: tuple[SearchLine, ...]
    baselines: tuple[SearchLine, ...]  # random choice and parameter count, over the samples of the methods


@dataclass(frozen=True)
class BestScored:
    """Precision and regret against K."""

    groups: tuple[SearchGroup, ...]


def best_scored(study: StudyRuns) -> BestScored | None:
    """Methods of different groups apart."""
    groups = []
    for name in dict.fromkeys(method.group for method in study.methods):
        lines: list[SearchLine] = []
        samples: dict[bytes, Scored] = {}
        for method in study.methods:
            usable = [scored for scored in method.seeds if scored.usable]
            if usable and method.group == name:
                lines.append(_line(method, usable, [scored.score for scored in usable]))
                samples |= {scored.architectures: scored for scored in usable}
        if lines:
            rankings = dict.fromkeys(line.scores for line in lines)
            groups.append(SearchGroup(" and ".join(rankings), tuple(lines), _baselines(study, samples.values())))
    return BestScored(tuple(groups)) if groups else None


def _baselines(study: StudyRuns, samples: Iterable[Scored]) -> tuple[SearchLine, ...]:
    different = list(samples)
    return tuple(
        _line(
            OfMethod(label, "", "", "", "", len(study.methods)),
            different,
            [column[scored.arch_index] for scored in different],
        )
        for label, column in (("random choice", np.zeros(len(study.truth))), ("parameter count", study.parameters))
    )


def _line(whose: OfMethod, scored: Sequence[Scored], scores: Sequence[np.ndarray]) -> SearchLine:
    n = min(len(one.true) for one in scored)
    k = np.unique(np.geomspace(1, n, _POINTS).round().astype(int))
    pairs = [(score, one.true) for score, one in zip(scores, scored, strict=True)]
    precision = np.array([precision_at_k(x, y, k) for x, y in pairs])
    regret = np.array([regret_at_k(x, y, k) for x, y in pairs])
    return SearchLine(*whose.identity, tuple(one.seed for one in scored), n, k, precision, regret)


def precision_at_k(predicted: np.ndarray, true: np.ndarray, k: Iterable[int]) -> np.ndarray:
    """`bench.stats.metrics.precision_at_top_k` for each K in 1..n, in one order of the scores."""
    order = np.argsort(-predicted, kind="stable")
    _, group, size = np.unique(-true[order], return_inverse=True, return_counts=True)
    score, better = -predicted[order], (np.cumsum(size) - size)[group]  # how many are truly better than each
    found = []
    for one in k:
        start, end = (int(np.searchsorted(score, score[one - 1], side)) for side in ("left", "right"))
        certain, border = better[:start] < one, better[start:end] < one
        found.append(float((certain.sum() + (one - start) * border.mean()) / one))
    return np.array(found)


def regret_at_k(predicted: np.ndarray, true: np.ndarray, k: Iterable[int]) -> np.ndarray:
    """The best true value minus the best among the predicted top K, for each K in 1..n; ties broken at random.

    The expected value over random ties, as everywhere in `bench.stats.metrics`, whose `regret` is K = 1.
    """
    order = np.argsort(-predicted, kind="stable")
    score, true = -predicted[order], true[order]
    best_so_far = np.maximum.accumulate(true)
    found = []
    for one in k:
        start, end = (int(np.searchsorted(score, score[one - 1], side)) for side in ("left", "right"))
        g, m = end - start, int(one) - start  # m are drawn from the g that tie at the border
        border = np.sort(true[start:end])[::-1][: g - m + 1]
        j = np.arange(g - m)
        probability = m / g * np.cumprod(np.concatenate([[1.0], (g - m - j) / (g - 1 - j)]))  # the j-th is the best
        best = np.maximum(border, best_so_far[start - 1]) if start else border
        found.append(float(probability @ (true.max() - best)))
    return np.array(found)


# --------------------------------------------------------------------------------------------------------------- words


def blocks(numbers: BestScored) -> Sequence[Block]:
    """One picture."""
    csv = Csv("best-scored", CSV_HEADER, partial(csv_rows, numbers))
    title = "What training the best-scored would find"
    return [
        Heading("What a search would find"),
        Picture("best-scored", title, partial(draw_search, numbers), _caption(numbers), csv),
    ]


def _caption(numbers: BestScored) -> str:
    return (
        "Left: the share of the K best-scored architectures that is among the K truly best (higher is better). Right: "
        "how far the best of these K, once trained, stays below the best of all (lower is better; linear below 0.1). "
        "Lines: mean over seeds; bands: from the lowest to the highest seed. Equal scores are taken in random order, "
        "as an expected value. " + " ".join(map(_group_size, numbers.groups))
    )


def _sizes(group: SearchGroup) -> str:
    return count([line.n_arch for line in group.methods])


def _group_size(group: SearchGroup) -> str:
    seeds = ", ".join(f"{line.label} {len(line.seeds)}" for line in foremost(group.methods))
    about = f"{group.scores.capitalize()}: n = {_sizes(group)} architectures; seeds: {seeds}."
    return about + left_out(group.methods)


# ------------------------------------------------------------------------------------------------------------- picture

CSV_HEADER = ("scores", "method", "strategy", "n_arch", "seed", "k", "precision", "regret")


def csv_rows(numbers: BestScored) -> Iterator[CsvRow]:
    """A line for each seed and K."""
    for group in numbers.groups:
        for line in (*group.methods, *group.baselines):
            for seed, *columns in zip(line.seeds, line.precision, line.regret, strict=True):
                for values in zip(line.k.tolist(), *(column.tolist() for column in columns), strict=True):
                    yield group.scores, line.label, line.strategy, line.n_arch, seed, *values


def draw_search(numbers: BestScored) -> "Figure":
    """A row a group: precision and regret."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, 3.5 * len(numbers.groups)), layout="constrained")
    for place, whole in enumerate(numbers.groups):
        group = replace(whole, methods=lines_of(whole.methods))
        part = figure.add_subfigure(figure.add_gridspec(len(numbers.groups), 1)[place])
        left, right = part.subplots(1, 2)
        plot_regret(right, group)
        legend(part, plot_precision(left, group))
        part.suptitle(f"{whole.scores}, n = {_sizes(whole)}", fontsize=STYLE["font.size"])
    return figure


def plot_precision(ax: "Axes", group: SearchGroup) -> "Axes":
    """Precision at K, the mean over seeds and the band between the lowest and the highest seed."""
    for line, look in _looks(group):
        band(ax, line.k, line.precision, look, line.label)
    ax.set(ylim=(0, 1.02), ylabel="precision at K")
    return _against_k(ax)


def plot_regret(ax: "Axes", group: SearchGroup) -> "Axes":
    """Regret after training the K best-scored, in percent points; as `plot_precision`."""
    for line, look in _looks(group):
        band(ax, line.k, 100 * line.regret, look, line.label)
    ax.set_yscale("symlog", linthresh=0.1, linscale=0.4)
    top = 105 * max(float(line.regret.max()) for line, _ in _looks(group))
    ticks = [tick for tick in _REGRET_TICKS if tick <= max(top, 0.1)]
    ax.set_ylim(0, max(top, 0.1))
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set_yticks([], minor=True)
    ax.set_ylabel("regret in percent points")
    return _against_k(ax)


def _looks(group: SearchGroup) -> Iterator[tuple[SearchLine, dict[str, Any]]]:
    for line in group.methods:
        yield line, look_of(line.place) | {"markevery": (line.place % 8, 8)}
    for line, style in zip(group.baselines, (":", "--"), strict=False):
        yield line, {"color": REFERENCE, "linestyle": style}


def _against_k(ax: "Axes") -> "Axes":
    from matplotlib.ticker import EngFormatter

    ax.set(xscale="log", xlabel="K best-scored architectures")
    ax.xaxis.set_major_formatter(EngFormatter(sep=""))
    return ax


SECTION = Section("best_scored", best_scored, blocks)
