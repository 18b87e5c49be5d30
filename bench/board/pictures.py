"""Pictures of a leaderboard: every row with its intervals, tau-b against cost, who errs alike, and what each picks."""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from bench.board.entries import CEILING, CLOSED_FORM
from bench.board.standings import TAU, Board, Standing
from bench.report.look import name_rows, row_a_method, seeds_and_mean
from bench.report.page import Block, Csv, CsvRow, Picture
from bench.report.scores import OfMethod
from bench.report.sections import alike, drawn_picks, tau_by_cost
from bench.report.text import starred

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FEWEST = 3  # rows without the references that are worth a picture


def pictures(board: Board) -> list[Block]:
    """Those that the board has enough rows for."""
    csv = Csv("tau", CSV_HEADER, partial(csv_rows, board))
    found: list[Block] = [
        Picture("tau", "Rank correlation of every row", partial(draw_taus, board), _TAUS, csv),
    ]
    methods = [row for row in board.rows if not row.entry.is_reference and _has_tau(row)]
    if len(methods) < _FEWEST:
        return found
    costs = _by_cost(board, methods)
    if len(costs.rows) >= _FEWEST:
        numbers = Csv("tau-by-cost", tau_by_cost.CSV_HEADER, partial(tau_by_cost.csv_rows, costs))
        found.append(
            Picture("tau-by-cost", "Tau-b against cost", partial(tau_by_cost.draw_costs, costs), _COSTS, numbers)
        )
    whose = [_of(place, row) for place, row in enumerate(methods)]
    scores = [row.entry.scores for row in methods]
    found += alike.blocks(alike.err_alike(whose, scores, board.target.true))
    return [*found, *drawn_picks.blocks(_picks(board, methods))]


def _has_tau(row: Standing) -> bool:
    return math.isfinite(row.all.metrics[TAU.name].spread.mean)


def _of(place: int, row: Standing) -> OfMethod:
    entry = row.entry
    return OfMethod(entry.label, entry.name, entry.name, entry.source, entry.ranking, place)


def _by_cost(board: Board, methods: Sequence[Standing]) -> tau_by_cost.TauByCost:
    """Of the rows whose cost is known in some unit."""
    rows = tuple(
        tau_by_cost.Paid(
            *_of(place, row).identity, row.entry.asked, row.all.metrics[TAU.name], row.entry.passes, row.entry.seconds
        )
        for place, row in enumerate(methods)
        if math.isfinite(row.entry.passes) or math.isfinite(row.entry.seconds)
    )
    return tau_by_cost.TauByCost(rows, _reference(board, CLOSED_FORM), _reference(board, CEILING))


def _reference(board: Board, kind: str) -> float:
    found = [row.all.metrics[TAU.name].spread.mean for row in board.rows if row.entry.kind == kind]
    return max(found, default=math.nan)


def _picks(board: Board, methods: Sequence[Standing]) -> drawn_picks.DrawnPicks:
    true = board.target.true
    best = OfMethod("best of all", "", "", "", "", -1)
    rows = tuple(
        drawn_picks.drawn_pick(_of(place, row), [row.all.pick], board.space, true, asked=row.entry.asked)
        for place, row in enumerate(methods)
    )
    top = drawn_picks.drawn_pick(best, [int(np.nanargmax(true))], board.space, true)
    return drawn_picks.DrawnPicks(board.space.name, board.target.label, board.n_known, top, rows)


# ------------------------------------------------------------------------------------------------------ every row's tau

CSV_HEADER = ("method", "source", "what", "seed", "tau", "ci_low", "ci_high", "n")
_TAUS = (
    "Small dots: one seed each. Large marker and thick bar: their mean and its 95 % interval over seeds (none for one "
    "seed). Thin bar below: 95 % interval of the same mean over architectures. Open markers need no method: they are "
    "computed from the table. Grey: the same on the live architectures alone."
)
_COSTS = (
    "Upper left is better. Costs are of one seed with its scoring, seconds each on its own machine; rows whose cost is "
    "not known are left out. Filled markers on the line: rows that no other beats in tau-b and cost. Bars: 95 % "
    "interval over seeds. Dashed: the best closed form, which costs nothing; dotted: the ceiling."
)


def csv_rows(board: Board) -> Iterator[CsvRow]:
    """The seeds of each row, then its mean with each interval."""
    for row in board.rows:
        tau, whose = row.all.metrics[TAU.name], (row.entry.label, row.entry.source)
        for seed, value, n in zip(row.entry.seeds, tau.values, tau.n, strict=False):
            yield *whose, "seed", seed, value, "", "", n
        s, a = tau.spread, tau.architectures
        yield *whose, "mean, interval over seeds", "", s.mean, s.ci_low, s.ci_high, s.n
        if a is not None:
            yield *whose, "mean, interval over architectures", "", a.value, a.ci_low, a.ci_high, a.n
        yield *whose, "mean, live architectures", "", row.live.metrics[TAU.name].spread.mean, "", "", row.live.n


def draw_taus(board: Board) -> "Figure":
    """A row for each row."""
    return row_a_method([partial(plot_taus, board=board)], len(board.rows))


def plot_taus(ax: "Axes", board: Board) -> "Axes":
    """Each row's seeds and mean with both intervals, and its tau-b on the live architectures."""
    ends: list[float] = []
    for y, row in enumerate(board.rows):
        tau, live = row.all.metrics[TAU.name], row.live.metrics[TAU.name].spread.mean
        spread, archs = tau.spread, tau.architectures
        seeds_and_mean(ax, y, y, tau.values, spread, filled=not row.entry.is_reference)
        if archs is not None:
            ax.plot([archs.ci_low, archs.ci_high], [y + 0.22] * 2, "|-", color="black", linewidth=1, label=_ARCHS)
            ends += [archs.ci_low, archs.ci_high]
        ax.plot(live, y, "|", color="#888888", markersize=9, label="live architectures alone")
        ends += [*tau.values, spread.ci_low, spread.ci_high, live]
    ax.set_xlabel("Kendall tau-b")
    return name_rows(ax, [starred(row.entry.label, row.entry.asked) for row in board.rows], np.clip(ends, -1, 1))


_ARCHS = "95 % over architectures"
