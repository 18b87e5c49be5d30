"""The architecture that a search by each method's scores would end with, and how good it truly is."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from bench.report.runs import Method, Scored, StudyRuns
from bench.stats.intervals import OverSeeds
from bench.study.records import ScoreSet
from mngnas.spaces.topology import from_index, to_str


@dataclass(frozen=True)
class PickTruth:
    """How good a method's picks are on one data set, as fractions."""

    target: str
    best: float  # of the table
    accuracy: OverSeeds
    regret: OverSeeds  # `best` minus the accuracy


@dataclass(frozen=True)
class Pick:
    """Of each seed the architecture of highest one-shot accuracy, of those that tie the one of lowest loss.

    Chosen among the scored architectures that have a ground truth, whatever it is. A seed that has none, or whose
    scores are not finite, picks nothing.
    """

    label: str
    strategy: str
    preset: str
    score_set: str
    seeds: tuple[int, ...]
    arch_index: tuple[int | None, ...]
    arch_str: tuple[str | None, ...]
    n_better: int  # seeds in which an architecture without a ground truth would have been picked
    truth: Mapping[str, PickTruth]  # by data set


def picks(study: StudyRuns) -> tuple[Pick, ...]:
    """Of every method, on every data set with test accuracies: those after the longest training in the table."""
    measures = [m for m in sorted(study.table.measures) if (m.split, m.kind) == ("test", "accuracy")]
    truths = {m.dataset: (str(m), study.table.mean(m)) for m in measures}  # the longest training comes last
    return tuple(_pick(method, study.truth, truths) for method in study.methods)


def _pick(method: Method, known: np.ndarray, truths: Mapping[str, tuple[str, np.ndarray]]) -> Pick:
    found: list[int | None] = []
    n_better = 0
    for scored in method.seeds:
        if not scored.usable:
            found.append(None)
            continue
        found.append(_best(scored))
        n_better += bool(np.isnan(known[_best(scored.run.scores.sets[method.score_set])]))
    on = {}
    for dataset, (target, truth) in truths.items():
        accuracy = [np.nan if index is None else float(truth[index]) for index in found]
        best_true = float(np.nanmax(truth))
        regret = OverSeeds.of([best_true - one for one in accuracy])
        on[dataset] = PickTruth(target, best_true, OverSeeds.of(accuracy), regret)
    return Pick(
        *(method.label, method.strategy, method.preset, method.score_set),
        seeds=tuple(scored.seed for scored in method.seeds),
        arch_index=tuple(found),
        arch_str=tuple(None if index is None else to_str(from_index(index)) for index in found),
        n_better=n_better,
        truth=MappingProxyType(on),
    )


def _best(scores: Scored | ScoreSet) -> int:
    return int(scores.arch_index[np.lexsort((scores.arch_index, scores.loss, -scores.accuracy))[0]])
