"""Which of our cells leave the spread of the published ones.

A cell leaves if its mean is further from the published mean than twice the larger of the two standard deviations over
runs, and than `SLACK`, which stands for rounding and for versions of the benchmark where no spread is given. Methods
with changed settings and searchers with another simulated budget are not compared.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.report.text import number
from bench.stats.intervals import OverSeeds
from bench.tables.published import Figure, Paper, Place
from bench.tables.search import OurRow, SearchTable, has_budget, mean_and_sd

SLACK = 0.0015  # a fraction: .15 point


@dataclass(frozen=True)
class Compared:
    """One cell of ours beside the published one."""

    paper: Paper
    label: str
    place: Place
    ours: OverSeeds
    published: Figure
    other_budget: str  # why the two are not compared; "" if they are

    @property
    def allowed(self) -> float:
        """How far apart the two may be, a fraction."""
        spreads = [sd for sd in (self.ours.spread.sd, self.published.sd) if math.isfinite(sd)]
        return max(SLACK, 2 * max(spreads, default=0.0))

    @property
    def difference(self) -> float:
        """Ours minus published."""
        return self.ours.spread.mean - self.published.mean

    @property
    def leaves(self) -> bool:
        """Whether ours is outside the published spread."""
        return not self.other_budget and not abs(self.difference) <= self.allowed + 1e-9

    def __str__(self) -> str:
        dataset, split = self.place
        ours, published = (mean_and_sd(one.mean, one.sd) for one in (self.ours.spread, self.published))
        verdict = self.other_budget or ("LEAVES" if self.leaves else "within")
        return (
            f"{self.paper.title}, {self.label}, {self.paper.datasets[dataset]} {split}: ours {ours} (n = "
            f"{self.ours.spread.n}), published {published}: difference {number(100 * self.difference, 2)}, allowed "
            f"{number(100 * self.allowed, 2)}: {verdict}"
        )


def compared(found: SearchTable) -> Iterator[Compared]:
    """Every cell of ours that has a published one."""
    for pair in found.pairs:
        figures = pair.published.figures if pair.published is not None else {}
        for row in pair.ours:
            for place, cell in row.cells.items():
                figure = figures.get(place)
                if figure is not None and cell.spread.n and row.is_compared:
                    yield Compared(found.paper, row.label, place, cell, figure, _other_budget(found.paper, row, place))


def _other_budget(paper: Paper, row: OurRow, place: Place) -> str:
    dataset = paper.searched[0] if paper.transfers else place[0]
    if dataset not in row.budgets or has_budget(paper, dataset, row.budgets[dataset]):
        return ""
    return f"not compared: {row.budgets[dataset]}, published {paper.seconds[dataset]:,.0f} s"


def check_lines(tables: Sequence[SearchTable]) -> Iterator[str]:
    """A line a cell and a summary."""
    cells = [one for table in tables for one in compared(table)]
    yield from map(str, cells)
    leaving, skipped = sum(one.leaves for one in cells), sum(bool(one.other_budget) for one in cells)
    n = len(cells) - skipped
    text = f"{leaving} of {n} cells of ours leave the published spread (2 sd, at least {100 * SLACK:.2f} point)"
    yield text + (f"; {skipped} have another budget and were not compared" if skipped else "")
