"""Weighted Kendall tau-b for many weightings at once, see `bench.stats.bootstrap_kernels`."""

from itertools import pairwise

import numpy as np

from bench.stats.weighted_scores import Order, Scores, Weighted, ratio, square_side, sums_by

_STRIPS = 3  # more make the matrices too small for the processor


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

    def _inversions_inside(self, order: Order, other: np.ndarray, apart: np.ndarray | None) -> list[np.ndarray]:
        """Which pairs of one block of `order` are inverted in `other`, and `apart`: 0/1 `[block, side, side]`.

        Of a pair the second one is later in the order, so what lies right of the diagonal is empty: the matrices come
        in strips of rows, each without the columns that are empty in all of it.
        """
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
        cuts = np.linspace(0, side, min(side, _STRIPS) + 1).astype(int)
        return [inverted[:, a:b, :b].astype(np.float32) for a, b in pairwise(cuts)]

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

    def _inside(self, weights: np.ndarray, inverted: list[np.ndarray], largest: float) -> np.ndarray:
        """Inversions inside the blocks of one order."""
        if (self.side * largest) ** 2 >= 2**24:  # a block's weight squared bounds every sum in it
            weights = weights.astype(np.float64, copy=False)
        blocks = weights.reshape(self.side, self.side, -1)
        found = np.zeros(blocks.shape[2])
        for strip in inverted:
            rows, columns = strip.shape[1:]
            earlier = strip.astype(blocks.dtype, copy=False) @ blocks[:, :columns]
            found += _dot(earlier, blocks[:, columns - rows : columns])
        return found

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


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Sum of a * b over all but the last axis, in float64 across blocks."""
    return np.asarray(np.einsum("kbr,kbr->kr", a, b).sum(axis=0, dtype=np.float64))
