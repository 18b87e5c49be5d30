"""The search tables: how good the architectures are that each method ends with, ours beside published figures."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from bench.report.page import Csv, CsvRow, TextTable
from bench.report.scores import RunGroup
from bench.report.sections.picks import Pick, picks
from bench.report.text import listed, number
from bench.stats.intervals import OverSeeds
from bench.tables.published import SEEN, Figure, Paper, Place, PublishedRow
from bench.tables.render import PaperTable
from bench.tables.studies import Studied
from bench.truth.table import Table

_SAME_BUDGET = 0.1  # a budget this share away is another
PROPOSAL, HIGHEST = "proposal", "highest score"  # what an architecture was taken by


@dataclass(frozen=True)
class Budget:
    """What one run spent, a mean over runs."""

    passes: float
    simulated: float  # seconds; NaN for a method that asked no ground truth

    def __str__(self) -> str:
        return f"{self.passes:,.0f} passes" if math.isnan(self.simulated) else f"{self.simulated:,.0f} simulated s"


@dataclass(frozen=True)
class OurRow:
    """A method's architectures of all runs, looked up."""

    label: str
    method: str  # the name without changes
    is_compared: bool  # whether it is the method as published: unchanged, or a searcher, whose budget is a setting
    taken_by: str
    studies: tuple[str, ...]
    budgets: Mapping[str, Budget]  # by the data set searched on
    cells: Mapping[Place, OverSeeds]  # fractions

    @property
    def runs(self) -> str:
        """How many stand behind a cell; "" for what was not searched."""
        counts = sorted({cell.spread.n for cell in self.cells.values()})
        return "" if not self.budgets else f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


@dataclass(frozen=True)
class Pair:
    """A published row and ours beside it; either may be missing."""

    published: PublishedRow | None
    ours: tuple[OurRow, ...]


@dataclass(frozen=True)
class SearchTable:
    """A paper's table with our rows."""

    paper: Paper
    pairs: tuple[Pair, ...]
    settings: tuple[str, ...]  # of the studies
    epochs: Mapping[Place, int]  # of the training behind each column of ours


def search_table(paper: Paper, studies: Sequence[Studied]) -> SearchTable:
    """Every published row with the rows of the same method, then our other methods.

    Of a method that proposes an architecture that one is looked up, of others the one of highest score. Where the paper
    looks a cell that was found on one data set up on all, so do we; else a study fills the columns of its own data set.
    """
    fitting = [one for one in studies if _fits(paper, one)]
    rows = _joined(paper, [row for one in fitting for row in _rows(paper, one)])
    table = fitting[0].runs.table if fitting else None
    pairs = [Pair(row, _beside(row, rows, paper, table)) for row in paper.rows]
    paired = {id(row) for pair in pairs for row in pair.ours}
    pairs += [Pair(None, (row,)) for row in rows if id(row) not in paired]
    epochs = {place: table.longest(*place).epochs for place in paper.places} if table else {}
    pairs.sort(
        key=lambda pair: pair.published is not None and not pair.published.method
    )  # what is no method comes last
    return SearchTable(paper, tuple(pairs), tuple(one.setting for one in fitting), epochs)


def _fits(paper: Paper, study: Studied) -> bool:
    table = study.runs.table
    known = {(one.dataset, one.split) for one in table.measures if one.kind == "accuracy"}
    return table.search_space == paper.space and study.record.dataset in paper.searched and known >= {*paper.places}


def _beside(row: PublishedRow, rows: Sequence[OurRow], paper: Paper, table: Table | None) -> tuple[OurRow, ...]:
    if row.method:
        return tuple(one for one in rows if one.method == row.method)
    if table is None:
        return ()
    truths = {place: table.mean(table.longest(*place)) for place in paper.places}
    if row.is_best:
        cells = {place: float(np.nanmax(truth)) for place, truth in truths.items()}
    else:
        index = table.space.to_index(table.space.parse(row.arch_str))
        cells = {place: float(truth[index]) for place, truth in truths.items()}
    found = {place: OverSeeds.of([cell]) for place, cell in cells.items()}
    return (OurRow(row.label, "", True, f"table {table.name}", (), {}, found),)


def _rows(paper: Paper, study: Studied) -> Iterator[OurRow]:
    """Of every method of a study, in the order of its report; variants of a supernet are for the ablations."""
    runs = study.runs
    found = runs.once(picks).rows
    by_score, proposed = found[: len(runs.methods)], {pick.place: pick for pick in found[len(runs.methods) :]}
    scored = {method.place: pick for method, pick in zip(runs.methods, by_score, strict=True) if method.is_main}
    unchanged = {group.name for group in runs.groups if not group.is_changed}
    for group in runs.groups:
        if group.is_changed and not group.asked and group.name in unchanged:
            continue
        pick = proposed.get(group.place) or scored.get(group.place)
        if pick is not None:
            yield _row(paper, study, group, pick, PROPOSAL if group.place in proposed else HIGHEST)


def _row(paper: Paper, study: Studied, group: RunGroup, pick: Pick, taken_by: str) -> OurRow:
    dataset, table = study.record.dataset, study.runs.table
    places = [place for place in paper.places if paper.transfers or place[0] == dataset]
    cells = {}
    for place in places:
        truth = table.mean(table.longest(*place))
        cells[place] = OverSeeds.of([np.nan if i is None else float(truth[i]) for i in pick.arch_index])
    return OurRow(
        *(group.label, group.name, not group.is_changed or group.asked, taken_by, (study.name,)),
        budgets={dataset: _budget(group)},
        cells=cells,
    )


def _budget(group: RunGroup) -> Budget:
    traces = [run.scores.trace for run in group.runs]
    seconds = [float(sum(trace.seconds)) if trace is not None else math.nan for trace in traces]
    return Budget(float(np.mean([record.cost.passes for record in group.records])), float(np.mean(seconds)))


