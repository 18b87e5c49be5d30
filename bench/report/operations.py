"""Which operations a method's scores go along with, beside those that the ground truth goes along with."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bench.report.runs import StudyRuns
from bench.stats.intervals import OverSeeds
from bench.stats.metrics import spearman_rho
from mngnas.spaces.topology import OPERATIONS, all_archs, live_indices


@dataclass(frozen=True)
class OperationsRow:
    """Spearman's rho between scores and the number of edges that carry an operation, by its name."""

    label: str
    strategy: str  # empty for the ground truth
    preset: str
    score_set: str
    by_accuracy: Mapping[str, OverSeeds]
    by_loss: Mapping[str, OverSeeds]  # of minus the loss


def operations(study: StudyRuns, common: np.ndarray) -> tuple[OperationsRow, ...]:
    """The ground truth of the architectures in `common`, bool `[15625]`, then every method's scores.

    Edges are those of the live graph: what cannot reach the output counts as none.
    """
    live = all_archs()[live_indices()]
    counts = np.stack([(live == op).sum(1) for op in range(len(OPERATIONS))], axis=1)
    of_truth = _rhos(counts[common], study.truth[common])
    single = {name: OverSeeds.of([rho]) for name, rho in of_truth.items()}
    rows = [OperationsRow("ground truth", "", "", "", single, single)]
    for method in study.methods:
        accuracy = [_rhos(counts[scored.arch_index], scored.accuracy) for scored in method.seeds]
        loss = [_rhos(counts[scored.arch_index], -scored.loss) for scored in method.seeds]
        rows.append(
            OperationsRow(
                *(method.label, method.strategy, method.preset, method.score_set),
                *({n: OverSeeds.of([rhos[n] for rhos in seeds]) for n in OPERATIONS} for seeds in (accuracy, loss)),
            )
        )
    return tuple(rows)


def _rhos(counts: np.ndarray, score: np.ndarray) -> dict[str, float]:
    """Of scores `[n]` with the edges `[n, 5]` of each operation; NaN if a score is not finite."""
    if not np.isfinite(score).all():
        return dict.fromkeys(OPERATIONS, float("nan"))
    return {name: spearman_rho(column, score) for name, column in zip(OPERATIONS, counts.T, strict=True)}
