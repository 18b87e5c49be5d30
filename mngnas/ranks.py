"""Ranks, and one ranking made of several; numpy alone.

One rule for what is not finite, here and in every report: infinities are scores, first and last; NaN stands for a score
that could not be had, and shares the last place with minus infinity.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike

from mngnas.errors import UserError, unknown

_BLOCK = 4_000_000  # pairs of architectures compared at once


def comparable(scores: ArrayLike) -> np.ndarray:
    """Scores as float64 with NaN as minus infinity; any shape."""
    values = np.asarray(scores, dtype=np.float64)
    return np.where(np.isnan(values), -np.inf, values)


def midranks(scores: ArrayLike) -> np.ndarray:
    """Ranks of scores `[n]` from 1 for the lowest, equal ones sharing the mean of their places; float64 `[n]`."""
    _, group, size = np.unique(comparable(scores), return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(size) - (size - 1) / 2)[group])


def mean_rank(scores: np.ndarray) -> np.ndarray:
    """The mean over rankings of the rank as a share of n: `[n_ranking, n]` to `[n]`, in 0..1 (TE-NAS sums ranks)."""
    return np.asarray(np.mean([midranks(one) / len(one) for one in scores], axis=0))


def mean_log_rank(scores: np.ndarray) -> np.ndarray:
    """The mean over rankings of log(rank / n), at most 0: an architecture must be low in none.

    Lee & Ham, "AZ-NAS", CVPR 2024, sum them: the order is the same.
    """
    return np.asarray(np.mean([np.log(midranks(one) / len(one)) for one in scores], axis=0))


def majority(scores: np.ndarray) -> np.ndarray:
    """How many of the others each architecture beats by a majority of rankings, a tie counting half: `[n]`.

    Abdelfattah et al., "Zero-cost proxies for lightweight NAS", ICLR 2021, compare two architectures by the majority of
    synflow, jacob_cov and snip. Votes on pairs can run in circles; the number of pairs won (Copeland's rule) makes an
    order of them. O(n_ranking n**2).
    """
    ranks = np.stack([midranks(one) for one in scores])
    n = ranks.shape[1]
    found = np.empty(n)
    for start in range(0, n, max(1, _BLOCK // n)):
        block = slice(start, start + max(1, _BLOCK // n))
        votes = sum(np.sign(one[block, None] - one[None, :]).astype(np.int8) for one in ranks)
        found[block] = (np.sign(votes).sum(axis=1, dtype=np.int64) + n - 1) / 2
    return found


AGGREGATIONS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = MappingProxyType(
    {"vote": majority, "mean-log-rank": mean_log_rank, "mean-rank": mean_rank}
)


def aggregate(scores: ArrayLike, how: str) -> np.ndarray:
    """One score `[n_arch]` of several rankings `[n_ranking, n_arch]`, higher is better in all of them.

    `how` is one of `AGGREGATIONS`. Raises `UserError` for an unknown one, and for no ranking or no architecture.
    """
    if how not in AGGREGATIONS:
        raise unknown("way to aggregate", how, AGGREGATIONS)
    values = comparable(scores)
    if values.ndim != 2 or not values.size:
        raise UserError(f"scores to aggregate must have the shape [n_ranking, n_arch], not {list(values.shape)}")
    return AGGREGATIONS[how](values)
