"""What every method cost."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.report.page import Block, Heading, Paragraph, Section, TextTable
from bench.report.runs import StudyRuns
from bench.report.scores import Method, OfMethod, RunGroup
from bench.report.text import STAR, listed, mean_and_range, starred
from bench.stats.intervals import OverSeeds
from bench.study.records import RunRecord
from mngnas.methods.info import Cost


@dataclass(frozen=True)
class CostRow(OfMethod):
    """The cost of one seed; of a further ranking (retrained scores, say) with that of the ranking itself."""

    asked: bool  # whether the method was allowed to ask the ground truth
    adds_ranking: bool  # whether passes, images and seconds include the ranking's
    seeds: tuple[int, ...]
    passes: OverSeeds
    images: OverSeeds
    seconds: OverSeeds
    queries: OverSeeds  # of the ground truth
    scoring_passes: OverSeeds  # of the ranking alone
    scoring_seconds: OverSeeds
    devices: tuple[str, ...]


@dataclass(frozen=True)
class Costs:
    """Every ranking, then the methods that rank nothing."""

    rows: tuple[CostRow, ...]


def costs(study: StudyRuns) -> Costs:
    """From the records."""
    rows = [
        _row(method, [scored.run.record for scored in method.seeds], adds_ranking=not method.is_main)
        for method in study.methods
    ]
    silent = [group for group in study.groups if not any(run.scores.rankings for run in group.runs)]
    return Costs((*rows, *(_row(group, group.records, adds_ranking=False) for group in silent)))


def _row(whose: Method | RunGroup, records: Sequence[RunRecord], *, adds_ranking: bool) -> CostRow:
    own = [record.cost for record in records]
    scoring = [record.ranking_costs.get(whose.scores, Cost()) for record in records]

    def over(name: str) -> OverSeeds:
        added = [getattr(cost, name) * adds_ranking for cost in scoring]
        return OverSeeds.of([float(getattr(a, name) + b) for a, b in zip(own, added, strict=True)])

    return CostRow(
        *whose.identity,
        asked=whose.asked,
        adds_ranking=adds_ranking,
        seeds=tuple(record.seed for record in records),
        passes=over("passes"),
        images=over("images"),
        seconds=over("seconds"),
        queries=over("queries"),
        scoring_passes=OverSeeds.of([float(cost.passes) for cost in scoring]),
        scoring_seconds=OverSeeds.of([float(cost.seconds) for cost in scoring]),
        devices=tuple(dict.fromkeys(record.device for record in records)),
    )


def blocks(numbers: Costs) -> Sequence[Block]:
    """One table; queries only where a method was allowed to ask."""
    asked = any(row.asked for row in numbers.rows)
    head = ("method", "scores", "passes", "images seen", *(("queries",) if asked else ()))
    text = (
        "For one seed: the mean over seeds, and their range where they differ. A pass is forward and backward of "
        "one batch, a forward alone counts a third; images count for each path that saw them."
    )
    if further := dict.fromkeys(row.scores for row in numbers.rows if row.adds_ranking):
        names = listed([f"“{name}”" for name in further])
        text += f" {names} rows include the passes and seconds of scoring, the retraining of a whole sample, say."
    if asked:
        text += f" {STAR} Queries are questions; the seconds are this machine's, not the simulated ones."
    return [
        Heading("What it cost"),
        TextTable(
            (*head, "seconds of the method", "seconds of scoring", "device"),
            tuple(_cells(row, asked) for row in numbers.rows),
        ),
        Paragraph(text),
    ]


def _cells(row: CostRow, asked: bool) -> tuple[str, ...]:
    shown = [(row.passes, 0), (row.images, 0), *([(row.queries, 0)] if asked else []), (row.seconds, 1)]
    cells = [mean_and_range(one, digits) for one, digits in shown]
    scoring = mean_and_range(row.scoring_seconds, 1) if row.scores else ""
    return starred(row.label, row.asked), row.scores, *cells, scoring, "\n".join(row.devices)


SECTION = Section("costs", costs, blocks)
