"""Rank and linear correlations: plain functions from two arrays to one number, see `bench.stats.metrics`."""

import numpy as np
from numpy.typing import ArrayLike

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
    pairs = len(x) * (len(x) - 1) // 2
    order = np.lexsort((y, x))
    x, y = x[order], y[order]
    ties = _tied_pairs(x[1:] != x[:-1]), _tied_pairs(np.diff(np.sort(y)) != 0)
    both = _tied_pairs((x[1:] != x[:-1]) | (y[1:] != y[:-1]))
    difference = pairs - ties[0] - ties[1] + both - 2 * _inversions(np.unique(y, return_inverse=True)[1])
    return float(np.clip(difference / np.sqrt(pairs - ties[0]) / np.sqrt(pairs - ties[1]), -1.0, 1.0))


def _tied_pairs(differs: np.ndarray) -> int:
    """Pairs of equal values in a sorted list, from where each differs from the one before it, `[n - 1]`."""
    sizes = np.diff(np.flatnonzero(np.concatenate([[True], differs, [True]])))
    return int((sizes * (sizes - 1) // 2).sum())


def _inversions(values: np.ndarray) -> int:
    """Pairs of whole numbers 0 to n - 1 of which the larger stands first; O(n log n), by merging."""
    n, size = len(values), 16
    padded = np.full(-(-n // size) * size, n)
    padded[:n] = values
    blocks = padded.reshape(-1, size)
    found = sum(int((blocks[:, [i]] > blocks[:, i + 1 :]).sum()) for i in range(size - 1))
    values = np.sort(blocks, axis=1).ravel()[:n]  # the padding is last
    place = np.arange(n)
    while size < n:
        block = place // (2 * size)
        keys = values + block * n  # every block above the one before it
        is_left = place // size % 2 == 0
        left, right = keys[is_left], keys[~is_left]  # each sorted
        left_until = np.minimum((block[~is_left] + 1) * size, len(left))
        found += int((left_until - np.searchsorted(left, right, side="right")).sum())
        values = np.sort(keys) - block * n
        size *= 2
    return found


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
