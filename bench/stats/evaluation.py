"""Scores against ground truth: every metric with its interval, and the reference rows that stand beside it."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bench.stats.correlations import pearson_r
from bench.stats.intervals import Estimate, bootstrap, bootstrap_each, bootstrap_means
from bench.stats.metrics import METRICS, InTop, Metric, MetricFunction
from mngnas.errors import UserError
from mngnas.ranks import midranks

_RANKINGS = (METRICS["kendall_tau_b"], METRICS["spearman_rho"])


@dataclass(frozen=True)
class Evaluation:
    """How well one set of scores agrees with the ground truth; by metric name."""

    estimates: Mapping[str, Estimate]  # over all scored architectures that have a ground truth
    connected: Mapping[str, Estimate]  # tau-b and rho again, without architectures that join input and output nowhere
    live: Mapping[str, Estimate]  # the same, of canonical architectures alone
    n_scored: int  # architectures with a score and a ground truth
    n_missing: int  # with a ground truth, but without a score
    n_without_truth: int  # with a score, but without a ground truth
    n_disconnected: int  # of the scored ones
    n_live: int  # of the scored ones
    resamples: int
    level: float


@dataclass(frozen=True)
class ReferenceRow:
    """A predictor that any method should be compared with."""

    name: str
    label: str
    estimates: Mapping[str, Estimate]  # kendall_tau_b and spearman_rho


def evaluate(
    predicted_index: ArrayLike,
    predicted_score: ArrayLike,
    true: ArrayLike,
    *,
    metrics: Iterable[Metric],
    connected: ArrayLike,
    live: ArrayLike,
    resamples: int = 1000,
    level: float = 0.95,
    rng: np.random.Generator,
) -> Evaluation:
    """Compare scores `[m]` of the architectures with official indices `predicted_index` `[m]` with the ground truth.

    `true` is an accuracy as a fraction, `[n_arch]` in the order of the official index, NaN where it is not known;
    `connected` says which architectures join input and output, bool `[n_arch]` (`Space.connected`), and `live` which
    are their own canonical form (`Space.is_canonical`): supernets cannot tell the others from these. Architectures
    without a score are counted, not guessed: the numbers are over the scored ones alone. Minus infinity ranks last and
    infinity first; then Pearson's r, which is no matter of ranks, is undefined. Intervals are over architectures, see
    `bench.stats.intervals.bootstrap`. Raises `UserError` for indices outside the space or given twice, for scores that
    are NaN, for arrays of different lengths, and if no scored architecture has a ground truth.
    """
    truth = _checked("true", true)
    joins = _checked("connected", connected, len(truth)).astype(bool)
    lives = _checked("live", live, len(truth)).astype(bool)
    index, score = _checked_scores(predicted_index, predicted_score, len(truth))
    known = np.isfinite(truth[index])
    if not known.any():
        raise UserError(f"none of the {len(index)} scored architectures has a ground truth")
    scored, score = index[known], score[known]
    metrics, undefined = list(metrics), set()
    if np.isinf(score).any():
        score = midranks(score)  # every metric of ranks alone is the same
        undefined = {metric.name for metric in metrics if _function(metric) is pearson_r}
    defined = [metric for metric in metrics if metric.name not in undefined]
    found = bootstrap(score, truth[scored], defined, resamples=resamples, level=level, rng=rng)
    estimates = {metric.name: found.get(metric.name, _undefined(level)) for metric in metrics}
    joined, alive = joins[scored], lives[scored]
    of_connected, of_live = (
        _rankings(score[some], truth[scored[some]], resamples, level, rng) for some in (joined, alive)
    )
    return Evaluation(
        MappingProxyType(estimates),
        of_connected,
        of_live,
        n_scored=len(scored),
        n_missing=int(np.isfinite(truth).sum()) - len(scored),
        n_without_truth=len(index) - len(scored),
        n_disconnected=int((~joined).sum()),
        n_live=int(alive.sum()),
        resamples=resamples,
        level=level,
    )


def reference_rows(
    true: ArrayLike,
    parameters: ArrayLike,
    flops: ArrayLike,
    true_of_seeds: ArrayLike,
    *,
    valid: ArrayLike | None = None,
    rows: ArrayLike | None = None,
    others: Mapping[str, ArrayLike] = MappingProxyType({}),
    resamples: int = 1000,
    level: float = 0.95,
    rng: np.random.Generator,
) -> tuple[ReferenceRow, ...]:
    """The rows "parameter count", "FLOPs" and "ceiling" for one ground truth, `[n_arch]` in official order each.

    `true_of_seeds` `[n_arch, n_seed]` holds the single seeds behind `true`, NaN where a seed is missing. The ceiling is
    what a further stand-alone training of every architecture would reach: for each seed column its agreement with
    the mean of the other columns, over the rows that have both; then the mean over columns. A target of fewer seeds
    is noisier, so a predictor of the mean of all seeds may pass it by a little. Where no row has two seeds it is the
    validation accuracy `valid` `[n_arch]` of the same schedule as a predictor, and without that NaN with n = 0. `rows`
    are the official indices to which all of this is confined, by default every one; `others` are further predictors
    `[n_arch]` by label, each known wherever `true` is. Raises `UserError` for wrong shapes or if `true` is nowhere
    known.
    """
    truth = _checked("true", true)
    seeds = _checked("true_of_seeds", true_of_seeds, len(truth), dimensions=2)
    if rows is not None:
        among = np.zeros(len(truth), dtype=bool)
        among[np.asarray(rows)] = True
        truth, seeds = np.where(among, truth, np.nan), np.where(among[:, None], seeds, np.nan)
    known = np.flatnonzero(np.isfinite(truth))
    if not len(known):
        raise UserError("no architecture has a ground truth")
    costs = [_checked(name, values, len(truth)) for name, values in (("parameters", parameters), ("flops", flops))]
    options: dict[str, Any] = {"resamples": resamples, "level": level, "rng": rng}
    costs = [cost[known] for cost in costs]
    if np.array_equal(midranks(costs[0]), midranks(costs[1])):
        costs = costs[:1]  # the same ranking has the same rank correlations
    further = [_checked(label, values, len(truth))[known] for label, values in others.items()]
    found = bootstrap_each([*costs, *further], truth[known], _RANKINGS, **options)
    of_costs, of_others = found[: len(costs)], found[len(costs) :]
    name_of_ceiling, pairs = ceiling_pairs(seeds, truth, valid)
    ceiling = bootstrap_means(pairs, _RANKINGS, **options) if pairs else {m.name: _undefined(level) for m in _RANKINGS}
    rows_found = [
        ("parameters", "parameter count", of_costs[0]),
        ("flops", "FLOPs", of_costs[-1]),
        ("ceiling", name_of_ceiling, ceiling),
        *((label, label, estimates) for label, estimates in zip(others, of_others, strict=True)),
    ]
    return tuple(ReferenceRow(name, label, MappingProxyType(estimates)) for name, label, estimates in rows_found)


def ceiling_pairs(
    seeds: np.ndarray, truth: np.ndarray, valid: ArrayLike | None
) -> tuple[str, list[tuple[np.ndarray, np.ndarray]]]:
    """What a ceiling is made of, and its pairs of predictor and target `[n_arch]`, NaN where there is none.

    `seeds` `[n_arch, n_seed]` and `truth` `[n_arch]` are the target's; `valid` serves where no two seeds are.
    """
    pairs = seed_against_others(seeds)
    if pairs or valid is None:
        return "one seed against the others", pairs
    known = np.isfinite(valid) & np.isfinite(truth)
    return "validation accuracy", [(np.where(known, valid, np.nan), np.where(known, truth, np.nan))]


def to_json(evaluation: Evaluation) -> dict[str, object]:
    """The evaluation in types that JSON has: each metric under its name, an undefined number as None."""
    return {
        **estimates_json(evaluation.estimates),
        "without_disconnected": estimates_json(evaluation.connected),
        "live_only": estimates_json(evaluation.live),
        "n_scored": evaluation.n_scored,
        "n_missing": evaluation.n_missing,
        "n_without_truth": evaluation.n_without_truth,
        "n_disconnected": evaluation.n_disconnected,
        "n_live": evaluation.n_live,
        "resamples": evaluation.resamples,
        "level": evaluation.level,
    }


def estimates_json(estimates: Mapping[str, Estimate]) -> dict[str, dict[str, float | int | None]]:
    """Estimates by metric name in types that JSON has, an undefined number as None."""
    return {name: _estimate_json(estimate) for name, estimate in estimates.items()}


def _estimate_json(estimate: Estimate) -> dict[str, float | int | None]:
    numbers = {"value": estimate.value, "ci_low": estimate.ci_low, "ci_high": estimate.ci_high}
    return {**{key: value if math.isfinite(value) else None for key, value in numbers.items()}, "n": estimate.n}


def _checked_scores(
    predicted_index: ArrayLike, predicted_score: ArrayLike, n_arch: int
) -> tuple[np.ndarray, np.ndarray]:
    index, score = np.asarray(predicted_index), np.asarray(predicted_score, dtype=np.float64)
    if index.ndim != 1 or index.shape != score.shape or not len(index):
        raise UserError(f"one score per architecture is needed, not {list(score.shape)} for {list(index.shape)}")
    if index.dtype.kind not in "iu":
        raise UserError(f"architecture indices must be whole numbers, not {index.dtype}")
    outside = index[(index < 0) | (index >= n_arch)]
    if len(outside):
        raise UserError(f"architecture index {outside[0]} is outside 0..{n_arch - 1}")
    values, counts = np.unique(index, return_counts=True)
    if counts.max() > 1:
        raise UserError(f"architecture index {values[np.argmax(counts)]} has {counts.max()} scores")
    if np.isnan(score).any():
        at = int(np.argmax(np.isnan(score)))
        raise UserError(f"score {score[at]} of architecture index {index[at]} is not finite")
    return index, score


def _checked(name: str, values: ArrayLike, n_arch: int | None = None, dimensions: int = 1) -> np.ndarray:
    """The values as float64 of that many dimensions, the first of length `n_arch` if it is given."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != dimensions or (n_arch is not None and len(array) != n_arch):
        wanted = ", ".join([str(n_arch or "n_arch"), "n_seed"][:dimensions])
        raise UserError(f"{name} must have the shape [{wanted}], one row per architecture, not {list(array.shape)}")
    return array


