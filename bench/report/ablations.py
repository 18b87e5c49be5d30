"""The numbers of the picture of ablations: what every method gains over MNGNAS on the same seeds."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from bench.report.figures import CsvRow
from bench.report.results import Results, difference
from bench.report.runs import StudyRuns
from bench.stats.intervals import SeedSpread, seed_spread

_STANDARD = "mngnas"


@dataclass(frozen=True, eq=False)
class GainLine:
    """Tau-b of a method minus that of MNGNAS."""

    label: str
    strategy: str
    place: int  # in `StudyRuns.methods`
    seeds: tuple[int, ...]  # that both have
    values: tuple[float, ...]  # of the seeds
    spread: SeedSpread
    values_by_loss: tuple[float, ...]  # the same with minus the loss as the score
    spread_by_loss: SeedSpread


@dataclass(frozen=True, eq=False)
class AblationsFigure:
    """Every method against MNGNAS, the highest mean by accuracy first."""

    standard: str  # the label of MNGNAS
    lines: tuple[GainLine, ...]
    left_out: tuple[str, ...]  # "label: reason"
    header: ClassVar[tuple[str, ...]] = (
        *("method", "strategy", "minus", "score", "seed"),
        *("difference", "ci_low", "ci_high", "n"),
    )

    def rows(self) -> Iterator[CsvRow]:
        """By accuracy and by loss a line for each seed, and one for the mean with its interval; n counts seeds."""
        for line in self.lines:
            for score, values, s in (
                ("accuracy", line.values, line.spread),
                ("loss", line.values_by_loss, line.spread_by_loss),
            ):
                names = line.label, line.strategy, self.standard, score
                for seed, value in zip(line.seeds, values, strict=True):
                    yield *names, seed, value, "", "", ""
                yield *names, "mean", s.mean, s.ci_low, s.ci_high, s.n


def ablations(study: StudyRuns, results: Results) -> AblationsFigure | None:
    """Inherited scores of one preset, if MNGNAS and two of its ablations are among them."""
    found = [one for one in zip(study.methods, results.rows, strict=True) if one[0].score_set == "inherited"]
    standard = next((one for one in found if one[0].strategy == _STANDARD), None)
    if standard is None:
        return None
    others = [one for one in found if one is not standard and one[0].preset == standard[0].preset]
    if sum(method.strategy.startswith(f"{_STANDARD}-") for method, _ in others) < 2:
        return None
    lines, left_out = [], []
    for method, row in others:
        gain = difference(method, row, *standard)
        if gain.difference is None:
            left_out.append(f"{method.label}: {gain.reason}")
            continue
        place = study.methods.index(method)
        by_score = gain.values, seed_spread(gain.values), gain.values_by_loss, seed_spread(gain.values_by_loss)
        lines.append(GainLine(method.label, method.strategy, place, gain.seeds, *by_score))
    lines.sort(key=lambda line: -line.spread.mean)
    return AblationsFigure(standard[0].label, tuple(lines), tuple(left_out)) if lines else None
