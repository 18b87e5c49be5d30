"""Influence functions: what one architecture more would change in a rank correlation, to first order.

Of a metric T of architectures with weights w, all 1, the influence is dT/dw_i, `[n]`. A resample in which architecture
i was drawn w_i times then has about T + sum_i (w_i - 1) influence_i: the projection of the bootstrap that Hajek (Annals
of Mathematical Statistics 1968) and the infinitesimal jackknife (Efron, "The Jackknife, the Bootstrap and Other
Resampling Plans", 1982, chapter 6) use. It costs O(n log n) a predictor however many resamples there are, and it is
linear, so that the influence of a mean over seeds is the mean of theirs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from bench.stats.correlations import kendall_tau_b, spearman_rho
from bench.stats.inversions import larger_before
from bench.stats.metrics import InTop, MetricFunction, place_count
from mngnas.ranks import midranks

def has_influence(function: MetricFunction) -> bool:
    """Whether `influence` knows this metric."""
    return function in _INFLUENCES or (isinstance(function, InTop) and function.function is kendall_tau_b)


def influence(function: MetricFunction, predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """dT/dw of a metric for which `has_influence` holds and which is defined; the sum is 0; inputs finite, `[n]`."""
    if isinstance(function, InTop):
        return _kendall_in_top(function, predicted, true)
    return _INFLUENCES[function](predicted, true)


@dataclass(frozen=True)
class _Pairs:
    """What weight on an architecture adds to tau-b = N / sqrt(X Y); each `[n]`."""

    surplus: np.ndarray  # to N: concordant minus discordant pairs with all others
    untied_x: np.ndarray  # to X: pairs that are not tied in the predicted score; copies of one architecture are tied
    untied_y: np.ndarray  # to Y: in the true one

    def of(self, whole: "_Pairs") -> np.ndarray:
        """dT/dw, where `whole` is of all architectures that have weight 1; twice the pairs are their sums."""
        x, y = whole.untied_x.sum(), whole.untied_y.sum()
        both = np.sqrt(x / 2) * np.sqrt(y / 2)
        tau = whole.surplus.sum() / 2 / both
        return np.asarray(self.surplus / both - tau * (self.untied_x / x + self.untied_y / y))


def kendall_influence(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Of tau-b, `[n]`."""
    pairs = _pairs(predicted, true)
    return pairs.of(pairs)


def _pairs(predicted: np.ndarray, true: np.ndarray) -> _Pairs:
    n = len(true)
    x, y = (np.unique(values, return_inverse=True)[1] for values in (predicted, true))
    keys = x * n + y
    order = np.argsort(keys)  # by (x, y); what is equal in both stands in any order
    by_y = np.sort(y[order] * n + np.arange(n)) % n  # places in `order` of the architectures by (y, place)
    places = np.empty_like(by_y)
    places[by_y] = np.arange(n)
    discordant = np.empty_like(by_y)
    # Of the numbers below one's own those that are not before it are after it: these are inversions, too.
    discordant[order] = 2 * larger_before(places) + places - np.arange(n)
    same_x, same_y = (np.bincount(ranks)[ranks] for ranks in (x, y))
    _, group, size = np.unique(keys, return_inverse=True, return_counts=True)
    return _Pairs(n - same_x - same_y + size[group] - 2 * discordant, n - same_x, n - same_y)


def _kendall_in_top(top: InTop, predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Of tau-b in the top, `[n]`: weight there pushes as much out at its border.

    What is pushed out is worse than all that stays, and its predicted score is any that architectures near the border
    have: the border moves by about the square root of the top's size, so that as many on either side are averaged.
    """
    inside = top.members(true)
    pairs = _pairs(predicted[inside], true[inside])
    places, m = place_count(top.fraction, len(true)), int(inside.sum())
    width = int(np.sqrt(places)) + 1
    near = np.argsort(-true, kind="stable")[max(0, places - width) : places + width]
    x, ordered = predicted[near], np.sort(predicted[inside])
    lower, upto = (np.searchsorted(ordered, x, side) for side in ("left", "right"))
    pushed = _Pairs(m - upto - lower, m - upto + lower, np.full(len(near), m))
    found = np.zeros(len(true))
    found[inside] = pairs.of(pairs) - pushed.of(pairs).mean()
    return found - found.mean()


def spearman_influence(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Of rho = sum(r q) / sqrt(sum(r r) sum(q q)), r and q centred midranks, `[n]`; weight moves the ranks of all others."""
    r, q = (2 * midranks(values) - len(true) - 1 for values in (predicted, true))
    rr, qq = (r * r).sum(), (q * q).sum()
    both = np.sqrt(rr) * np.sqrt(qq)
    rho = (r * q).sum() / both
    product = r * q + _moved(r, q) + _moved(q, r)
    squares = (r * r + 2 * _moved(r, r)) / rr + (q * q + 2 * _moved(q, q)) / qq
    return np.asarray(product / both - rho / 2 * squares)


def _moved(ranks: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Of each architecture the sum of `values` over those of higher rank minus that over those of lower rank, `[n]`."""
    _, group = np.unique(ranks, return_inverse=True)
    sums = np.bincount(group, values)
    upto = np.cumsum(sums)
    return np.asarray((upto[-1] - 2 * upto + sums)[group])


_INFLUENCES: Mapping[MetricFunction, Callable[[np.ndarray, np.ndarray], np.ndarray]] = MappingProxyType(
    {kendall_tau_b: kendall_influence, spearman_rho: spearman_influence}
)
