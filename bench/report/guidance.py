"""The numbers of the picture of guidance: how much each teacher counted while the supernet trained."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from bench.report.figures import CsvRow
from bench.report.results import Results
from bench.report.runs import StudyRuns


@dataclass(frozen=True, eq=False)
class TeacherLine:
    """The coefficient of one teacher in each of p stretches of training, for as long as it is in the pool."""

    number: int  # counted from 0 in the order of their making
    spent: np.ndarray  # [p], share of the budget at the end of the stretch
    alpha: np.ndarray  # [stages, p], means over the stretch


@dataclass(frozen=True, eq=False)
class MethodGuidance:
    """The first seed of a method."""

    label: str
    strategy: str
    seed: int
    rounds: tuple[float, ...]  # shares of the budget at which a teacher was made
    teachers: tuple[TeacherLine, ...]


@dataclass(frozen=True, eq=False)
class GuidanceFigure:
    """The coefficients of the teachers against the budget spent."""

    methods: tuple[MethodGuidance, ...]
    header: ClassVar[tuple[str, ...]] = ("method", "strategy", "seed", "teacher", "spent", "stage", "alpha")

    def rows(self) -> Iterator[CsvRow]:
        """A line for each teacher, moment and stage (from 1, or "mean")."""
        for m in self.methods:
            for line in m.teachers:
                for spent, alpha in zip(line.spent.tolist(), line.alpha.T, strict=True):
                    for stage, value in enumerate(alpha.tolist(), 1):
                        yield m.label, m.strategy, m.seed, line.number, spent, stage, value
                    yield m.label, m.strategy, m.seed, line.number, spent, "mean", float(alpha.mean())


def guidance(study: StudyRuns, _results: Results) -> GuidanceFigure | None:
    """The first seed of every method that was guided by teachers."""
    found = [
        MethodGuidance(
            *(method.label, method.strategy, method.seeds[0].seed),
            tuple(one["spent"] for one in method.diagnostics.get("rounds", ())),
            tuple(_teacher_lines(log)),
        )
        for method in study.methods
        if (log := method.diagnostics.get("guidance"))
    ]
    return GuidanceFigure(tuple(found)) if found else None


def _teacher_lines(log: Sequence[Mapping[str, Any]]) -> Iterator[TeacherLine]:
    for number in sorted({number for entry in log for number in entry["teachers"]}):
        present = [entry for entry in log if number in entry["teachers"]]
        alpha = [np.array(entry["alpha"])[:, entry["teachers"].index(number)] for entry in present]
        yield TeacherLine(number, np.array([entry["spent"] for entry in present]), np.array(alpha).T)
