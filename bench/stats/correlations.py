"""Rank and linear correlations: plain functions from two arrays to one number, see `bench.stats.metrics`."""

import numpy as np
from numpy.typing import ArrayLike

from bench.stats.inversions import larger_before
from mngnas.errors import UserError
from mngnas.ranks import midranks


def finite_pair(predicted: ArrayLike, true: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Both inputs as float64 `[n]`; raises `UserError` unless they are finite, of one length and not empty."""
    pair = np.asarray(predicted, dtype=np.float64), np.asarray(true, dtype=np.float64)
    if pair[0].ndim != 1 or pair[0].shape != pair[1].shape or not len(pair[0]):
        raise UserError(
            f"predicted {list(pair[0].shape)} and true {list(pair[1].shape)} must be two equally long lists of scores"
        )
    for name, values in zip(("predicted", "true"), pair, strict=True):
        if not np.isfinite(values).all():
            at = int(np.argmin(np.isfinite(values)))
            raise UserError(f"{name} score {values[at]} at position {at} is not a finite number")
    return pair


def kendall_tau_b(predicted: ArrayLike, true: ArrayLike) -> float:
    """Kendall's tau-b, (C - D) / sqrt((P - T_predicted) (P - T_true)), in -1..1; O(n log n).

    C and D count concordant and discordant pairs, P all pairs, T the pairs tied in one input (Kendall, "The treatment
    of ties in ranking problems", Biometrika 1945). NaN if an input is constant.
    """
    x, y = finite_pair(predicted, true)
    if _constant(x) or _constant(y):
        return float("nan")
    n, bits = len(x), len(x).bit_length()
    x, y = (np.unique(values, return_inverse=True)[1] for values in (x, y))
    order = np.sort(x << bits | y)  # the pairs of ranks, by (x, y)
    pairs, both = n * (n - 1) // 2, _tied_pairs(np.diff(np.flatnonzero(np.diff(order, prepend=-1, append=-1))))
    ties = _tied_pairs(np.bincount(x)), _tied_pairs(np.bincount(y))
    last = (1 << bits) - 1
    by_y = np.sort((order & last) << bits | np.arange(n)) & last  # places in `order`, by (y, place)
    difference = pairs - ties[0] - ties[1] + both - 2 * int(larger_before(by_y).sum())
    return float(np.clip(difference / np.sqrt(pairs - ties[0]) / np.sqrt(pairs - ties[1]), -1.0, 1.0))


def _tied_pairs(sizes: np.ndarray) -> int:
    """Pairs inside groups of these sizes."""
    return int((sizes * (sizes - 1) // 2).sum())


def spearman_rho(predicted: ArrayLike, true: ArrayLike) -> float:
    """Spearman's rho: Pearson's r of the midranks, in -1..1; NaN if an input is constant."""
    x, y = finite_pair(predicted, true)
    return pearson_r(midranks(x), midranks(y))


def pearson_r(predicted: ArrayLike, true: ArrayLike) -> float:
    """Pearson's correlation coefficient, in -1..1; NaN if an input is constant."""
    x, y = finite_pair(predicted, true)
    if _constant(x) or _constant(y):
        return float("nan")
    x, y = _centred(x), _centred(y)
    xy, xx, yy = (np.einsum("n,n->", a, b) for a, b in ((x, y), (x, x), (y, y)))  # x @ y would start threads
    return float(np.clip(xy / np.sqrt(xx * yy), -1.0, 1.0))


def partial_correlation(xy: float, xz: float, yz: float) -> float:
    """What is left of the correlation of x and y once z is held: (xy - xz yz) / sqrt((1 - xz^2) (1 - yz^2)), in -1..1.

    For Pearson's r and Spearman's rho the correlation of what linear regression on z (of ranks) leaves over; for tau-b
    the same of the signs of all pairs (Kendall, "Partial rank correlation", Biometrika 1942). NaN where z is x or y.
    """
    left = 1 - xz * xz, 1 - yz * yz
    if not min(left) > 1e-12:  # 0 but for rounding, or NaN
        return float("nan")
    return float(np.clip((xy - xz * yz) / np.sqrt(left[0] * left[1]), -1.0, 1.0))


def sparse_kendall_tau(predicted: ArrayLike, true: ArrayLike) -> float:
    """Kendall's tau-b after the true accuracies (fractions) are rounded to 0.1 %.

    Differences below that are within the spread of stand-alone training (Yu, Ranftl & Salzmann, "How to Train Your
    Super-Net", 2020, where it is named S-KdT). NaN if an input is constant, after rounding for the true one.
    """
    x, y = finite_pair(predicted, true)
    return kendall_tau_b(x, to_tenth_of_percent(y))


def to_tenth_of_percent(true: np.ndarray) -> np.ndarray:
    """Accuracies as fractions, rounded to 0.001."""
    return np.asarray(np.round(true, 3))


def _constant(values: np.ndarray) -> bool:
    return bool(values.min() == values.max())


def _centred(values: np.ndarray) -> np.ndarray:
    values = values / np.abs(values).max()  # squares of very large or small scores would over- or underflow
    return np.asarray(values - values.mean())