def has_budget(paper: Paper, dataset: str, budget: Budget) -> bool:
    """Whether a search on the data set had about the paper's simulated seconds; a method without a clock has."""
    theirs = paper.seconds[dataset]
    return math.isnan(budget.simulated) or abs(budget.simulated - theirs) <= _SAME_BUDGET * theirs


def _joined(paper: Paper, rows: Sequence[OurRow]) -> list[OurRow]:
    """Rows of one method that were searched on different data sets are one row, unless the budget of one is another."""

    def about(row: OurRow) -> tuple[str, str, str, bool]:
        usual = all(has_budget(paper, *one) for one in row.budgets.items())
        return row.label, row.method, row.taken_by, usual

    found: list[OurRow] = []
    for row in rows:
        fitting = (
            n for n, one in enumerate(found) if about(one) == about(row) and not one.budgets.keys() & row.budgets
        )
        same = next(fitting, None)
        if same is None:
            found.append(row)
        else:
            one = found[same]
            found[same] = OurRow(
                *(row.label, row.method, row.is_compared, row.taken_by, one.studies + row.studies),
                budgets={**one.budgets, **row.budgets},
                cells={**one.cells, **row.cells},
            )
    return found


# --------------------------------------------------------------------------------------------------------------- words


def paper_table(found: SearchTable) -> PaperTable:
    """Two rows or more a method: published, ours."""
    paper = found.paper
    columns = [f"{paper.datasets[dataset]}\n{split}" for dataset, split in paper.places]
    rows = tuple(row for pair in found.pairs for row in _lines(paper, pair))
    head = ("method", "architecture", "runs", "budget", *columns)
    csv = Csv(f"search-{paper.name}", CSV_HEADER, partial(csv_rows, found))
    title = f"{paper.title}: accuracy of the architectures found, %"
    return PaperTable(f"search-{paper.name}", title, TextTable(head, rows), _notes(found), csv)


def _lines(paper: Paper, pair: Pair) -> Iterator[tuple[str, ...]]:
    row = pair.published
    if row is not None:
        cells = [_published_cell(row.figures.get(place)) for place in paper.places]
        yield row.label, "published", str(row.runs or ""), "", *cells
    for one in pair.ours:
        label = "\n".join((one.label, *one.studies))
        budgets = "\n".join(dict.fromkeys(map(str, one.budgets.values())))
        yield label, f"ours: {one.taken_by}", one.runs, budgets, *(_cell(one.cells.get(p)) for p in paper.places)


def _published_cell(figure: Figure | None) -> str:
    return "" if figure is None else mean_and_sd(figure.mean, figure.sd) + SEEN[figure.seen].sign


def _cell(cell: OverSeeds | None) -> str:
    return "" if cell is None else mean_and_sd(cell.spread.mean, cell.spread.sd)


def mean_and_sd(mean: float, sd: float) -> str:
    """Fractions in percent; without a standard deviation that is not known."""
    return number(100 * mean, 2) + (f" ± {number(100 * sd, 2)}" if math.isfinite(sd) else "")


def _notes(found: SearchTable) -> tuple[str, ...]:
    paper = found.paper
    where = listed([paper.datasets[name] for name in paper.searched])
    search = (
        f"Searched on {where} alone; the cell found is looked up on all." if paper.transfers else "Searched on each."
    )
    budgets = listed([f"{seconds:,.0f}" for seconds in paper.seconds.values()])
    notes = [f"Published: {paper.citation}. {search} Its searchers had {budgets} simulated seconds.", _sources(paper)]
    signs = dict.fromkeys(figure.seen for row in paper.rows for figure in row.figures.values())
    notes.append(
        "; ".join(f"{SEEN[seen].sign} {SEEN[seen].text}" for seen in signs) + ". What was not seen is left out."
    )
    if found.settings:
        epochs = " or ".join(map(str, sorted(set(found.epochs.values()))))
        notes.append(
            "Ours: mean ± sd over runs (n − 1 in the denominator). An architecture’s accuracy is the mean over the "
            f"table’s seeds after its longest training, {epochs} epochs, as the benchmark’s own API gives it with "
            "is_random=False. “proposal”: the architecture that the method ends with; “highest score”: of its main "
            "ranking."
        )
        notes.append(f"Studies. {'. '.join(found.settings)}.")
    return tuple(notes)


def _sources(paper: Paper) -> str:
    whose: dict[str, dict[str, None]] = {}
    for row in paper.rows:
        for figure in row.figures.values():
            whose.setdefault(figure.source, {})[row.label] = None
    return "Sources: " + "; ".join(f"{source} ({', '.join(labels)})" for source, labels in whose.items()) + "."


CSV_HEADER = (
    *("paper", "whose", "method", "architecture", "studies", "budget", "data set", "split"),
    *("percent", "sd", "runs", "seen", "source"),
)


def csv_rows(found: SearchTable) -> Iterator[CsvRow]:
    """A line a cell; accuracies in percent."""
    paper = found.paper
    for pair in found.pairs:
        row = pair.published
        if row is not None:
            for place, figure in row.figures.items():
                about = paper.name, "published", row.label, "", "", "", *place
                yield *about, 100 * figure.mean, 100 * figure.sd, row.runs or "", figure.seen, figure.source
        for one in pair.ours:
            budget = ", ".join(dict.fromkeys(map(str, one.budgets.values())))
            for place, cell in one.cells.items():
                spread = cell.spread
                about = paper.name, "ours", one.label, one.taken_by, " and ".join(one.studies), budget, *place
                yield *about, 100 * spread.mean, 100 * spread.sd, spread.n, "", ""
