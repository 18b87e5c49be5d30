"""How well predicted scores rank architectures: plain functions from two arrays to one number.

Every metric takes `predicted` and `true`, both `[n]`, both "higher is better" (give `-loss` for a loss). `true` is an
accuracy as a fraction. Three rules hold for all of them:

- NaN or infinity in the input is an error (`UserError`), never a result.
- A metric that is undefined for the input (a correlation of a constant, k larger than n) is NaN.
- Ties among the predicted scores are not broken by the order of the file: where a metric has to select, the result is
  its expected value when ties are broken at random.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bench.stats.correlations import finite_pair, kendall_tau_b, pearson_r, sparse_kendall_tau, spearman_rho
from mngnas.errors import UserError, unknown

__all__ = [
    "METRICS",
    "InTop",
    "Metric",
    "MetricFunction",
    "accuracy_of_best",
    "best_rank_at_k",
    "in_top",
    "kendall_tau_b",
    "named",
    "normalised_best_rank_at_k",
    "normalised_worst_rank_at_k",
    "pearson_r",
    "place_count",
    "precision_at_bottom_k",
    "precision_at_top_k",
    "regret",
    "sparse_kendall_tau",
    "spearman_rho",
    "worst_rank_at_k",
]

MetricFunction = Callable[[ArrayLike, ArrayLike], float]

# ------------------------------------------------------------------------------------------ the true top fraction


@dataclass(frozen=True)
class InTop:
    """A metric of the architectures in the true top fraction only; made by `in_top`."""

    function: MetricFunction
    fraction: float

    def __call__(self, predicted: ArrayLike, true: ArrayLike) -> float:
        """The metric of `members(true)`, both arrays `[n]`."""
        x, y = finite_pair(predicted, true)
        top = self.members(y)
        return self.function(x[top], y[top])

    def members(self, true: np.ndarray) -> np.ndarray:
        """Which architectures are in the top, bool `[n]`."""
        m = place_count(self.fraction, len(true))
        return np.asarray(true >= np.partition(true, -m)[-m])


def in_top(function: MetricFunction, fraction: float) -> InTop:
    """The metric `function` inside the top `fraction` (0 < fraction <= 1) by the true accuracy.

    The top is the m best, m = fraction * n rounded and at least 1, and whatever ties with the last of them: ties at
    the border are all in, so that the result does not depend on the order of the input.
    """
    if not 0 < fraction <= 1:
        raise UserError(f"top fraction {fraction} is outside 0..1")
    return InTop(function, fraction)


def place_count(k: int | float, n: int) -> int:
    """How many of `n` architectures `k` means: an int is a count, a float (0..1] a fraction, rounded, at least 1."""
    if isinstance(k, int | np.integer):
        if k < 1:
            raise UserError(f"k = {k} is not a positive count")
        return int(k)
    if not 0 < k <= 1:
        raise UserError(f"k = {k} is not a fraction in 0..1; a count is written without a decimal point")
    return max(1, int(k * n + 0.5))


# ------------------------------------------------------------------------------------------- what a search would take


def precision_at_top_k(predicted: ArrayLike, true: ArrayLike, k: int | float) -> float:
    """The share of the predicted top k that is in the true top k, 0..1 (P@topK of Ning et al. 2021).

    `k` as in `place_count`; NaN if k > n. Ties with the k-th best true accuracy count as in the true top, so that a
    predictor equal to the truth has precision 1. Ning et al., "Evaluating Efficient Performance Estimators of Neural
    Architectures", NeurIPS 2021.
    """
    x, y = finite_pair(predicted, true)
    k = place_count(k, len(x))
    if k > len(x):
        return float("nan")
    hit = y >= np.partition(y, -k)[-k]
    chosen = _chosen(x, k)
    return float((hit[chosen.certain].sum() + chosen.places * hit[chosen.border].mean()) / k)


def precision_at_bottom_k(predicted: ArrayLike, true: ArrayLike, k: int | float) -> float:
    """The share of the predicted bottom k that is in the true bottom k, 0..1; `precision_at_top_k` upside down."""
    x, y = finite_pair(predicted, true)
    return precision_at_top_k(-x, -y, k)


def best_rank_at_k(predicted: ArrayLike, true: ArrayLike, k: int | float) -> float:
    """The best true rank (1 = best of all) among the predicted top k, 1..n (BR@K of Ning et al. 2021, times n).

    `k` as in `place_count`; NaN if k > n. A true rank is 1 + the number of strictly better architectures.
    """
    x, y = finite_pair(predicted, true)
    k = place_count(k, len(x))
    return _expected_extreme(x, y, k, np.min) if k <= len(x) else float("nan")


def worst_rank_at_k(predicted: ArrayLike, true: ArrayLike, k: int | float) -> float:
    """The worst true rank among the predicted top k, 1..n; see `best_rank_at_k` (WR@K of Ning et al. 2021, times n)."""
    x, y = finite_pair(predicted, true)
    k = place_count(k, len(x))
    return _expected_extreme(x, y, k, np.max) if k <= len(x) else float("nan")


def normalised_best_rank_at_k(predicted: ArrayLike, true: ArrayLike, k: int | float) -> float:
    """`best_rank_at_k` divided by n, in 0..1 (BR@K of Ning et al. 2021)."""
    return best_rank_at_k(predicted, true, k) / np.size(predicted)


def normalised_worst_rank_at_k(predicted: ArrayLike, true: ArrayLike, k: int | float) -> float:
    """`worst_rank_at_k` divided by n, in 0..1 (WR@K of Ning et al. 2021)."""
    return worst_rank_at_k(predicted, true, k) / np.size(predicted)


def accuracy_of_best(predicted: ArrayLike, true: ArrayLike) -> float:
    """The true accuracy of the architecture with the highest predicted score; the mean over those that tie for it."""
    x, y = finite_pair(predicted, true)
    return float(y[x == x.max()].mean())


def regret(predicted: ArrayLike, true: ArrayLike) -> float:
    """The best true accuracy minus `accuracy_of_best`, >= 0."""
    x, y = finite_pair(predicted, true)
    return float((y.max() - y[x == x.max()]).mean())  # in this order, so that rounding cannot make it negative


@dataclass(frozen=True)
class _Chosen:
    """A top k with ties at its border: the certain ones, and `places` more to be drawn from the border."""

    certain: np.ndarray  # bool [n]
    border: np.ndarray  # bool [n], never empty
    places: int  # 1..number at the border


def _chosen(scores: np.ndarray, k: int) -> _Chosen:
    last = np.partition(scores, -k)[-k]
    certain = scores > last
    return _Chosen(certain, scores == last, k - int(certain.sum()))


def _expected_extreme(predicted: np.ndarray, true: np.ndarray, k: int, extreme: Callable[[np.ndarray], Any]) -> float:
    """The smallest or largest (`np.min`, `np.max`) true rank among the predicted top k, expected over random ties."""
    chosen = _chosen(predicted, k)
    ascending = np.sort(true)
    border, certain = (  # ranks only of what is chosen: looking up all of them costs more than everything else
        np.sort(1 + len(true) - np.searchsorted(ascending, true[where], side="right"))
        for where in (chosen.border, chosen.certain)
    )
    if extreme is np.max:
        border = border[::-1]
    # P(the extreme of m drawn from g without replacement is the j-th in order) = C(g-1-j, m-1) / C(g, m)
    g, m = len(border), chosen.places
    j = np.arange(g - m)
    probability = m / g * np.cumprod(np.concatenate([[1.0], (g - m - j) / (g - 1 - j)]))
    drawn = border[: g - m + 1]
    if len(certain):
        sure = extreme(certain)
        drawn = np.minimum(drawn, sure) if extreme is np.min else np.maximum(drawn, sure)
    return float(probability @ drawn)


# ------------------------------------------------------------------------------------------------------- registry


@dataclass(frozen=True)
class Metric:
    """A metric as reports name it."""

    name: str
    label: str  # for axes and table heads
    function: MetricFunction
    higher_is_better: bool
    description: str


_CORRELATIONS = (
    Metric("kendall_tau_b", "Kendall tau-b", kendall_tau_b, True, "pairs in the right order minus pairs in the wrong"),
    Metric("spearman_rho", "Spearman rho", spearman_rho, True, "correlation of the ranks"),
    Metric("pearson_r", "Pearson r", pearson_r, True, "linear correlation of scores and accuracies"),
)
_PERCENT = ("50", "10", "5", "1")


def _inside_top(whole: Metric, percent: str) -> Metric:
    return Metric(
        f"{whole.name}_top_{percent}_percent",
        f"{whole.label}, top {percent} %",
        in_top(whole.function, float(percent) / 100),
        True,
        f"{whole.label} inside the true top {percent} %",
    )


def _precision(end: str, percent: str) -> Metric:
    return Metric(
        f"precision_at_{end}_{percent}_percent",
        f"P@{end} {percent} %",
        partial({"top": precision_at_top_k, "bottom": precision_at_bottom_k}[end], k=float(percent) / 100),
        True,
        f"share of the predicted {end} {percent} % that is in the true {end} {percent} %",
    )


def _all_metrics() -> list[Metric]:
    found = [
        *_CORRELATIONS,
        Metric("sparse_kendall_tau", "sparse Kendall tau", sparse_kendall_tau, True, "tau-b, truth rounded to 0.1 %"),
    ]
    found += [_inside_top(whole, percent) for whole in _CORRELATIONS for percent in _PERCENT]
    found += [_precision(end, percent) for end in ("top", "bottom") for percent in _PERCENT]
    for name, label, rank, description in (
        ("best_rank_at_10", "BR@10", best_rank_at_k, "best true rank among the 10 highest scores"),
        ("worst_rank_at_10", "WR@10", worst_rank_at_k, "worst true rank among the 10 highest scores"),
        ("normalised_best_rank_at_10", "BR@10 / n", normalised_best_rank_at_k, "best_rank_at_10 divided by n"),
        ("normalised_worst_rank_at_10", "WR@10 / n", normalised_worst_rank_at_k, "worst_rank_at_10 divided by n"),
    ):
        found.append(Metric(name, label, partial(rank, k=10), False, description))
    found.append(
        Metric("accuracy_of_best", "accuracy of the best", accuracy_of_best, True, "true accuracy of the highest score")
    )
    found.append(Metric("regret", "regret", regret, False, "best true accuracy minus that of the highest score"))
    return found


METRICS: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in _all_metrics()})


_OF_PERCENT = re.compile(r"(?:precision_at_(top|bottom)|(\w+)_top)_([0-9]{1,3}(?:\.[0-9]{1,6})?)_percent")


def named(names: Iterable[str]) -> list[Metric]:
    """The metrics of these names, in this order; raises `UserError` with the nearest name for an unknown one.

    The percentage in a name may be any, also of such as the registry does not list: `kendall_tau_b_top_0.5_percent`.
    """
    return [METRICS[name] if name in METRICS else _of_percent(name) for name in names]


def _of_percent(name: str) -> Metric:
    match = _OF_PERCENT.fullmatch(name)
    if match and 0 < float(match[3]) <= 100:
        if match[1]:
            return _precision(match[1], match[3])
        for whole in _CORRELATIONS:
            if whole.name == match[2]:
                return _inside_top(whole, match[3])
    raise unknown("metric", name, METRICS)
