"""Which operations a method's scores go along with, beside those that the ground truth goes along with."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bench.intervals import OverSeeds
from bench.metrics import spearman_rho
from bench.report.methods import StudyRuns
from mngnas.space import OPERATIONS, all_archs, live_indices


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
    of_truth = _rhos(np.flatnonzero(common), study.truth[common])
    single = {name: OverSeeds.of([rho]) for name, rho in of_truth.items()}
    rows = [OperationsRow("ground truth", "", "", "", single, single)]
    for method in study.methods:
        accuracy = [_rhos(scored.arch_index, scored.accuracy) for scored in method.seeds]
        loss = [_rhos(scored.arch_index, -scored.loss) for scored in method.seeds]
        rows.append(
            OperationsRow(
                *(method.label, method.strategy, method.preset, method.score_set),
                *({n: OverSeeds.of([rhos[n] for rhos in seeds]) for n in OPERATIONS} for seeds in (accuracy, loss)),
            )
        )
    return tuple(rows)


def _rhos(arch_index: np.ndarray, score: ArrayLike) -> dict[str, float]:
    live = all_archs()[live_indices()[arch_index]]
    score = np.asarray(score, dtype=float)
    if not np.isfinite(score).all():
        return dict.fromkeys(OPERATIONS, float("nan"))
    return {name: spearman_rho((live == op).sum(1), score) for op, name in enumerate(OPERATIONS)}
