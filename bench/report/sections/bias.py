"""Which traits of architectures, such as their operations, each method over- or underrates."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from bench.report.cells import short
from bench.report.look import REFERENCE, name_rows, row_a_method, seeds_and_mean
from bench.report.page import Block, Csv, CsvRow, Picture, Section
from bench.report.runs import StudyRuns
from bench.report.scores import OfMethod
from bench.report.sections.traits import Traits
from bench.stats.correlations import partial_correlation, pearson_r
from bench.stats.intervals import OverSeeds
from mngnas.ranks import midranks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Bias(OfMethod):
    """Spearman's partial rho between scores and each trait, the true accuracy held."""

    seeds: tuple[int, ...]
    by_trait: Mapping[str, OverSeeds]


@dataclass(frozen=True)
class Biases:
    """Of every ranking, in the order of the results table."""

    traits: tuple[str, ...]
    rows: tuple[Bias, ...]


def biases(study: StudyRuns) -> Biases | None:
    """Of all rankings of the study."""
    traits = study.space.traits()
    if not study.methods or not traits:
        return None
    of_truth = RanksOfTraits(traits)
    rows = []
    for method in study.methods:
        seeds = [of_truth.partial(scored.arch_index, scored.score, scored.true) for scored in method.seeds]
        over = {name: OverSeeds.of([one[name] for one in seeds]) for name in traits}
        rows.append(Bias(*method.identity, method.seed_numbers, over))
    return Biases(tuple(traits), tuple(rows))


class RanksOfTraits:
    """The ranks of traits and truth, computed once for all seeds and methods with the same architectures."""

    def __init__(self, traits: Traits) -> None:
        self.traits = traits
        self._made: dict[bytes, tuple[np.ndarray, dict[str, tuple[np.ndarray, float]]]] = {}

    def partial(self, index: np.ndarray, score: np.ndarray, true: np.ndarray) -> dict[str, float]:
        """By trait the partial rho of scores `[n]` of the architectures `index` with the truth `[n]` held.

        Positive: of equally accurate architectures the method prefers those with more of the trait. NaN where a score
        is missing, or where the ranking is the truth's own.
        """
        if len(score) < 2 or np.isnan(score).any():
            return dict.fromkeys(self.traits, float("nan"))
        true_ranks, by_trait = self._of(index, true)
        ranks = midranks(score)
        with_truth = pearson_r(ranks, true_ranks)
        return {
            name: partial_correlation(pearson_r(ranks, of_trait), with_truth, of_truth)
            for name, (of_trait, of_truth) in by_trait.items()
        }

    def _of(self, index: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, dict[str, tuple[np.ndarray, float]]]:
        key = index.tobytes() + true.tobytes()
        if key not in self._made:
            true_ranks = midranks(true)
            ranks = {name: midranks(values[index].astype(float)) for name, values in self.traits.items()}
            of_truth = {name: pearson_r(one, true_ranks) for name, one in ranks.items()}
            self._made[key] = true_ranks, {name: (one, of_truth[name]) for name, one in ranks.items()}
        return self._made[key]


# --------------------------------------------------------------------------------------------------------------- words


def blocks(numbers: Biases) -> Sequence[Block]:
    """One picture, below the table of traits."""
    csv = Csv("bias", CSV_HEADER, partial(csv_rows, numbers))
    return [Picture("bias", "What each method over- and underrates", partial(draw_biases, numbers), _CAPTION, csv)]


_CAPTION = (
    "Spearman’s partial rho between a method’s scores and a trait of the architectures, the true accuracy held; for "
    "cells the number of live edges that carry an operation. Right of the dashed line: of equally accurate "
    "architectures the method prefers those with more of it; left: it holds them back. On the line: no preference "
    "beyond what makes architectures accurate, which noise in the scores cannot fake, while the plain rho of the table "
    "above shrinks with it. Small dots: one seed each. Large marker and thick bar: their mean and its 95 % interval "
    "over seeds. All panels have one scale."
)


# ------------------------------------------------------------------------------------------------------------- picture

CSV_HEADER = ("method", "strategy", "scores", "trait", "seed", "partial_rho", "ci_low", "ci_high")


def csv_rows(numbers: Biases) -> Iterator[CsvRow]:
    """By trait a line for each seed, and one for the mean with its interval."""
    for row in numbers.rows:
        for trait, one in row.by_trait.items():
            names = row.label, row.strategy, row.scores, trait
            for seed, value in zip(row.seeds, one.values, strict=True):
                yield *names, seed, value, "", ""
            yield *names, "mean", one.spread.mean, one.spread.ci_low, one.spread.ci_high


def draw_biases(numbers: Biases) -> "Figure":
    """A panel a trait, a row a method."""
    plots = [partial(plot_bias, numbers=numbers, trait=trait) for trait in numbers.traits]
    figure = row_a_method(plots, len(numbers.rows))
    figure.axes[len(plots) // 2].set_xlabel("partial rho, the true accuracy held")
    return figure


def plot_bias(ax: "Axes", numbers: Biases, trait: str) -> "Axes":
    """A row a method: its seeds as dots and the mean with its interval, around zero."""
    ends = [0.0]
    for row in numbers.rows:
        for one in row.by_trait.values():  # one scale for all traits
            ends += [*one.values, one.spread.ci_low, one.spread.ci_high]
    for y, row in enumerate(numbers.rows):
        one = row.by_trait[trait]
        seeds_and_mean(ax, y, row.place, one.values, one.spread)
    ax.axvline(0, color=REFERENCE, linestyle="--", linewidth=1, label="no preference", zorder=1)
    ax.set_title(short(trait))
    name_rows(ax, [row.label for row in numbers.rows], np.clip(ends, -1, 1))
    ax.tick_params(axis="y", length=0)
    ax.xaxis.set_major_formatter("{x:g}")
    ax.spines["left"].set_visible(False)
    low, high = ax.get_xlim()
    ax.set_xlim(low - 0.08 * (high - low), high + 0.08 * (high - low))  # half a marker in a narrow panel
    return ax


SECTION = Section("bias", biases, blocks)
