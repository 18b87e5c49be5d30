"""The architecture that each method would pick, drawn."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from bench.report.cells import SIZE, draw_cell
from bench.report.look import foremost, left_out, panels
from bench.report.page import Block, Csv, CsvRow, Picture, Section
from bench.report.runs import StudyRuns
from bench.report.scores import OfMethod
from bench.report.sections.picks import picks
from bench.report.text import percent, starred
from mngnas.spaces import Space, space_named

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 5
_ROOM = 4 * COLUMNS - 1  # beside the best of all


@dataclass(frozen=True)
class DrawnPick(OfMethod):
    """The architecture that most seeds of a method pick, of those that tie the first."""

    asked: bool  # whether the method was allowed to ask the ground truth
    n_agree: int  # seeds that pick it
    n_seed: int  # seeds that pick anything
    arch_index: int
    arch_str: str
    accuracy: float  # true, fraction
    rank: int  # 1 = best, 1 more than the architectures that are better


@dataclass(frozen=True)
class DrawnPicks:
    """Of every method that picks, and the best architecture of all."""

    space: str
    target: str
    n: int  # architectures with a ground truth
    best: DrawnPick
    rows: tuple[DrawnPick, ...]


def drawn_picks(study: StudyRuns) -> DrawnPicks | None:
    """Of the study's rankings and proposals."""
    rows = []
    for pick in study.once(picks).rows:
        chosen = [index for index in pick.arch_index if index is not None]
        if chosen:
            rows.append(drawn_pick(pick, chosen, study.space, study.truth, asked=pick.asked))
    best = OfMethod("best of all", "", "", "", "", -1)
    top = drawn_pick(best, [int(np.nanargmax(study.truth))], study.space, study.truth)
    n = int(np.isfinite(study.truth).sum())
    return DrawnPicks(study.space.name, str(study.target), n, top, tuple(rows)) if rows else None


def drawn_pick(
    whose: OfMethod, chosen: Sequence[int], space: Space, truth: np.ndarray, *, asked: bool = False
) -> DrawnPick:
    """Of the official indices that the seeds picked, one at least; all have a ground truth `[n_arch]`."""
    ((index, agree),) = Counter(chosen).most_common(1)
    accuracy, rank = float(truth[index]), 1 + int((truth > truth[index]).sum())
    arch_str = space.to_str(space.from_index(index))
    return DrawnPick(*whose.identity, asked, agree, len(chosen), index, arch_str, accuracy, rank)


# --------------------------------------------------------------------------------------------------------------- words


def blocks(numbers: DrawnPicks) -> Sequence[Block]:
    """One picture, below the table of picks."""
    csv = Csv("picks", CSV_HEADER, partial(csv_rows, numbers))
    title = "The architecture that each method would pick"
    return [Picture("picks", title, partial(draw_picks, numbers), _caption(numbers), csv)]


def _caption(numbers: DrawnPicks) -> str:
    text = (
        f"Beneath each its {numbers.target} and its rank among the {numbers.n:,} architectures that have one. Cells "
        "run from left to right; an edge without an operation is a faint dotted line, one that joins nothing is grey. "
    )
    if any(row.n_seed > 1 for row in numbers.rows):
        text += "Of several seeds the architecture that most of them pick, of those that tie the first seed’s: "
        text += "“1 of 3” says that one seed in three picks it. "
    text += "The first is the best of all, which no method sees"
    text += "; * was allowed to ask for it." if any(row.asked for row in numbers.rows) else "."
    return text + left_out(numbers.rows, _ROOM)


# ------------------------------------------------------------------------------------------------------------- picture

CSV_HEADER = ("method", "strategy", "scores", "arch_index", "arch_str", "true", "rank", "seeds_that_agree", "seeds")


def csv_rows(numbers: DrawnPicks) -> Iterator[CsvRow]:
    """A line for each drawn architecture; accuracies as fractions."""
    for row in (numbers.best, *numbers.rows):
        whose = row.label, row.strategy, row.scores
        yield *whose, row.arch_index, row.arch_str, row.accuracy, row.rank, row.n_agree, row.n_seed


def draw_picks(numbers: DrawnPicks) -> "Figure":
    """The best of all, then a picture a method."""
    shown = [numbers.best, *foremost(numbers.rows, _ROOM)]
    several = {row.label for row in shown if [one.label for one in shown].count(row.label) > 1}
    lines = max(_name(row, several).count("\n") for row in shown) + 3
    figure, axes = panels(len(shown), min(COLUMNS, len(shown)), (SIZE[0], SIZE[1] + 0.145 * lines))
    for ax, row in zip(axes, shown, strict=True):
        plot_pick(ax, row, space_named(numbers.space), _name(row, several))
    return figure


def _name(row: DrawnPick, several: set[str]) -> str:
    name = starred(row.label, row.asked) + (f", {row.scores}" if row.label in several else "")
    return fill(f"{name} ({row.n_agree}\u00a0of\u00a0{row.n_seed})" if row.n_seed > 1 else name, 21)


def plot_pick(ax: "Axes", row: DrawnPick, space: Space, name: str) -> "Axes":
    """The architecture below its name, above its true accuracy and rank."""
    draw_cell(ax, space, space.from_index(row.arch_index))
    ax.set_title(name, fontsize=7.5)
    text = f"{percent(row.accuracy)} %, rank {row.rank:,}"
    ax.text(0.5, 0, text, transform=ax.transAxes, ha="center", va="top", fontsize=7.5)
    return ax


SECTION = Section("drawn_picks", drawn_picks, blocks)
