"""How alike studies and another study rank: settings may be chosen by it, for it asks no ground truth.

The other study's scores may be of another network, training-free ones of the benchmark's full-size network say. What
agrees with them most need not rank better than counting parameters: that agrees with them, too (docs/protocol.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.report.runs import runs_by_group
from bench.report.scores import preset_of
from bench.report.sections.agreement import tau_between
from bench.report.text import over_seeds
from bench.stats.intervals import OverSeeds
from bench.study.records import Run
from bench.study.scores import Scores
from bench.study.store import load_runs
from mngnas.errors import UserError


@dataclass(frozen=True)
class AgreementWith:
    """Tau-b of a method's score with that of a method of the other study, over the architectures that both scored."""

    label: str
    preset: str
    with_label: str
    tau: OverSeeds  # over the method's seeds; of the other study the first seed counts

    @property
    def text(self) -> str:
        """The mean, its interval, and the number of architectures, on one line."""
        return over_seeds(self.tau, show_n=True).replace("\n", "; ")


def agreement_with(studies: Sequence[Path], reference: Path) -> list[AgreementWith]:
    """Every method of `studies` with every method of `reference`; main rankings only.

    Raises `UserError` for studies of several search spaces, without runs that rank, or without a common architecture.
    """
    others = [runs[0] for runs in _groups([reference])]
    found = []
    for runs in _groups(studies):
        for other in others:
            if runs[0].record.space != other.record.space:
                raise UserError(f"{runs[0].record.space} and {other.record.space} are different search spaces")
            pairs = [_tau(run, other) for run in runs]
            about = runs[0].record.method.full_label, preset_of(runs[0].record), other.record.method.full_label
            if not any(n for _, n in pairs):
                raise UserError(f"{about[0]} [{about[1]}] and {about[2]} scored no architecture in common")
            found.append(AgreementWith(*about, OverSeeds.of([tau for tau, _ in pairs], [n for _, n in pairs])))
    return found


def _groups(studies: Sequence[Path]) -> list[list[Run]]:
    """Runs that rank, those that differ in their seeds only together."""
    place, runs = ", ".join(map(str, studies)), [run for study in studies for run in load_runs(study)]
    ranking = [run for run in runs if run.scores.rankings]
    if not ranking:
        raise UserError(f"no run ranks architectures in {place}")
    return [group for _, group in sorted(runs_by_group(place, ranking).items())]


def _tau(run: Run, other: Run) -> tuple[float, int]:
    mine, theirs = _main(run), _main(other)
    name, its_name = next(iter(mine.columns)), next(iter(theirs.columns))
    taus, n = tau_between(mine, theirs, {name: its_name})
    return taus[name], n


def _main(run: Run) -> Scores:
    return next(iter(run.scores.rankings.values()))
