"""How alike the seeds of a method rank, and how alike it and short stand-alone training: no ground truth is needed."""

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from bench.report.runs import Method, StudyRuns
from bench.stats.intervals import Estimate, OverSeeds, bootstrap
from bench.stats.metrics import METRICS, kendall_tau_b
from bench.study.records import ScoreSet, load_short


@dataclass(frozen=True)
class Agreement:
    """Tau-b between the scores of every two seeds, over the architectures that both scored."""

    label: str
    strategy: str
    preset: str
    score_set: str
    seeds: tuple[int, ...]
    by_accuracy: tuple[float, ...]  # of the pairs (0, 1), (0, 2), ..., (1, 2), ... of `seeds`; NaN where undefined
    by_loss: tuple[float, ...]
    mean_by_accuracy: float  # over the pairs where it is defined
    mean_by_loss: float
    n: tuple[int, ...]  # architectures of each pair


@dataclass(frozen=True)
class ShortRow:
    """Tau-b between a method's scores and validation accuracy after short stand-alone training."""

    label: str
    strategy: str
    preset: str
    score_set: str
    seeds: tuple[int, ...]
    by_accuracy: OverSeeds
    by_loss: OverSeeds  # of minus the loss


@dataclass(frozen=True)
class WithShort:
    """The methods beside short stand-alone training."""

    steps: int
    learning_rate: float
    rows: tuple[ShortRow, ...]  # in the order of the methods
    with_truth: Estimate | None  # tau-b of short training with the ground truth; None if that is not known for any


def agreements(study: StudyRuns) -> tuple[Agreement, ...]:
    """Of every method with two seeds or more."""
    return tuple(_agreement(method) for method in study.methods if len(method.seeds) > 1)


def _agreement(method: Method) -> Agreement:
    sets = [scored.run.scores.sets[method.score_set] for scored in method.seeds]
    pairs = [_pair(a, b) for a, b in combinations(sets, 2)]
    by_accuracy, by_loss = tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs)
    return Agreement(
        *(method.label, method.strategy, method.preset, method.score_set),
        seeds=tuple(scored.seed for scored in method.seeds),
        by_accuracy=by_accuracy,
        by_loss=by_loss,
        mean_by_accuracy=_mean(by_accuracy),
        mean_by_loss=_mean(by_loss),
        n=tuple(pair[2] for pair in pairs),
    )


def _pair(a: ScoreSet, b: ScoreSet) -> tuple[float, float, int]:
    """Tau-b by accuracy and by loss, and the number of common architectures."""
    common, in_a, in_b = np.intersect1d(a.arch_index, b.arch_index, assume_unique=True, return_indices=True)
    columns = ((a.accuracy[in_a], b.accuracy[in_b]), (a.loss[in_a], b.loss[in_b]))
    accuracy, loss = (
        kendall_tau_b(x, y) if len(common) and np.isfinite([x, y]).all() else math.nan for x, y in columns
    )
    return accuracy, loss, len(common)


def with_short(study: StudyRuns, resamples: int, rng: np.random.Generator) -> WithShort | None:
    """Every method against the study's short training, if it has one (`bench.study.brief`)."""
    short = load_short(study.directory)
    if short is None:
        return None
    scores = short.scores
    index, accuracy = scores.arch_index, scores.accuracy
    reference = ScoreSet(index, accuracy, -accuracy)  # a good method agrees with both
    rows = []
    for method in study.methods:
        sets = [scored.run.scores.sets[method.score_set] for scored in method.seeds]
        pairs = [_pair(one, reference) for one in sets]
        n = [pair[2] for pair in pairs]
        rows.append(
            ShortRow(
                *(method.label, method.strategy, method.preset, method.score_set),
                seeds=tuple(scored.seed for scored in method.seeds),
                by_accuracy=OverSeeds.of([pair[0] for pair in pairs], n),
                by_loss=OverSeeds.of([pair[1] for pair in pairs], n),
            )
        )
    true = study.truth[index]
    known, tau = np.isfinite(true), METRICS["kendall_tau_b"]
    found = bootstrap(accuracy[known], true[known], [tau], resamples=resamples, rng=rng) if known.any() else None
    return WithShort(short.steps, short.learning_rate, tuple(rows), found[tau.name] if found else None)


def _mean(values: tuple[float, ...]) -> float:
    defined = [value for value in values if math.isfinite(value)]
    return float(np.mean(defined)) if defined else math.nan
