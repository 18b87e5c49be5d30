"""Which traits of architectures a method's scores go along with, beside those that the ground truth goes along with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.report.page import Block, Heading, Paragraph, Section, TextTable
from bench.report.runs import StudyRuns
from bench.report.scores import OfMethod
from bench.report.text import by_column, number
from bench.stats.correlations import pearson_r
from bench.stats.intervals import OverSeeds
from mngnas.ranks import midranks

Traits = Mapping[str, np.ndarray]  # by name, [n_arch]


@dataclass(frozen=True)
class TraitsRow(OfMethod):
    """Spearman's rho between scores and a trait, by the trait's name."""

    by_score: Mapping[str, OverSeeds]
    by_column: Mapping[str, Mapping[str, OverSeeds]]  # ranked by each of the other columns


@dataclass(frozen=True)
class Favours:
    """What each method favours."""

    space: str
    truth: Mapping[str, float]  # rho of the true accuracy
    rows: tuple[TraitsRow, ...]


def favours(study: StudyRuns) -> Favours | None:
    """The ground truth of the architectures that all main rankings have, then every method's scores."""
    traits = study.space.traits()
    if not study.methods or not traits:
        return None
    ranks = RanksOf(traits)
    rows = []
    for method in study.methods:
        columns = {
            column: [_rhos(ranks, scored.arch_index, scored.columns[column]) for scored in method.seeds]
            for column in method.columns
        }
        over = {
            column: {name: OverSeeds.of([one[name] for one in seeds]) for name in traits}
            for column, seeds in columns.items()
        }
        score, *others = over
        rows.append(TraitsRow(*method.identity, over[score], {column: over[column] for column in others}))
    common = np.flatnonzero(study.common)
    return Favours(study.space.label, _rhos(ranks, common, study.truth[common]), tuple(rows))


class RanksOf:
    """Midranks of traits, computed once for all seeds and methods with the same architectures."""

    def __init__(self, traits: Traits) -> None:
        self.traits = traits
        self._made: dict[bytes, Traits] = {}

    def among(self, index: np.ndarray) -> Traits:
        """Of the architectures `index` `[n]`, `[n]` each."""
        key = index.tobytes()
        if key not in self._made:
            self._made[key] = {name: midranks(values[index]) for name, values in self.traits.items()}
        return self._made[key]


def _rhos(traits: RanksOf, index: np.ndarray, score: np.ndarray) -> dict[str, float]:
    """Of scores `[n]` of the architectures `index` `[n]`; NaN if a score is not finite."""
    if not len(score) or not np.isfinite(score).all():
        return dict.fromkeys(traits.traits, float("nan"))
    ranks = midranks(score)
    return {name: pearson_r(of_trait, ranks) for name, of_trait in traits.among(index).items()}


def blocks(numbers: Favours) -> Sequence[Block]:
    """One table."""
    truth = ("ground truth", "", *map(number, numbers.truth.values()))
    return [
        Heading("What each method favours"),
        TextTable(("method", "scores", *numbers.truth), (truth, *map(_row, numbers.rows))),
        Paragraph(
            "Spearman’s rho between the scores and a trait of the architectures, for cells the number of edges of the "
            "live graph that carry an operation; the mean over seeds, in the first row for the true accuracy. A method "
            "whose number is higher than the ground truth’s overrates architectures with that trait, one whose number "
            "is lower underrates them."
        ),
    ]


def _row(row: TraitsRow) -> tuple[str, ...]:
    cells = []
    for name, one in row.by_score.items():
        others = (f"\n{by_column(column)} {number(found[name].spread.mean)}" for column, found in row.by_column.items())
        cells.append(number(one.spread.mean) + "".join(others))
    return row.label, row.scores, *cells


SECTION = Section("traits", favours, blocks)
