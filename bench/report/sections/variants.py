"""What changing a method's settings gains: every method against the unchanged one that has most variants."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from bench.report.look import REFERENCE, name_rows, row_a_method, seeds_and_mean
from bench.report.page import Block, Csv, CsvRow, Heading, Picture, Section
from bench.report.runs import StudyRuns
from bench.report.scores import OfMethod
from bench.report.sections.differences import Paired, difference, variants_of
from bench.report.text import by_column, listed
from bench.stats.intervals import SeedSpread, seed_spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANELS = 2  # the score, and the first column beside it; the CSV has all columns


@dataclass(frozen=True)
class Gain(OfMethod):
    """Tau-b of a method minus that of the standard."""

    seeds: tuple[int, ...]  # that both have
    by_score: Paired
    by_column: Mapping[str, Paired]

    def by(self, column: str) -> Paired | None:
        """By the score for "", else by another column."""
        return self.by_column.get(column) if column else self.by_score


@dataclass(frozen=True)
class Variants:
    """Every method against a standard, the highest mean first."""

    standard: str  # label
    score: str  # name of the standard's score
    columns: tuple[str, ...]  # beside the score
    lines: tuple[Gain, ...]
    left_out: tuple[str, ...]  # "label: reason"


def variants(study: StudyRuns) -> Variants | None:
    """Main rankings of one preset, if an unchanged method and two or more of its variants are among them."""
    main = [method for method in study.methods if method.is_main]
    counts = {method: len(variants_of(method, main)) for method in main if not method.is_changed}
    standard = max(counts, key=counts.__getitem__, default=None)
    if standard is None or counts[standard] < 2:
        return None
    lines, left_out = [], []
    for method in main:
        if method is standard or method.preset != standard.preset:
            continue
        gain = difference(method, standard)
        if gain.by_score is None:
            left_out.append(f"{method.label}: {gain.reason}")
        else:
            lines.append(Gain(*method.identity, gain.seeds, gain.by_score, gain.by_column))
    lines.sort(key=lambda line: -line.by_score.difference.value)
    columns = tuple(name for name in standard.columns[1:] if any(name in line.by_column for line in lines))
    found = Variants(standard.label, standard.columns[0], columns, tuple(lines), tuple(left_out))
    return found if lines else None


# --------------------------------------------------------------------------------------------------------------- words


def blocks(numbers: Variants) -> Sequence[Block]:
    """One picture."""
    title = f"Every method against {numbers.standard}"
    csv = Csv("variants", CSV_HEADER, partial(csv_rows, numbers))
    picture = Picture("variants", title, partial(draw_gains, numbers), _caption(numbers), csv)
    return [Heading("What changed settings gain"), picture]


def _caption(numbers: Variants) -> str:
    few, many = (f([len(line.seeds) for line in numbers.lines]) for f in (min, max))
    seeds = f"{many}" if few == many else ", ".join(f"{line.label} {len(line.seeds)}" for line in numbers.lines)
    left_out = f" Not shown: {'; '.join(numbers.left_out)}." if numbers.left_out else ""
    panels = [by_column(name) for name in (numbers.score, *numbers.columns)][:_PANELS]
    sides = [f"{panel} ({side})" for panel, side in zip(panels, ("left", "right"), strict=False)]
    return (
        f"Tau-b of every method minus that of {numbers.standard} on the same seed, main rankings, "
        f"{listed(sides) if len(sides) > 1 else panels[0]}; right of the dashed line is better than "
        f"{numbers.standard}. Small dots: one seed each. Large marker and thick bar: their "
        f"mean and its 95 % t-interval over the common seeds (n = {seeds}). The highest mean comes first. No "
        "correction for the number of methods: where nothing differs, one interval of twenty misses zero by chance."
        + left_out
    )


# ------------------------------------------------------------------------------------------------------------- picture

CSV_HEADER = ("method", "strategy", "minus", "column", "seed", "difference", "ci_low", "ci_high", "n")


def csv_rows(numbers: Variants) -> Iterator[CsvRow]:
    """By each column a line for each seed, and one for the mean with its interval; n counts seeds."""
    for line in numbers.lines:
        for column in ("", *numbers.columns):
            if (paired := line.by(column)) is None:
                continue
            names = line.label, line.strategy, numbers.standard, column or numbers.score
            for seed, value in zip(line.seeds, paired.values, strict=True):
                yield *names, seed, value, "", "", ""
            one = paired.difference
            yield *names, "mean", one.value, one.ci_low, one.ci_high, one.n


def draw_gains(numbers: Variants) -> "Figure":
    """A row a method: by the score, then by the first other column."""
    columns = ("", *numbers.columns)[:_PANELS]
    return row_a_method([partial(plot_gains, numbers=numbers, column=name) for name in columns], len(numbers.lines))


def plot_gains(ax: "Axes", numbers: Variants, column: str = "") -> "Axes":
    """A row a method: its seeds as dots and the mean with its interval, all minus the standard on the same seeds."""
    ends = [0.0]
    for y, line in enumerate(numbers.lines):
        if (paired := line.by(column)) is not None:
            spread: SeedSpread = seed_spread(paired.values)
            seeds_and_mean(ax, y, line.place, paired.values, spread)
            ends += [*paired.values, spread.ci_low, spread.ci_high]
    ax.axvline(0, color=REFERENCE, linestyle="--", linewidth=1, label=numbers.standard, zorder=1)
    ax.set_xlabel(f"tau-b {by_column(column or numbers.score)}\n{fill(f'minus that of {numbers.standard}', 40)}")
    return name_rows(ax, [line.label for line in numbers.lines], np.array(ends))


SECTION = Section("variants", variants, blocks)
