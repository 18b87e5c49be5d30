"""Scores of weighted architectures, for many weightings at once, in the orders that rank statistics need.

A bootstrap resample gives each architecture a weight, the number of times that it was drawn. Weights are float32 whole
numbers `[n, r]`, one column a resample. Below 2**24 such numbers, and their sums, are exact in float32, which halves
the memory traffic that all of this costs; where a sum may be larger, float64 is used.
"""

from functools import cached_property
from typing import Any

import numpy as np

_EXACT = 2**24  # whole numbers below it are exact in float32


class Order:
    """The architectures from the highest to the lowest of one score; ties in it are in the order of a second one."""

    def __init__(self, score: np.ndarray, second: np.ndarray) -> None:
        n = len(score)
        self.order = np.lexsort((-second, -score))
        self.place = np.empty_like(self.order)  # of each architecture
        self.place[self.order] = np.arange(n)
        ordered = score[self.order]
        self.starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))  # first place of each group of ties
        self.ends = np.append(self.starts[1:], n)  # the place after the last of each group
        self.tied = len(self.starts) < n
        self.is_sorted = bool((self.order == np.arange(n)).all())

    @cached_property
    def group(self) -> np.ndarray:
        """The group of ties of each place, `[n]`."""
        return np.repeat(np.arange(len(self.starts)), self.ends - self.starts)

    @cached_property
    def group_of_arch(self) -> np.ndarray:
        """The group of ties of each architecture, `[n]`."""
        return self.group[self.place]

    @cached_property
    def sums(self) -> Any:
        """The matrix whose product with weights `[n, r]` is the weight of each group of ties."""
        return sums_by(self.group_of_arch, len(self.starts))


class Scores:
    """Predicted and true scores, finite, `[n]` each."""

    def __init__(self, predicted: np.ndarray, true: np.ndarray) -> None:
        self.predicted, self.true = predicted, true
        self.n = len(true)

    @cached_property
    def by_predicted(self) -> Order:
        """Ordered by (predicted, true)."""
        return Order(self.predicted, self.true)

    @cached_property
    def by_true(self) -> Order:
        """Ordered by (true, predicted)."""
        return Order(self.true, self.predicted)

    @cached_property
    def tied_in_both(self) -> tuple[np.ndarray, Any]:
        """Architectures that are equal to others in both scores, and the matrix that sums their weights by group."""
        order = self.by_true.order
        x, y = self.predicted[order], self.true[order]
        starts = np.flatnonzero(np.append(True, (x[1:] != x[:-1]) | (y[1:] != y[:-1])))
        sizes = np.diff(np.append(starts, self.n))
        where = order[np.repeat(sizes > 1, sizes)]
        sizes = sizes[sizes > 1]
        return where, sums_by(np.repeat(np.arange(len(sizes)), sizes), len(sizes))


class Weights:
    """Weights of the architectures in their own order, and sums of them."""

    def __init__(self, weights: np.ndarray) -> None:
        self.total: np.ndarray = weights.sum(axis=0).astype(
            np.float64
        )  # [r]; exact, or else so large that the next line notices
        self.largest = float(weights.max(initial=1))
        wide = 2 * self.total.max(initial=0) * self.largest >= _EXACT  # of a weight times a rank
        self.values = weights.astype(np.float64 if wide else np.float32, copy=False)
        if wide:
            self.total = self.values.sum(axis=0)

    @cached_property
    def squares(self) -> np.ndarray:
        """The sum of squared weights, `[r]`."""
        return sum_of_small_squares(self.values, self.largest)


class Weighted:
    """One set of weightings `[n, r]` of `scores`; what several statistics need is computed once."""

    def __init__(self, scores: Scores, weights: np.ndarray | Weights) -> None:
        self.scores, self.weights = scores, weights if isinstance(weights, Weights) else Weights(weights)

    @property
    def total(self) -> np.ndarray:
        """The weight of all architectures, float64 `[r]`."""
        return self.weights.total

    @cached_property
    def predicted(self) -> "Column":
        """In the order of (predicted, true)."""
        return Column(self.weights, self.scores.by_predicted)

    @cached_property
    def true(self) -> "Column":
        """In the order of (true, predicted)."""
        return Column(self.weights, self.scores.by_true)

    @cached_property
    def pairs_tied_in_both(self) -> np.ndarray:
        """The number of pairs that are equal in both scores; copies of one architecture are such pairs too. `[r]`."""
        where, sums = self.scores.tied_in_both
        squares = self.weights.squares
        if len(where):
            alone = self.weights.values[where]
            sizes = sums @ alone
            squares = squares + sum_of_products(sizes, sizes) - sum_of_products(alone, alone)
        return np.asarray((squares - self.total) / 2)