def _rankings(
    predicted: np.ndarray, true: np.ndarray, resamples: int, level: float, rng: np.random.Generator
) -> Mapping[str, Estimate]:
    if not len(true):
        return MappingProxyType({metric.name: _undefined(level) for metric in _RANKINGS})
    return MappingProxyType(bootstrap(predicted, true, _RANKINGS, resamples=resamples, level=level, rng=rng))


def _function(metric: Metric) -> MetricFunction:
    """What the metric computes, whether of all architectures or of the top."""
    return metric.function.function if isinstance(metric.function, InTop) else metric.function


def _undefined(level: float) -> Estimate:
    return Estimate(math.nan, math.nan, math.nan, 0, level)


def seed_against_others(seeds: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each column of `[n_arch, n_seed]` with a partner anywhere: the column, and the mean of the others."""
    pairs = []
    for column in range(seeds.shape[1]):
        others = np.delete(seeds, column, axis=1)
        known = np.isfinite(others).sum(axis=1)
        # Rounded far below one picture, so that equal numbers of right answers are ties whatever the order of the sum.
        mean = np.round(np.nansum(others, axis=1) / np.where(known, known, np.nan), 6)
        if (np.isfinite(seeds[:, column]) & np.isfinite(mean)).any():
            pairs.append((seeds[:, column], mean))
    return pairs
