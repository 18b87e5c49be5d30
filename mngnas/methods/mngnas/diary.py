"""What MNGNAS writes down: running sums while it trains, and the diary that a report shows."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mngnas.methods.info import Column, Diary, DiaryLine, DiaryPanel, DiaryPlot, DiaryTable

if TYPE_CHECKING:
    from torch import Tensor

    from mngnas.methods.mngnas.distillation import Guidance

Entry = Mapping[str, Any]

_NUMBERS_NOTE = (
    "Distances are sums over the stages of the mean squared difference of normalised features: of the supernet's "
    "paths to the combined teacher (the distillation loss), of the candidates while they are retrained, and of a "
    "round's winner to its perturbed neighbours while they are trained together. Entropy is that of the "
    "coefficients, ln K for K teachers that count alike, 0 for one alone. A part that was switched off has no "
    "number."
)
_TABLE_NOTE = (
    "The number of a round is that of its teacher, which joins the pool unless better ones fill it. The last two "
    "columns are means over the log of guided training until the next round: the share of steps and stages in "
    "which a coefficient meets the cap, and the entropy of the coefficients. The search never saw the true "
    "accuracy."
)
_PLOT_NOTE = (
    "Lines: the coefficient alpha of each teacher in the pool, means over stretches of about 1 % of the budget; "
    "those of one moment add up to 1. Left the mean over stages, then each stage. Dotted: the rounds, each of "
    "which makes a teacher."
)


@dataclass
class GuidanceSums:
    """Running sums between two entries of the log, on the device, so that a step does not wait for it."""

    count: int = 0
    values: "dict[str, Tensor]" = field(default_factory=dict)

    def add(self, guidance: "Guidance") -> None:
        """Take in the guidance of one path."""
        alpha = guidance.alpha
        entropy = -(alpha * alpha.clamp_min(1e-12).log()).sum(1).mean()
        found = {
            "loss": guidance.loss.detach(),
            "alpha": alpha,
            "entropy": entropy,
            "at_cap": guidance.at_cap,
            "distances": guidance.distances,
        }
        self.values = {name: self.values[name] + value if self.count else value for name, value in found.items()}
        self.count += 1

    def means(self) -> dict[str, Any]:
        """Means over what was taken in, as plain numbers."""
        return {name: (value / self.count).tolist() for name, value in self.values.items()}


def diary_of(log: Sequence[Entry], rounds: Sequence[Entry]) -> Diary:
    """The diary of a run that kept a log of guided training and an entry for each round."""
    if not rounds:
        return Diary()
    last = [entry for entry in log if entry["spent"] > rounds[-1]["spent"]]
    numbers = {
        "distance to the teacher": _mean(log, "loss"),
        "distance after the last round": _mean(last, "loss"),
        "entropy after the last round, nats": _mean(last, "entropy"),
        "at the cap after the last round, %": _mean(last, "at_cap", 100),
        "distance of retrained candidates": _mean(rounds[1:], "retraining_distance"),
        "distance of the winner to its neighbours": _mean(rounds, "perturbation_distance"),
    }
    plots = (_plot(log, rounds),) if log else ()
    return Diary(numbers, _NUMBERS_NOTE, (_table(log, rounds),), plots)


def _table(log: Sequence[Entry], rounds: Sequence[Entry]) -> DiaryTable:
    columns = (
        Column("round", digits=0),
        Column("spent, %", "percent", 1),
        Column("teacher", "arch"),
        Column("validation loss at the snapshot"),
        Column("at the cap afterwards, %", "percent", 1),
        Column("entropy afterwards, nats", digits=2),
    )
    rows = []
    for number, one in enumerate(rounds):
        end = rounds[number + 1]["spent"] if number + 1 < len(rounds) else 1.0
        follows = [entry for entry in log if one["spent"] < entry["spent"] <= end]
        loss, spent = round(one["loss"], 6), round(one["spent"], 6)
        rows.append((number, spent, one["arch_index"], loss, _mean(follows, "at_cap"), _mean(follows, "entropy")))
    return DiaryTable("Teachers", columns, rows, _TABLE_NOTE)


def _plot(log: Sequence[Entry], rounds: Sequence[Entry]) -> DiaryPlot:
    teachers = sorted({number for entry in log for number in entry["teachers"]})
    stages = len(log[0]["alpha"])

    def line(teacher: int, stage: int | None) -> DiaryLine:
        present = [entry for entry in log if teacher in entry["teachers"]]
        alpha = [[row[entry["teachers"].index(teacher)] for row in entry["alpha"]] for entry in present]
        y = [sum(one) / stages if stage is None else one[stage] for one in alpha]
        return DiaryLine(
            f"teacher {teacher}", [round(100 * entry["spent"], 2) for entry in present], [round(one, 4) for one in y]
        )

    panels = [
        DiaryPanel("mean over stages" if stage is None else f"stage {stage + 1}", [line(t, stage) for t in teachers])
        for stage in (None, *range(stages))
    ]
    marks = [round(100 * one["spent"], 2) for one in rounds]
    return DiaryPlot("How much each teacher counts", "budget spent, %", "coefficient", panels, marks, _PLOT_NOTE)


def _mean(entries: Sequence[Entry], name: str, scale: float = 1.0) -> float | None:
    values = [entry[name] for entry in entries if name in entry]
    found = scale * sum(values) / len(values) if values else math.nan
    return round(found, 6) if math.isfinite(found) else None