class Column:
    """Weights in the order of one score. It must not refer to its `Weighted`: a cycle would keep megabytes alive."""

    def __init__(self, weights: Weights, order: Order) -> None:
        self._all, self.order = weights, order

    @cached_property
    def square(self) -> np.ndarray:
        """The weights by place, followed by zeros up to the next square number of rows."""
        weights = self._all.values
        n, side = len(weights), square_side(len(weights))
        if self.order.is_sorted and n == side * side:
            return weights
        found = np.empty((side * side, weights.shape[1]), weights.dtype)
        np.take(weights, self.order.order, axis=0, out=found[:n], mode="clip")  # this mode needs no buffer
        found[n:] = 0
        return found

    @property
    def weights(self) -> np.ndarray:
        """By place, `[n, r]`."""
        return self.square[: len(self._all.values)]

    @cached_property
    def sizes(self) -> np.ndarray:
        """The weight of each group of ties, `[groups, r]`."""
        return np.asarray(self.order.sums @ self._all.values) if self.order.tied else self.weights

    @cached_property
    def upto(self) -> np.ndarray:
        """The weight of each group of ties and all before it, `[groups, r]`."""
        return running_sum(self.sizes)

    def group_ranks(self) -> np.ndarray:
        """Twice the distance of each group's midrank from the mean rank, exact; `[groups, r]`."""
        ranks = 2 * self.upto
        ranks -= self.sizes
        ranks -= self._all.total.astype(ranks.dtype)
        return np.asarray(ranks)

    def centred_ranks(self) -> np.ndarray:
        """The same for each architecture, `[n, r]`, in their own order."""
        return np.asarray(self.group_ranks()[self.order.group_of_arch])

    @cached_property
    def rank_squares(self) -> np.ndarray:
        """The weighted sum of squares of the ranks: (N**3 - sum of cubes of group sizes) / 3; `[r]`."""
        sizes = self.sizes
        if float(sizes.max(initial=0)) ** 2 >= _EXACT:
            sizes = sizes.astype(np.float64)
        return np.asarray((self._all.total**3 - sum_of_products(sizes * sizes, sizes)) / 3)

    @cached_property
    def tied_pairs(self) -> np.ndarray:
        """The number of pairs within groups of ties, copies of one architecture included; `[r]`."""
        squares = sum_of_products(self.sizes, self.sizes) if self.order.tied else self._all.squares
        return np.asarray((squares - self._all.total) / 2)

    def group_reaching(self, weight: float | np.ndarray) -> np.ndarray:
        """For each weighting the first group at which `upto` is at least `weight`, or else the last; `[r]`."""
        upto, columns = self.upto, np.arange(self.upto.shape[1])
        low, high = np.zeros(len(columns), np.int64), np.full(len(columns), len(upto) - 1)
        while (low < high).any():
            middle = (low + high) // 2
            reached = upto[middle, columns] >= weight
            low, high = np.where(reached, low, np.minimum(middle + 1, high)), np.where(reached, middle, high)
        return high


def square_side(n: int) -> int:
    """The side of the smallest square that has room for n."""
    return int(np.ceil(np.sqrt(n)))


def sums_by(group: np.ndarray, groups: int) -> Any:
    """The sparse 0/1 matrix `[groups, n]` whose product with weights `[n, r]` is the weight of each group."""
    from scipy.sparse import csr_array  # slow to import, and not needed unless something is resampled

    n, until = len(group), np.cumsum(np.bincount(group, minlength=groups))
    members = np.argsort(group, kind="stable")
    return csr_array((np.ones(n, np.float32), members, np.append(0, until)), shape=(groups, n))


def sum_of_products(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Sum of a * b over the first axis, in float64; `[n, r]` to `[r]`."""
    return np.asarray(np.einsum("nr,nr->r", a, b, dtype=np.float64))


def sum_of_small_squares(a: np.ndarray, largest: float) -> np.ndarray:
    """Sum of squares over the first axis, in float64; `[n, r]` to `[r]`, quickly if no number is above `largest`."""
    rows = int(_EXACT / max(1.0, largest) ** 2) - 1
    block = min(rows, 128)  # as many squares as are exact in float32
    if block < 2 or a.dtype != np.float32:
        return sum_of_products(a, a)
    whole = len(a) // block * block
    blocks = a[:whole].reshape(-1, block, a.shape[1])
    found = np.einsum("kbr,kbr->kr", blocks, blocks).sum(axis=0, dtype=np.float64)
    return np.asarray(found + sum_of_products(a[whole:], a[whole:]))


def ratio(numerator: np.ndarray, squared: np.ndarray) -> np.ndarray:
    """The numerator / sqrt(squared), NaN where that is 0 / 0: a score is constant in the resample."""
    found = np.full(len(numerator), np.nan)
    np.divide(numerator, np.sqrt(squared), out=found, where=squared > 0)
    return found


def running_sum(values: np.ndarray) -> np.ndarray:
    """Cumulative sum over the first axis, `[n, r]`; several times quicker than numpy's, which leaps from row to row."""
    n, r = values.shape
    side = int(n**0.5)
    if side < 8:
        return np.cumsum(values, axis=0, dtype=values.dtype)
    found = values.copy()
    blocks = found[: n // side * side].reshape(-1, side, r)
    for row in range(1, side):
        np.add(blocks[:, row - 1], blocks[:, row], out=blocks[:, row])
    blocks[1:] += np.cumsum(blocks[:, -1], axis=0)[:-1, None]
    for row in range(len(blocks) * side, n):
        np.add(found[row - 1], found[row], out=found[row])
    return found
