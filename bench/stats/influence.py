"""Influence functions: what one architecture more would change in a rank correlation, to first order.

Of a metric T of architectures with weights w, all 1, the influence is dT/dw_i, `[n]`. A resample in which architecture
i was drawn w_i times then has about T + sum_i (w_i - 1) influence_i: Hajek's projection (Annals of Mathematical
Statistics 1968), on which the infinitesimal jackknife rests (Efron, "The Jackknife, the Bootstrap and Other Resampling
Plans", 1982, chapter 6). It costs O(n sqrt(n)) a predictor however many resamples there are, and it is linear: the
influence on a mean over seeds is the mean of theirs.
"""

import math
from dataclasses import dataclass

import numpy as np

from bench.stats.correlations import kendall_tau_b, pearson_r, spearman_rho
from bench.stats.inversions import larger_before
from bench.stats.metrics import InTop, MetricFunction


@dataclass(frozen=True, eq=False)
class FirstOrder:
    """A metric and its influence function; all NaN where the metric is undefined."""

    value: float
    influence: np.ndarray  # [n], dT/dw; in a top: of weight that is inside, as it would be for those outside


def has_first_order(function: MetricFunction) -> bool:
    """Whether `first_order` knows this metric."""
    whole = function.function if isinstance(function, InTop) else function
    return whole is kendall_tau_b or function is spearman_rho


def first_order(function: MetricFunction, predicted: np.ndarray, true: np.ndarray) -> FirstOrder:
    """Of a metric for which `has_first_order` holds; `predicted` and `true` are finite, `[n]`."""
    if isinstance(function, InTop):
        return _kendall_in_top(function, predicted, true)
    return _spearman(predicted, true) if function is spearman_rho else _kendall(predicted, true)


def _undefined(n: int) -> FirstOrder:
    return FirstOrder(math.nan, np.full(n, math.nan))


# ------------------------------------------------------------------------------------------------------------- tau-b


@dataclass(frozen=True)
class _Pairs:
    """What weight on an architecture adds to tau-b = N / sqrt(X Y): its pairs with all others; int64 `[n]` each."""

    surplus: np.ndarray  # to N: concordant minus discordant ones
    untied_x: np.ndarray  # to X: not tied in the predicted score; copies of one architecture are tied
    untied_y: np.ndarray  # to Y: not tied in the true one

    def tau(self) -> float:
        """Tau-b where these are all pairs, counted twice; NaN if a score is constant."""
        surplus, x, y = (int(one.sum()) // 2 for one in (self.surplus, self.untied_x, self.untied_y))
        return float(np.clip(surplus / np.sqrt(x) / np.sqrt(y), -1.0, 1.0)) if x and y else math.nan

    def slope(self, whole: "_Pairs") -> np.ndarray:
        """dT/dw of each, where `whole` is of the architectures that have weight."""
        x, y = (int(one.sum()) / 2 for one in (whole.untied_x, whole.untied_y))
        share = self.untied_x / x + self.untied_y / y
        return np.asarray(self.surplus / np.sqrt(x) / np.sqrt(y) - whole.tau() / 2 * share)


def _kendall(predicted: np.ndarray, true: np.ndarray) -> FirstOrder:
    pairs = _pairs(predicted, true)
    tau = pairs.tau()
    return FirstOrder(tau, pairs.slope(pairs)) if math.isfinite(tau) else _undefined(len(true))


def _pairs(predicted: np.ndarray, true: np.ndarray) -> _Pairs:
    n = len(true)
    x, y = (np.unique(values, return_inverse=True)[1] for values in (predicted, true))
    keys = x * n + y
    order = np.argsort(keys)  # by (x, y); what is equal in both stands in any order
    by_y = np.sort(y[order] * n + np.arange(n)) % n  # places in `order`, by (y, place)
    number = np.empty_like(by_y)
    number[by_y] = np.arange(n)
    discordant = np.empty_like(by_y)
    # Of the lower numbers those that do not stand before one stand after it: these are discordant with it, too.
    discordant[order] = 2 * larger_before(number) + number - np.arange(n)
    same_x, same_y = (np.bincount(ranks)[ranks] for ranks in (x, y))
    sizes = np.diff(np.flatnonzero(np.diff(keys[order], prepend=-1, append=-1)))
    same = np.empty_like(by_y)
    same[order] = np.repeat(sizes, sizes)
    return _Pairs(n - same_x - same_y + same - 2 * discordant, n - same_x, n - same_y)


def _kendall_in_top(top: InTop, predicted: np.ndarray, true: np.ndarray) -> FirstOrder:
    """Those outside the top are truly worse than all inside: a pair is concordant where the score agrees."""
    inside = top.members(true)
    pairs = _pairs(predicted[inside], true[inside])
    tau, m = pairs.tau(), int(inside.sum())
    if not math.isfinite(tau):
        return _undefined(len(true))
    ordered = np.sort(predicted[inside])
    lower, upto = (np.searchsorted(ordered, predicted[~inside], side) for side in ("left", "right"))
    found = np.empty(len(true))
    found[inside] = pairs.slope(pairs)
    found[~inside] = _Pairs(m - upto - lower, m - upto + lower, np.full(len(lower), m)).slope(pairs)
    return FirstOrder(tau, found)


# --------------------------------------------------------------------------------------------------------------- rho


def _spearman(predicted: np.ndarray, true: np.ndarray) -> FirstOrder:
    """Of rho = sum(r q) / sqrt(sum(r r) sum(q q)), r and q centred midranks: weight moves the ranks of all others."""
    groups = [np.unique(values, return_inverse=True, return_counts=True)[1:] for values in (predicted, true)]
    by_x, by_y = (group for group, _ in groups)
    r, q = ((np.cumsum(size) - (size - 1) / 2)[group] for group, size in groups)
    rho = pearson_r(r, q)
    if not math.isfinite(rho):
        return _undefined(len(true))
    r, q = (ranks - (len(true) + 1) / 2 for ranks in (r, q))
    rr, qq = (r * r).sum(), (q * q).sum()
    product = r * q + (_moved(by_x, q) + _moved(by_y, r)) / 2
    squares = (r * r + _moved(by_x, r)) / rr + (q * q + _moved(by_y, q)) / qq
    return FirstOrder(rho, np.asarray(product / np.sqrt(rr) / np.sqrt(qq) - rho / 2 * squares))


def _moved(group: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Of each architecture the sum of `values` over those of higher groups minus that over lower ones, `[n]`."""
    sums = np.bincount(group, values)
    upto = np.cumsum(sums)
    return np.asarray((upto[-1] - 2 * upto + sums)[group])
