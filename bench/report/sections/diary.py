"""What methods wrote down themselves: numbers over seeds, and tables and plots of the first seed.

Titles, columns and notes are the methods' own (`mngnas.methods.info.Diary`).
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from textwrap import fill
from typing import TYPE_CHECKING, Any

from bench.report.look import REFERENCE, WIDTH, foremost, left_out, legend, look_of, panels
from bench.report.page import Block, Csv, CsvRow, Heading, Paragraph, Picture, Section, TextTable
from bench.report.runs import StudyRuns
from bench.report.scores import OfMethod
from bench.report.text import NOT_KNOWN, listed, number, over_seeds, percent
from bench.stats.intervals import OverSeeds
from mngnas.methods.info import Column, DiaryPlot, DiaryTable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TABLES = 2  # methods whose tables are shown
_COLUMNS = 4  # panels beside each other
FEW_POINTS = 25  # of a line, up to which they are marked


@dataclass(frozen=True)
class NumbersOf(OfMethod):
    """A method's numbers over its seeds, by name."""

    seeds: tuple[int, ...]
    numbers: Mapping[str, OverSeeds]
    note: str


@dataclass(frozen=True)
class TableOf(OfMethod):
    """A table of a method's first seed."""

    seed: int
    title: str
    columns: tuple[Column, ...]  # each of kind "arch" is followed by the true accuracy of its architectures
    rows: tuple[tuple[Any, ...], ...]
    note: str


@dataclass(frozen=True, eq=False)
class PlotOf(OfMethod):
    """A plot of a method's first seed."""

    seed: int
    plot: DiaryPlot


@dataclass(frozen=True)
class Diaries:
    """Of every method that keeps a diary."""

    numbers: tuple[NumbersOf, ...]
    tables: tuple[TableOf, ...]
    plots: tuple[PlotOf, ...]


def diaries(study: StudyRuns) -> Diaries | None:
    """From the records."""
    numbers, tables, plots = [], [], []
    for group in study.groups:
        records, first = group.records, group.records[0].diary
        names = dict.fromkeys(name for record in records for name in record.diary.numbers)
        if names:
            over = {
                name: OverSeeds.of([_or_nan(record.diary.numbers.get(name)) for record in records]) for name in names
            }
            note = next(record.diary.numbers_note for record in records if record.diary.numbers)
            numbers.append(NumbersOf(*group.identity, group.seeds, over, note))
        tables += [_with_truth(study, group, group.seeds[0], table) for table in first.tables]
        plots += [PlotOf(*group.identity, group.seeds[0], plot) for plot in first.plots]
    return Diaries(tuple(numbers), tuple(tables), tuple(plots)) if numbers or tables or plots else None


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _with_truth(study: StudyRuns, whose: OfMethod, seed: int, table: DiaryTable) -> TableOf:
    """Architectures as text, each with its true accuracy behind it."""
    columns: list[Column] = []
    for column in table.columns:
        more = [Column("true accuracy, %", "percent", 2)] if column.kind == "arch" else []
        columns += [column, *more]
    rows = []
    for row in table.rows:
        cells: list[Any] = []
        for column, value in zip(table.columns, row, strict=True):
            if column.kind != "arch":
                cells.append(value)
            elif value is None:
                cells += [None, None]
            else:
                space, index = study.space, int(value)
                cells += [space.to_str(space.from_index(index)), float(study.truth[index])]
        rows.append(tuple(cells))
    return TableOf(*whose.identity, seed, table.title, tuple(columns), tuple(rows), table.note)


# --------------------------------------------------------------------------------------------------------------- words


def blocks(numbers: Diaries) -> Sequence[Block]:
    """A table for each set of numbers, one for each title of tables, a picture for each title of plots."""
    found: list[Block] = []
    by_names: dict[frozenset[str], list[NumbersOf]] = {}
    for one in numbers.numbers:
        by_names.setdefault(frozenset(one.numbers), []).append(one)
    for rows in by_names.values():
        found += _numbers_blocks(rows)
    by_head: dict[tuple[Any, ...], list[TableOf]] = {}
    for table in numbers.tables:
        by_head.setdefault((table.title, table.columns), []).append(table)
    for tables in by_head.values():
        found += _table_blocks(tables)
    by_title: dict[tuple[str, str, str], list[PlotOf]] = {}
    for one_plot in numbers.plots:
        plot = one_plot.plot
        by_title.setdefault((plot.title, plot.x_label, plot.y_label), []).append(one_plot)
    taken: dict[str, int] = {}
    for plots in by_title.values():
        found += _plot_blocks(plots, taken)
    return [Heading("What the methods wrote down"), *found]


