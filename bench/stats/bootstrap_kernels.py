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
from bench.stats.metrics import InTop, MetricFunction, place_count, to_tenth_of_percent
from bench.stats.weighted_scores import Order, Scores, Weighted, square_side, sum_of_products, sums_by

Kernel = Callable[[np.ndarray], np.ndarray]  # weights [n, r], float32 whole numbers -> [r]
WeightedKernel = Callable[[Weighted], np.ndarray]


def has_kernel(function: MetricFunction) -> bool:
    """Whether `kernel` knows this metric."""
    if isinstance(function, InTop):
        return function.function in _CORRELATIONS
    return function in _CORRELATIONS or _bare(function)[0] in _SELECTIONS


def kernel(function: MetricFunction, predicted: np.ndarray, true: np.ndarray) -> Kernel:
    """The kernel of a metric for which `has_kernel` holds; `predicted` and `true` are finite, `[n]`."""
    found = kernels([function], predicted, true)
    return lambda weights: found(weights)[0]


def kernels(
    functions: Iterable[MetricFunction], predicted: np.ndarray, true: np.ndarray
) -> Callable[[np.ndarray], list[np.ndarray]]:
    """The kernels of several metrics as one function: weights `[n, r]` to `[r]` for each metric.

    Correlations take any whole weights. Metrics of a top need weights that sum up to n, as those of a resample do.
    """
    scores, tops = Scores(predicted, true), dict[float, Top]()
    made = [_made(function, scores, tops) for function in functions]

    def all_of(weights: np.ndarray) -> list[np.ndarray]:
        weighted = Weighted(scores, weights)
        return [one(weighted) for one in made]

    return all_of


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


class KendallKernel:
    """Weighted Kendall tau-b.

    With the architectures sorted by (true, predicted) and by (predicted, true), each has two places, and the
    discordant pairs D are the inversions between the two orders; pairs tied in either score are no inversions. Then

        C - D = P - T_predicted - T_true + T_both - 2 D

    Both orders are cut into about sqrt(n) blocks of sqrt(n). An inversion's two architectures are in the same block
    of the first order, or in the same block of the second only, or in different blocks of both. The first two kinds
    are weighted sums over small 0/1 matrices, the third is a sum over a table of block by block weights and its
    partial sums. The first two are matrix products, O(n sqrt(n)) multiply-adds a weighting, at the speed of the
    processor; a merge sort's O(n log n) steps are slower at this size, because each of them waits for memory.
    Where a score has few different values, its blocks are its groups of ties, which have no inversions inside.
    """

    def __init__(self, scores: Scores) -> None:
        self.n, self.side = scores.n, square_side(scores.n)
        orders = scores.by_true, scores.by_predicted
        places = [order.place for order in orders]
        grouped = [len(order.starts) <= self.side for order in orders]
        blocks = [
            order.group[order.place] if few else order.place // self.side
            for order, few in zip(orders, grouped, strict=True)
        ]
        self.inside = [
            None if grouped[0] else self._inversions_inside(orders[0], places[1], None),
            None if grouped[1] else self._inversions_inside(orders[1], places[0], blocks[0]),
        ]
        self.cells = sums_by(blocks[0] * self.side + blocks[1], self.side**2)

    def _inversions_inside(self, order: Order, other: np.ndarray, apart: np.ndarray | None) -> np.ndarray:
        """Which pairs of one block of `order` are inverted in `other`, and `apart`: 0/1 `[block, side, side]`."""
        side = self.side
        padded = np.full(side * side, self.n)  # a place after all others has no inversion, and no weight either
        padded[: self.n] = other[order.order]
        place = padded.reshape(side, side)
        inverted = place[:, :, None] < place[:, None, :]
        inverted &= np.tri(side, k=-1, dtype=bool)
        if apart is not None:
            padded = np.zeros(side * side, np.int64)
            padded[: self.n] = apart[order.order]
            block = padded.reshape(side, side)
            inverted &= block[:, :, None] != block[:, None, :]
        return inverted.astype(np.float32)

    def __call__(self, weighted: Weighted) -> np.ndarray:
        """Tau-b under each weighting, `[r]`."""
        true, predicted, total = weighted.true, weighted.predicted, weighted.total
        discordant = self._between(weighted)
        for column, inverted in zip((true, predicted), self.inside, strict=True):
            if inverted is not None:
                discordant += self._inside(column.square, inverted, weighted.weights.largest)
        pairs = total * (total - 1) / 2
        ties = predicted.tied_pairs, true.tied_pairs
        difference = pairs - ties[0] - ties[1] + weighted.pairs_tied_in_both - 2 * discordant
        return ratio(difference, (pairs - ties[0]) * (pairs - ties[1]))

    def _inside(self, weights: np.ndarray, inverted: np.ndarray, largest: float) -> np.ndarray:
        """Inversions inside the blocks of one order."""
        side = self.side
        if (side * largest) ** 2 >= 2**24:  # a block's weight squared bounds every sum in it
            weights = weights.astype(np.float64, copy=False)
        blocks = weights.reshape(side, side, -1)
        return _dot(inverted.astype(blocks.dtype, copy=False) @ blocks, blocks)

    def _between(self, weighted: Weighted) -> np.ndarray:
        """Inversions between different blocks of both orders."""
        side = self.side
        cells = (self.cells @ weighted.weights.values).reshape(side, side, -1)
        if float(cells.sum(axis=1).max()) * weighted.total.max() >= 2**24:
            cells = cells.astype(np.float64)  # a row's weight times all weight bounds every sum in it
        earlier = np.empty_like(cells)  # the weight in rows before of the same column, then of all later columns too
        earlier[0] = 0
        for row in range(1, side):
            np.add(earlier[row - 1], cells[row - 1], out=earlier[row])
        for column in range(side - 2, -1, -1):
            np.add(earlier[:, column + 1], earlier[:, column], out=earlier[:, column])
        return _dot(earlier[:, 1:], cells[:, :-1])


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
        column = weighted.true
        end = column.order.ends[column.group_reaching(self.places)]
        if end.max() > self.rows:  # all but impossible in a resample
            self._keep(self.scores.n)
        member = np.arange(self.rows)[:, None] < end
        found = Weighted(self.inner, column.weights[: self.rows] * member)
        self.last = weighted, found
        return found


_CORRELATIONS: dict[MetricFunction, Callable[[Scores], WeightedKernel]] = {
    metrics.kendall_tau_b: KendallKernel,
    metrics.spearman_rho: spearman_kernel,
    metrics.pearson_r: PearsonKernel,
    metrics.sparse_kendall_tau: lambda scores: _SparseKernel(scores),
}
_SELECTIONS: dict[MetricFunction, Callable[..., np.ndarray]] = {
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


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Sum of a * b over all but the last axis, in float64 across blocks."""
    return np.asarray(np.einsum("kbr,kbr->kr", a, b).sum(axis=0, dtype=np.float64))


def ratio(numerator: np.ndarray, squared: np.ndarray) -> np.ndarray:
    """The numerator / sqrt(squared), NaN where that is 0 / 0: a score is constant in the resample."""
    return np.divide(numerator, np.sqrt(squared), out=np.full(len(numerator), np.nan), where=squared > 0)


def _standardised(values: np.ndarray) -> np.ndarray:
    """Scaled to at most 1 and centred, so that sums of squares keep their digits."""
    scaled = values / (np.abs(values).max() or 1.0)
    return np.asarray(scaled - scaled.mean())
