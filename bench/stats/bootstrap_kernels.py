"""Correlations of weighted architectures, for many weightings at once: what makes the bootstrap fast.

A bootstrap resample gives each architecture a weight, the number of times it was drawn. A *kernel* is built once from
the scores and then maps weights `[n, r]` (float32 whole numbers) to the correlation under each of the r weightings,
`[r]`: exactly what `bench.stats.metrics` gives when every architecture is repeated as often as its weight says.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from bench.stats.metrics import (
    InTop,
    MetricFunction,
    kendall_tau_b,
    pearson_r,
    place_count,
    sparse_kendall_tau,
    spearman_rho,
    to_tenth_of_percent,
)

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Kernel = Callable[[np.ndarray], np.ndarray]


def has_kernel(function: MetricFunction) -> bool:
    """Whether `kernel` knows this metric."""
    return (isinstance(function, InTop) and has_kernel(function.function)) or function in _KERNELS


def kernel(function: MetricFunction, predicted: np.ndarray, true: np.ndarray) -> Kernel:
    """The kernel of a metric for which `has_kernel` holds; `predicted` and `true` are finite, `[n]`."""
    if isinstance(function, InTop):
        return InTopKernel(function, predicted, true)
    return _KERNELS[function](predicted, true)


class KendallKernel:
    """Weighted Kendall tau-b.

    With the architectures sorted by (true, predicted) and by (predicted, true), each has two places, and the
    discordant pairs D are the inversions between the two orders; pairs tied in either score are no inversions. Then

        C - D = P - T_predicted - T_true + T_both - 2 D

    Both orders are cut into about sqrt(n) blocks of sqrt(n). An inversion's two architectures are in the same block
    of the first order, or in the same block of the second only, or in different blocks of both. The first two kinds
    are weighted sums over small 0/1 matrices, the third is a sum over a table of block by block weights and its
    partial sums. All three are matrix products, O(n sqrt(n)) multiply-adds a weighting, at the speed of the processor;
    a merge sort's O(n log n) steps are slower at this size, because each of them waits for memory.
    """

    def __init__(self, predicted: np.ndarray, true: np.ndarray) -> None:
        n = len(true)
        self.n = n
        self.side = int(np.ceil(np.sqrt(n)))
        # Whole numbers below 2**24 are exact in float32; the largest partial sum is a block's weight times n.
        self.dtype = np.float32 if 4 * n**1.5 < 2**24 else np.float64
        self.orders = [np.lexsort((predicted, true)), np.lexsort((true, predicted))]
        places = np.empty((2, n), np.int64)
        for place, order in zip(places, self.orders, strict=True):
            place[order] = np.arange(n)
        blocks = places // self.side
        self.inside = [
            self._inversions_inside(self.orders[0], places[1], None),
            self._inversions_inside(self.orders[1], places[0], blocks[0]),
        ]
        self.table = _sums(blocks[0] * self.side + blocks[1], self.side**2, self.dtype)
        self.before = np.tril(np.ones((self.side, self.side), self.dtype), -1)
        self.after = self.before.T.copy()
        self.ties = [_Ties(values) for values in (predicted[:, None], true[:, None])]
        self.both = _Ties(np.stack([predicted, true], axis=1))

    def _inversions_inside(self, order: np.ndarray, other: np.ndarray, apart: np.ndarray | None) -> np.ndarray:
        """Which pairs of one block of `order` are inverted in `other`, and `apart`: 0/1 `[block, side, side]`."""
        side = self.side
        padded = np.full(side * side, self.n)  # a place after all others has no inversion, and no weight either
        padded[: self.n] = other[order]
        place = padded.reshape(side, side)
        inverted = place[:, :, None] < place[:, None, :]
        inverted &= np.tri(side, k=-1, dtype=bool)
        if apart is not None:
            padded = np.zeros(side * side, np.int64)
            padded[: self.n] = apart[order]
            block = padded.reshape(side, side)
            inverted &= block[:, :, None] != block[:, None, :]
        return inverted.astype(self.dtype)

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """Tau-b under each weighting `[n, r]`, `[r]`."""
        side, r = self.side, weights.shape[1]
        discordant = np.zeros(r)
        for order, inverted in zip(self.orders, self.inside, strict=True):
            padded = np.zeros((side * side, r), self.dtype)
            padded[: self.n] = weights[order]
            inside = padded.reshape(side, side, r)
            discordant += _dot(inverted @ inside, inside)
        table = self.table @ weights.astype(self.dtype, copy=False)
        earlier = (self.before @ table.reshape(side, side * r)).reshape(side, side, r)
        discordant += _dot(self.after @ earlier, table.reshape(side, side, r))
        total = weights.sum(axis=0, dtype=np.float64)
        pairs = total * (total - 1) / 2
        tied = [ties.pairs(weights, total) for ties in self.ties]
        difference = pairs - tied[0] - tied[1] + self.both.pairs(weights, total) - 2 * discordant
        return _ratio(difference, (pairs - tied[0]) * (pairs - tied[1]))


class _Ties:
    """Counts the weighted pairs with equal rows of `values` `[n, k]`; copies of one architecture are such pairs too."""

    def __init__(self, values: np.ndarray) -> None:
        _, group, size = np.unique(values, axis=0, return_inverse=True, return_counts=True)
        group = group.ravel()
        self.alone = np.flatnonzero(size[group] == 1)
        self.tied = np.flatnonzero(size[group] > 1)
        _, group = np.unique(group[self.tied], return_inverse=True)
        self.sums = _sums(group, int(group.max(initial=-1)) + 1, np.float64)

    def pairs(self, weights: np.ndarray, total: np.ndarray) -> np.ndarray:
        alone = weights[self.alone]
        groups = self.sums @ weights[self.tied].astype(np.float64)
        squares = np.einsum("nr,nr->r", alone, alone).astype(np.float64) + np.einsum("gr,gr->r", groups, groups)
        return (squares - total) / 2


class SpearmanKernel:
    """Weighted Spearman rho: the correlation of weighted midranks."""

    def __init__(self, predicted: np.ndarray, true: np.ndarray) -> None:
        self.groups = [np.unique(values, return_inverse=True)[1] for values in (predicted, true)]
        self.sums = [_sums(group, int(group.max()) + 1, np.float64) for group in self.groups]

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """Rho under each weighting `[n, r]`, `[r]`."""
        weights = weights.astype(np.float64)
        total = weights.sum(axis=0)
        product, squares = weights, np.ones(weights.shape[1])
        for group, sums in zip(self.groups, self.sums, strict=True):
            size = sums @ weights
            # A group's midrank is the weight below it + (size + 1) / 2; less the mean rank, (total + 1) / 2.
            ranks = np.cumsum(size, axis=0)
            ranks -= size / 2
            ranks -= total / 2
            product = product * ranks[group]
            size *= ranks
            squares *= np.einsum("gr,gr->r", size, ranks)
        return _ratio(product.sum(axis=0), squares)


class PearsonKernel:
    """Weighted Pearson r, from weighted sums of x, y, x**2, y**2 and xy."""

    def __init__(self, predicted: np.ndarray, true: np.ndarray) -> None:
        x, y = (_standardised(values) for values in (predicted, true))
        self.terms = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y])
        self.tiny = len(x) * np.finfo(np.float64).eps  # a variance below this share of the mean square is rounding

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """R under each weighting `[n, r]`, `[r]`."""
        total, x, y, xx, yy, xy = self.terms @ weights.astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):  # no weight at all is NaN
            variances = [xx - x * x / total, yy - y * y / total]
            covariance = xy - x * y / total
        for variance, square in zip(variances, (xx, yy), strict=True):
            variance[~(variance > self.tiny * square)] = 0
        return _ratio(covariance, variances[0] * variances[1])


class InTopKernel:
    """Another kernel inside the weighted true top fraction, which is found anew under each weighting.

    Total weights must be n, as in a bootstrap resample.
    """

    def __init__(self, function: InTop, predicted: np.ndarray, true: np.ndarray) -> None:
        self.function, self.predicted, self.true = function, predicted, true
        self.places = place_count(function.fraction, len(true))
        # The first t of n architectures have weight t with a standard deviation below sqrt(t): these will do.
        self._keep(int(self.places + 8 * self.places**0.5 + 16))

    def _keep(self, rows: int) -> None:
        order = np.argsort(-self.true, kind="stable")
        descending = -self.true[order]
        if rows < len(order):
            rows = int(np.searchsorted(descending, descending[rows - 1], side="right"))  # whole groups of ties
        self.rows = order[:rows]
        self.first_of_ties = np.searchsorted(descending, descending[:rows], side="left")
        self.inner = kernel(self.function.function, self.predicted[self.rows], self.true[self.rows])

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """The inner correlation under each weighting `[n, r]`, `[r]`."""
        kept = weights[self.rows]
        upto = np.cumsum(kept, axis=0)
        if len(self.rows) < len(self.true) and (upto[-1] < self.places).any():  # all but impossible in a resample
            self._keep(len(self.true))
            return self(weights)
        better = (upto - kept)[self.first_of_ties]
        return self.inner(np.where(better < self.places, kept, 0))


_KERNELS: dict[MetricFunction, Callable[[np.ndarray, np.ndarray], Kernel]] = {
    kendall_tau_b: KendallKernel,
    spearman_rho: SpearmanKernel,
    pearson_r: PearsonKernel,
    sparse_kendall_tau: lambda predicted, true: KendallKernel(predicted, to_tenth_of_percent(true)),
}


def _sums(group: np.ndarray, groups: int, dtype: type) -> "csr_array":
    """The sparse 0/1 matrix `[groups, n]` whose product with weights `[n, r]` is the weight of each group."""
    from scipy.sparse import csr_array  # slow to import, and not needed unless something is resampled

    n = len(group)
    return csr_array((np.ones(n, dtype), (group, np.arange(n))), shape=(groups, n))


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Sum of a * b over all but the last axis, in float64 across blocks."""
    return np.einsum("kbr,kbr->kr", a, b).sum(axis=0, dtype=np.float64)


def _ratio(numerator: np.ndarray, squared: np.ndarray) -> np.ndarray:
    """The numerator / sqrt(squared), NaN where that is 0 / 0: a score is constant in the resample."""
    return np.divide(numerator, np.sqrt(squared), out=np.full(len(numerator), np.nan), where=squared > 0)


def _standardised(values: np.ndarray) -> np.ndarray:
    """Scaled to at most 1 and centred, so that sums of squares keep their digits."""
    scaled = values / (np.abs(values).max() or 1.0)
    return scaled - scaled.mean()
