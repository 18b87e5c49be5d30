"""Metrics of weighted architectures, for many weightings at once: what makes the bootstrap fast.

A *kernel* maps `Weighted` scores to the metric under each of its r weightings, `[r]`: exactly what
`bench.stats.metrics` gives when every architecture is repeated as often as its weight says. `kernels` makes them for
several metrics of the same scores, which share the sorting and the sums.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np

from bench.stats import metrics, selection_kernels
from bench.stats.correlations import to_tenth_of_percent
from bench.stats.kendall_kernel import KendallKernel
from bench.stats.metrics import InTop, MetricFunction, place_count
from bench.stats.weighted_scores import Column, Scores, Weighted, Weights, ratio, sum_of_products

Kernel = Callable[[np.ndarray], np.ndarray]  # weights [n, r], float32 whole numbers -> [r]
WeightedKernel = Callable[[Weighted], np.ndarray]


def has_kernel(function: MetricFunction) -> bool:
    """Whether `kernel` knows this metric."""
    if isinstance(function, InTop):
        return function.function in _CORRELATIONS
    return function in _CORRELATIONS or _bare(function)[0] in _SELECTIONS


def is_correlation(function: MetricFunction) -> bool:
    """Whether the kernel takes weights of any sum."""
    return function in _CORRELATIONS


def kernel(function: MetricFunction, predicted: np.ndarray, true: np.ndarray) -> Kernel:
    """The kernel of a metric for which `has_kernel` holds; `predicted` and `true` are finite, `[n]`."""
    found = kernels([function], predicted, true)
    return lambda weights: found(weights)[0]


def kernels(
    functions: Iterable[MetricFunction], predicted: np.ndarray, true: np.ndarray
) -> Callable[[np.ndarray | Weights], list[np.ndarray]]:
    """The kernels of several metrics as one function: weights `[n, r]` to `[r]` for each metric.

    Correlations take any whole weights. Metrics of a top need weights that sum up to n, as those of a resample do.
    """
    scores, tops = Scores(predicted, true), dict[float, Top]()
    made = [_made(function, scores, tops) for function in functions]

    def all_of(weights: np.ndarray | Weights) -> list[np.ndarray]:
        weighted = Weighted(scores, weights)
        return [one(weighted) for one in made]

    return all_of


def linear_in_top(function: InTop, slope: np.ndarray, true: np.ndarray) -> Callable[[Weights], np.ndarray]:
    """Weights to the sum of weight times `slope` `[n]` over the weighted true top, `[r]`."""
    scores = Scores(slope, true)
    inside = Top(function, scores).kernel(lambda inner: lambda weighted: inner.predicted @ weighted.weights.values)
    return lambda weights: inside(Weighted(scores, weights))


def _made(function: MetricFunction, scores: Scores, tops: dict[float, "Top"]) -> WeightedKernel:
    if isinstance(function, InTop):
        top = tops.setdefault(function.fraction, Top(function, scores))
        return top.kernel(_CORRELATIONS[function.function])
    if function in _CORRELATIONS:
        return _CORRELATIONS[function](scores)
    bare, keywords = _bare(function)
    return partial(_SELECTIONS[bare], **keywords)


def _bare(function: Any) -> tuple[Any, dict[str, Any]]:
    return (function.func, function.keywords) if isinstance(function, partial) else (function, {})


def spearman_kernel(_scores: Scores) -> WeightedKernel:
    """Weighted Spearman rho: the correlation of weighted midranks."""

    def rho(weighted: Weighted) -> np.ndarray:
        true, predicted = weighted.true, weighted.predicted
        products = predicted.centred_ranks()
        products *= weighted.weights.values
        if true.order.tied and float(true.sizes.max()) * weighted.total.max() < 2**24:
            products = true.order.sums @ products  # exact, by groups of ties, which are fewer
            product = sum_of_products(products, true.group_ranks())
        else:
            product = sum_of_products(products, true.centred_ranks())
        return ratio(product, true.rank_squares * predicted.rank_squares)

    return rho


class PearsonKernel:
    """Weighted Pearson r, from weighted sums of x, y, x**2, y**2 and xy."""

    def __init__(self, scores: Scores) -> None:
        x, y = (_standardised(values) for values in (scores.predicted, scores.true))
        self.terms = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y])
        self.tiny = len(x) * np.finfo(np.float64).eps  # a variance below this share of the mean square is rounding

    def __call__(self, weighted: Weighted) -> np.ndarray:
        """R under each weighting, `[r]`."""
        total, x, y, xx, yy, xy = self.terms @ weighted.weights.values.astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):  # no weight at all is NaN
            variances = [xx - x * x / total, yy - y * y / total]
            covariance = xy - x * y / total
        for variance, square in zip(variances, (xx, yy), strict=True):
            variance[~(variance > self.tiny * square)] = 0
        return ratio(covariance, variances[0] * variances[1])


class Top:
    """The weighted true top fraction, found anew under each weighting, and correlations inside it."""

    def __init__(self, function: InTop, scores: Scores) -> None:
        self.scores, self.places = scores, place_count(function.fraction, scores.n)
        self.made: list[tuple[Callable[[Scores], WeightedKernel], WeightedKernel]] = []
        self.last: tuple[Weighted | None, Weighted | None] = None, None
        # The first t of n architectures have weight t with a standard deviation below sqrt(t): these will do.
        self._keep(int(self.places + 8 * self.places**0.5 + 16))

    def _keep(self, rows: int) -> None:
        order = self.scores.by_true
        rows = int(order.ends[np.searchsorted(order.ends, min(rows, self.scores.n))])  # whole groups of ties
        where = order.order[:rows]
        self.rows, self.inner = rows, Scores(self.scores.predicted[where], self.scores.true[where])
        self.made = [(make, make(self.inner)) for make, _ in self.made]

    def kernel(self, make: Callable[[Scores], WeightedKernel]) -> WeightedKernel:
        """A correlation in the top."""
        number = len(self.made)
        self.made.append((make, make(self.inner)))

        def inside(weighted: Weighted) -> np.ndarray:
            top = self._of(weighted)
            return self.made[number][1](top)

        return inside

    def _of(self, weighted: Weighted) -> Weighted:
        """The weights of the top's members."""
        if self.last[0] is weighted and self.last[1] is not None:
            return self.last[1]
        first = self._first(weighted)
        if first.upto[-1].min() < self.places and self.rows < self.scores.n:  # all but impossible in a resample
            self._keep(self.scores.n)
            first = self._first(weighted)
        end = first.order.ends[first.group_reaching(self.places)]
        member = np.arange(self.rows)[:, None] < end
        found = Weighted(self.inner, first.weights * member)
        self.last = weighted, found
        return found

    def _first(self, weighted: Weighted) -> Column:
        """The weights that may be in the top, from the best architecture down; they are in this order already."""
        return Weighted(self.inner, weighted.weights.values[self.scores.by_true.order[: self.rows]]).true