def _numbers_blocks(rows: Sequence[NumbersOf]) -> list[Block]:
    names = tuple(rows[0].numbers)
    table = TextTable(
        ("method", *names),
        tuple((row.label, *(_or_not_known(row.numbers[name]) for name in names)) for row in rows),
    )
    note = " ".join(dict.fromkeys(row.note for row in rows if row.note))
    return [table, Paragraph(f"Means over seeds with their 95 % t-interval. {note}".strip())]


def _or_not_known(one: OverSeeds) -> str:
    return over_seeds(one) if one.spread.n else NOT_KNOWN


def _table_blocks(tables: Sequence[TableOf]) -> list[Block]:
    shown = sorted(tables, key=lambda one: one.is_changed)[:_TABLES]
    title, columns = tables[0].title, tables[0].columns
    rest = ""
    if len(tables) > len(shown):
        names = listed([one.label for one in shown])
        rest = f" Of {len(tables)} such methods only {names}; results.json has all."
    rows = [
        (f"{one.label}\nseed {one.seed}", *(_cell(c, value) for c, value in zip(columns, row, strict=True)))
        for one in shown
        for row in one.rows
    ]
    note = " ".join(dict.fromkeys(one.note for one in tables if one.note))
    return [
        Paragraph(f"{title}, of the first seed:"),
        TextTable(("method", *(column.name for column in columns)), tuple(rows)),
        Paragraph(f"{note}{rest}".strip()),
    ]


def _cell(column: Column, value: Any) -> str:
    if value is None:
        return NOT_KNOWN
    match column.kind:
        case "number":
            return number(float(value), column.digits)
        case "percent":
            return percent(float(value), column.digits)
        case _:
            return str(value)


def _plot_blocks(plots: Sequence[PlotOf], taken: dict[str, int]) -> list[Block]:
    title = plots[0].plot.title
    name = "diary-" + (re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "plot")
    taken[name] = taken.get(name, 0) + 1
    name += f"-{taken[name]}" if taken[name] > 1 else ""
    notes = " ".join(dict.fromkeys(one.plot.note for one in plots if one.plot.note))
    caption = f"A row a method: its first seed, not a mean over seeds. {notes}".strip() + left_out(plots)
    csv = Csv(name, CSV_HEADER, partial(csv_rows, plots))
    return [Picture(name, title, partial(draw_plots, plots), caption, csv)]


# ------------------------------------------------------------------------------------------------------------- picture

CSV_HEADER = ("method", "strategy", "seed", "panel", "line", "x", "y")


def csv_rows(plots: Sequence[PlotOf]) -> Iterator[CsvRow]:
    """A line for each point, and one for each mark."""
    for one in plots:
        who = one.label, one.strategy, one.seed
        for panel in one.plot.panels:
            for line in panel.lines:
                for x, y in zip(line.x, line.y, strict=True):
                    yield *who, panel.title, line.label, _or_nan(x), _or_nan(y)
        for mark in one.plot.marks:
            yield *who, "", "mark", _or_nan(mark), ""


def draw_plots(plots: Sequence[PlotOf]) -> "Figure":
    """A row of panels a method; more than `_COLUMNS` of them go on below."""
    shown = foremost(plots)
    most = max(len(one.plot.panels) for one in shown)
    columns = min(most, _COLUMNS)
    rows = -(-most // columns)
    figure, axes = panels(columns * rows * len(shown), columns, (WIDTH / columns, 1.7 if columns > 1 else 2.6))
    labels = list(dict.fromkeys(line.label for one in shown for panel in one.plot.panels for line in panel.lines))
    for place, one in enumerate(shown):
        mine = axes[place * columns * rows : (place + 1) * columns * rows]
        for number_, (ax, panel) in enumerate(zip(mine, one.plot.panels, strict=False)):
            for line in panel.lines:
                dots = {"marker": "." if len(line.x) <= FEW_POINTS else "", "markersize": 2.5, "linewidth": 1.2}
                look = look_of(labels.index(line.label)) | dots
                ax.plot([*map(_or_nan, line.x)], [*map(_or_nan, line.y)], **look, label=line.label)
            for mark in one.plot.marks:
                ax.axvline(mark, color=REFERENCE, linestyle=":", linewidth=0.8, zorder=1)
            ax.set_title(panel.title)
            ax.sharex(axes[0])
            ax.sharey(axes[0])
            ax.tick_params(labelleft=number_ % columns == 0, labelbottom=ax in axes[-columns:])
        for ax in mine[len(one.plot.panels) :]:
            ax.set_axis_off()
        mine[0].set_ylabel(fill(f"{one.label}, seed\u00a0{one.seed}", 20))
    for ax in axes[-columns:]:
        ax.set_xlabel(shown[0].plot.x_label)
    figure.supylabel(shown[0].plot.y_label, fontsize=8.5)
    if labels:
        legend(figure, *axes)
    return figure


SECTION = Section("diary", diaries, blocks)
