"""Several methods on the same blocks (seeds): do they differ at all, and which of them?

Demsar, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 7 (2006), sections 3.2.1 and 3.2.2. A
block here is a seed: the methods are ranked anew in each, so that what all of them gain from a seed cancels.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mngnas.errors import UserError
from mngnas.ranks import midranks


@dataclass(frozen=True)
class Friedman:
    """The test that all methods are equivalent."""

    average_ranks: tuple[float, ...]  # of each method over the blocks, 1 is best
    statistic: float  # Friedman's chi-squared, corrected for ties
    p_value: float  # of it; NaN where all methods tie in every block
    critical_difference: float  # Nemenyi: average ranks closer than this are not told apart
    n_blocks: int
    level: float


def friedman(values: ArrayLike, level: float = 0.95) -> Friedman:
    """Friedman's test and Nemenyi's critical difference of `values` `[n_block, n_method]`, higher is better.

    The p-value is by the chi-squared distribution, which is rough for few blocks. Raises `UserError` for fewer than
    three methods or two blocks, and for values that are not finite.
    """
    scores = np.asarray(values, dtype=np.float64)
    if scores.ndim != 2 or scores.shape[0] < 2 or scores.shape[1] < 3 or not np.isfinite(scores).all():
        raise UserError(f"two blocks and three methods, all finite, are needed, not {list(scores.shape)}")
    from scipy.special import chdtrc

    n, k = scores.shape
    ranks = np.stack([midranks(-row) for row in scores])
    average = ranks.mean(axis=0)
    spread = (ranks**2).sum() / n - k * (k + 1) ** 2 / 4  # k (k**2 - 1) / 12 without ties
    statistic = (k - 1) * n * ((average - (k + 1) / 2) ** 2).sum() / spread if spread > 0 else math.nan
    p_value = float(chdtrc(k - 1, statistic)) if math.isfinite(statistic) else math.nan
    critical = critical_difference(k, n, level)
    return Friedman(tuple(average.tolist()), float(statistic), p_value, critical, n, level)


def critical_difference(n_method: int, n_block: int, level: float = 0.95) -> float:
    """Nemenyi's: the studentized range of `n_method` over sqrt(2), times sqrt(k (k + 1) / (6 n))."""
    from scipy.stats import studentized_range

    range_ = float(studentized_range.ppf(level, n_method, math.inf))
    return range_ / math.sqrt(2) * math.sqrt(n_method * (n_method + 1) / (6 * n_block))


def not_told_apart(average_ranks: ArrayLike, critical: float) -> list[tuple[int, int]]:
    """The largest runs of methods, sorted by rank, whose ends are closer than `critical`: first and last place each."""
    ranks = np.sort(np.asarray(average_ranks, dtype=np.float64))
    last = [int(np.searchsorted(ranks, rank + critical, side="left")) - 1 for rank in ranks]
    return [(a, b) for a, b in enumerate(last) if b > a and (a == 0 or b > last[a - 1])]