_CORRELATIONS: dict[MetricFunction, Callable[[Scores], WeightedKernel]] = {
    metrics.kendall_tau_b: KendallKernel,
    metrics.spearman_rho: spearman_kernel,
    metrics.pearson_r: PearsonKernel,
    metrics.sparse_kendall_tau: lambda scores: _SparseKernel(scores),
}
_SELECTIONS: dict[Callable[..., float], Callable[..., np.ndarray]] = {
    metrics.precision_at_top_k: selection_kernels.precision_at_top_k,
    metrics.precision_at_bottom_k: selection_kernels.precision_at_bottom_k,
    metrics.best_rank_at_k: selection_kernels.best_rank_at_k,
    metrics.worst_rank_at_k: selection_kernels.worst_rank_at_k,
    metrics.normalised_best_rank_at_k: selection_kernels.normalised_best_rank_at_k,
    metrics.normalised_worst_rank_at_k: selection_kernels.normalised_worst_rank_at_k,
    metrics.accuracy_of_best: selection_kernels.accuracy_of_best,
    metrics.regret: selection_kernels.regret,
}


class _SparseKernel:
    """Kendall's of the rounded truth."""

    def __init__(self, scores: Scores) -> None:
        self.rounded = Scores(scores.predicted, to_tenth_of_percent(scores.true))
        self.kernel = KendallKernel(self.rounded)

    def __call__(self, weighted: Weighted) -> np.ndarray:
        return self.kernel(Weighted(self.rounded, weighted.weights.values))


def _standardised(values: np.ndarray) -> np.ndarray:
    """Scaled to at most 1 and centred, so that sums of squares keep their digits."""
    scaled = values / (np.abs(values).max() or 1.0)
    return np.asarray(scaled - scaled.mean())
