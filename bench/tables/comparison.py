"""Pictures of the differences between a study's methods over seeds: pairs, and the critical difference of ranks.

With few seeds the ranks of methods say little, so pairs are always shown, and ranks where there are enough of both.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from bench.report.look import REFERENCE, WIDTH, look_of, panels
from bench.report.page import Csv, CsvRow, Picture
from bench.report.runs import StudyRuns
from bench.report.scores import TAU, Method
from bench.report.sections.differences import difference, standards
from bench.report.sections.variants import CSV_HEADER, Gain, Variants, csv_rows, draw_gains
from bench.report.text import number
from bench.stats.ranks import Friedman, friedman, not_told_apart
from bench.tables.studies import Studied

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEAST_METHODS = LEAST_SEEDS = 5  # of a diagram of ranks


@dataclass(frozen=True)
class Ranks:
    """How the methods of a study rank in each seed."""

    labels: tuple[str, ...]
    places: tuple[int, ...]  # of the methods in the results table, for their looks
    seeds: tuple[int, ...]
    test: Friedman


def paired(study: StudyRuns) -> Variants | None:
    """Tau-b of every main ranking minus that of the first of `standards`, by seed; None where none shares two seeds."""
    main = [method for method in study.methods if method.is_main]
    if len(main) < 2:
        return None
    standard = standards(main)[0]
    found = {method: difference(method, standard) for method in main if method is not standard}
    lines = [
        Gain(*method.identity, one.seeds, one.by_score, one.by_column) for method, one in found.items() if one.by_score
    ]
    lines.sort(key=lambda line: -line.by_score.difference.value)
    columns = tuple(name for name in standard.columns[1:] if any(name in line.by_column for line in lines))
    left_out = tuple(f"{method.label}: {one.reason}" for method, one in found.items() if one.reason)
    return Variants(standard.label, standard.columns[0], columns, tuple(lines), left_out) if lines else None


def ranks(study: StudyRuns) -> Ranks | None:
    """Of main rankings over the seeds that all of them have; None for too few of either, or different architectures."""
    main = [method for method in study.methods if method.is_main]
    taus = [_taus(method) for method in main]
    seeds = tuple(sorted(set.intersection(*(set(one) for one in taus)))) if taus else ()
    sets = {scored.architectures for method in main for scored in method.seeds if scored.seed in seeds}
    if len(main) < LEAST_METHODS or len(seeds) < LEAST_SEEDS or len(sets) > 1:
        return None
    values = [[one[seed] for one in taus] for seed in seeds]
    labels, places = zip(*((method.label, method.place) for method in main), strict=True)
    return Ranks(labels, places, seeds, friedman(values))


def _taus(method: Method) -> dict[int, float]:
    values = {scored.seed: scored.value(TAU) for scored in method.seeds}
    return {seed: value for seed, value in values.items() if math.isfinite(value)}


# ------------------------------------------------------------------------------------------------------------ pictures


def pictures(study: Studied) -> Iterator[Picture]:
    """What the study has enough seeds and methods for."""
    name = "-".join(study.names)
    if (found := study.runs.once(paired)) is not None:
        csv = Csv(f"paired-{name}", CSV_HEADER, partial(csv_rows, found))
        title = f"Every method against {found.standard}, {study.name}"
        caption = (
            f"Tau-b minus that of {found.standard} on the same seed. Small dots: one seed each; large marker and thick "
            "bar: their mean and its 95 % t-interval. No correction for the number of methods."
        )
        yield Picture(f"paired-{name}", title, partial(draw_gains, found), caption, csv)
    if (rank := study.runs.once(ranks)) is not None:
        csv = Csv(f"ranks-{name}", ("method", "average rank"), partial(_rank_rows, rank))
        title = f"Ranks of the methods over {len(rank.seeds)} seeds, {study.name}"
        yield Picture(f"ranks-{name}", title, partial(draw_ranks, rank), _caption(rank), csv)


def _caption(found: Ranks) -> str:
    test = found.test
    p = "p < .001" if test.p_value < 0.001 else f"p = {number(test.p_value)}"
    return (
        "Average rank of tau-b, 1 is best. Methods joined by a bar are closer than Nemenyi’s critical difference "
        f"({number(test.critical_difference, 2)}) and not told apart at the 5 % level; Friedman’s test that all are "
        f"alike: chi-squared {number(test.statistic, 2)}, {p} (Demšar 2006; {test.n_blocks} seeds, "
        f"{len(found.labels)} methods)."
    )


def _rank_rows(found: Ranks) -> Iterator[CsvRow]:
    yield from zip(found.labels, found.test.average_ranks, strict=True)
    yield "critical difference", found.test.critical_difference


def draw_ranks(found: Ranks) -> "Figure":
    """One panel."""
    figure, (ax,) = panels(1, 1, (WIDTH, 1.1 + 0.2 * len(found.labels)))
    plot_ranks(ax, found)
    return figure


def plot_ranks(ax: "Axes", found: Ranks) -> "Axes":
    """A critical-difference diagram: an axis of ranks, the methods below it, a bar for what is not told apart."""
    average = np.array(found.test.average_ranks)
    order, k = np.argsort(average, kind="stable"), len(average)
    bars = not_told_apart(average, found.test.critical_difference)
    half, top = -(-k // 2), 0.6 + 0.35 * len(bars)
    for place, method in enumerate(order):
        left = place < half
        depth = top + 0.8 * (place if left else k - 1 - place) + 0.6
        end = 1 - 0.04 * k if left else k + 0.04 * k
        colour = look_of(found.places[method])["color"]
        ax.plot([average[method], average[method], end], [0, depth, depth], color=colour, linewidth=1)
        text = f"{found.labels[method]}  {number(average[method], 2)}"
        ax.text(end, depth, f" {text} ", ha="right" if left else "left", va="center", fontsize=7.5)
    for number_, (first, last) in enumerate(bars):
        y = 0.5 + 0.35 * number_
        ends = average[order[first]] - 0.03, average[order[last]] + 0.03
        ax.plot(ends, [y, y], color="black", linewidth=3, solid_capstyle="round")
    ax.plot([1, 1 + found.test.critical_difference], [-1.2, -1.2], "|-", color=REFERENCE, linewidth=1)
    ax.text(1, -1.5, "critical difference", ha="left", va="bottom", fontsize=7.5, color=REFERENCE)
    return _rank_axis(ax, k, top + 0.8 * half + 0.6)


def _rank_axis(ax: "Axes", k: int, depth: float) -> "Axes":
    """The axis stands at the top; beside the methods there is room for their names."""
    room = 0.55 * k
    ax.set(xlim=(1 - room, k + room), ylim=(depth, -2.4))
    ax.grid(visible=False)
    for side in ("left", "bottom"):
        ax.spines[side].set_visible(False)
    ax.plot([1, k], [0, 0], color="black", linewidth=0.8)
    for rank in range(1, k + 1):
        ax.plot([rank, rank], [0, -0.15], color="black", linewidth=0.8)
        ax.text(rank, -0.25, str(rank), ha="center", va="bottom", fontsize=7.5)
    ax.set_xticks([])
    ax.set_yticks([])
    return ax
