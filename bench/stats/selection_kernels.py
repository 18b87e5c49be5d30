"""Metrics of a predicted top under many weightings at once, see `bench.stats.bootstrap_kernels`.

Each function takes `Weighted` scores, of which every weighting has the same total, and gives the metric of
`bench.stats.metrics` with its name, `[r]`. The total stands for the number of architectures.
"""

import numpy as np

from bench.stats.metrics import place_count
from bench.stats.weighted_scores import Column, Weighted


def precision_at_top_k(weighted: Weighted, k: int | float) -> np.ndarray:
    """The share of the predicted top k that is in the true top k."""
    places, true, predicted = _places(weighted, k), weighted.true, weighted.predicted
    if places is None:
        return _undefined(weighted)
    end = true.order.ends[true.group_reaching(places)]
    border = predicted.group_reaching(places)
    first, last = predicted.order.starts[border], predicted.order.ends[border]
    rows = slice(0, int(last.max()))
    true_place = true.order.place[predicted.order.order[rows]]
    hits = predicted.weights[rows] * (true_place[:, None] < end)
    return _share(hits, np.arange(len(hits))[:, None], first, last, predicted, border, places)


def precision_at_bottom_k(weighted: Weighted, k: int | float) -> np.ndarray:
    """The share of the predicted bottom k that is in the true bottom k."""
    places, true, predicted = _places(weighted, k), weighted.true, weighted.predicted
    if places is None:
        return _undefined(weighted)
    above = weighted.total - places + 1  # the border of the bottom is where the weight from the top reaches this
    start = true.order.starts[true.group_reaching(above)]
    border = predicted.group_reaching(above)
    first, last = predicted.order.starts[border], predicted.order.ends[border]
    rows = slice(int(first.min()), weighted.scores.n)
    true_place = true.order.place[predicted.order.order[rows]]
    hits = (predicted.weights[rows] * (true_place[:, None] >= start))[::-1]  # from the lowest
    n = weighted.scores.n
    return _share(hits, np.arange(len(hits))[:, None], n - last, n - first, predicted, border, places, from_top=False)


def _share(
    hits: np.ndarray,
    row: np.ndarray,
    first: np.ndarray,
    last: np.ndarray,
    predicted: Column,
    border: np.ndarray,
    places: int,
    *,
    from_top: bool = True,
) -> np.ndarray:
    """Hits before row `first`, and the expected ones of the border, rows `first` to `last`, over the places."""
    surely = int(first.min())  # before it no weighting has its border
    band, row = hits[surely:], row[surely:]
    inside = (row >= first) & (row < last)
    at_border = np.where(inside, band, 0).sum(axis=0, dtype=np.float64)
    certain = hits[:surely].sum(axis=0, dtype=np.float64) + np.where(row < first, band, 0).sum(axis=0, dtype=np.float64)
    columns = np.arange(len(border))
    size = predicted.sizes[border, columns].astype(np.float64)
    before = predicted.upto[border, columns].astype(np.float64) - size
    taken = before if from_top else predicted.upto[-1] - before - size
    return np.asarray((certain + (places - taken) * at_border / size) / places)


def best_rank_at_k(weighted: Weighted, k: int | float) -> np.ndarray:
    """The best true rank among the predicted top k."""
    return _extreme_rank(weighted, k, best=True)


def worst_rank_at_k(weighted: Weighted, k: int | float) -> np.ndarray:
    """The worst true rank among the predicted top k."""
    return _extreme_rank(weighted, k, best=False)


def normalised_best_rank_at_k(weighted: Weighted, k: int | float) -> np.ndarray:
    """`best_rank_at_k` divided by n."""
    return np.asarray(best_rank_at_k(weighted, k) / weighted.total)


def normalised_worst_rank_at_k(weighted: Weighted, k: int | float) -> np.ndarray:
    """`worst_rank_at_k` divided by n."""
    return np.asarray(worst_rank_at_k(weighted, k) / weighted.total)


def _extreme_rank(weighted: Weighted, k: int | float, *, best: bool) -> np.ndarray:
    """The smallest or largest true rank among the predicted top k, expected over random ties at its border."""
    places, true, predicted = _places(weighted, k), weighted.true, weighted.predicted
    if places is None:
        return _undefined(weighted)
    border = predicted.group_reaching(places)
    first, last = predicted.order.starts[border], predicted.order.ends[border]
    columns = np.arange(len(border))
    size = predicted.sizes[border, columns].astype(np.float64)  # the weight at the border
    drawn = places - (predicted.upto[border, columns] - size)  # how many of it are in the top, 1 to places
    rows = int(last.max())
    place = true.order.place[predicted.order.order[:rows]]
    extreme = np.argsort(place if best else -place)  # the most extreme true score first
    weights = predicted.weights[:rows][extreme].astype(np.float64)
    row = extreme[:, None]
    group = true.order.group[place[extreme]]
    ranks = 1.0 + (true.upto[group] - true.sizes[group])  # 1 + the weight of what is strictly better
    worst = np.inf if best else -np.inf
    certain = np.where((row < first) & (weights > 0), ranks, worst)
    sure = certain.min(axis=0) if best else certain.max(axis=0)
    copies = np.where((row >= first) & (row < last), weights, 0.0)
    after = size - np.cumsum(copies, axis=0)  # of the border, less extreme than a row and its copies
    chance = _all_drawn_from(after + copies, size, drawn) - _all_drawn_from(after, size, drawn)
    reached = np.minimum(ranks, sure) if best else np.maximum(ranks, sure)
    return np.asarray((chance * reached).sum(axis=0))


def _all_drawn_from(left: np.ndarray, size: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """The chance that `drawn` of `size` things, without replacement, are all among `left` of them; `[n, r]`."""
    chance = np.ones_like(left)
    for number in range(int(drawn.max())):
        factor = np.maximum(left - number, 0) / np.maximum(size - number, 1)
        chance *= np.where(number < drawn, factor, 1.0)
    return chance


def accuracy_of_best(weighted: Weighted) -> np.ndarray:
    """The true accuracy of the highest predicted score; the mean over those that tie for it."""
    return _mean_of_best(weighted, np.zeros(len(weighted.total)), 1)


def regret(weighted: Weighted) -> np.ndarray:
    """The best true accuracy minus `accuracy_of_best`."""
    order = weighted.true.order
    best = weighted.scores.true[order.order[order.starts[weighted.true.group_reaching(1)]]]
    return _mean_of_best(weighted, best, -1)


def _mean_of_best(weighted: Weighted, start: np.ndarray, sign: int) -> np.ndarray:
    """The mean of `start` `[r]` plus or minus the true accuracy over what has the highest predicted score."""
    predicted = weighted.predicted
    group = predicted.group_reaching(1)
    first, last = predicted.order.starts[group], predicted.order.ends[group]
    rows = slice(int(first.min()), int(last.max()))
    row = np.arange(rows.start, rows.stop)[:, None]
    copies = np.where((row >= first) & (row < last), predicted.weights[rows], 0.0)
    values = start + sign * weighted.scores.true[predicted.order.order[rows]][:, None]
    return np.asarray((copies * values).sum(axis=0) / copies.sum(axis=0))


def _places(weighted: Weighted, k: int | float) -> int | None:
    """How many architectures `k` means, None if there are fewer."""
    n = int(weighted.total[0])
    places = place_count(k, n)
    return places if places <= n else None


def _undefined(weighted: Weighted) -> np.ndarray:
    return np.full(len(weighted.total), np.nan)
