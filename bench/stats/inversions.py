"""Inversions of an order, counted for each element: what Kendall's tau and its influence function are made of."""

import numpy as np


def larger_before(order: np.ndarray) -> np.ndarray:
    """How many larger numbers stand before each one in a permutation of 0..n-1; int32 `[n]`; O(n sqrt(n)).

    Places and numbers are both cut into blocks of about sqrt(n) / 2. What stands before is in the same block of places,
    or in another of these and in the same block of numbers, or in other blocks of both. The first two are compared one
    by one, in all blocks at once; the third is looked up in a table of blocks by blocks and its partial sums. Merging
    makes O(n log n) steps, each of which waits for memory, and takes five times as long at n = 15,625.
    """
    n = len(order)
    size = int(np.ceil(n**0.5 / 2))
    blocks = -(-n // size)
    numbers = np.arange(blocks * size, dtype=np.int32)  # what is added stands last and in order: no inversions
    numbers[:n] = order
    places = np.empty_like(numbers)
    places[numbers] = np.arange(len(numbers), dtype=np.int32)
    rows = numbers.reshape(blocks, size)
    columns = rows // size
    cells = np.bincount((columns + blocks * np.arange(blocks)[:, None]).ravel(), minlength=blocks**2)
    upto = np.cumsum(cells.reshape(blocks, blocks), axis=0, dtype=np.int32)
    apart = np.zeros_like(upto)  # of a block of places and one of numbers: what is in earlier and in later ones
    np.cumsum(upto[:-1, :0:-1], axis=1, out=apart[1:, -2::-1])
    found = np.take_along_axis(apart, columns, axis=1)
    found += _larger_in_row(rows)
    falling = places.reshape(blocks, size)[:, ::-1]  # from the highest number of a block on: larger ones stand before,
    found.reshape(-1)[falling] += _larger_in_row(blocks - 1 - falling // size)  # and are in an earlier block of places
    return found.reshape(-1)[:n]


def _larger_in_row(rows: np.ndarray) -> np.ndarray:
    """How many before each in its row of whole numbers `[k, m]`, 0 or more, are larger; `[k, m]`."""
    columns = np.ascontiguousarray(rows.T.astype(np.min_scalar_type(rows.max(initial=0))))
    counts = np.zeros(columns.shape, np.min_scalar_type(len(columns)))
    for place in range(1, len(columns)):
        larger = columns[:place] > columns[place]
        larger.view(np.uint8).sum(axis=0, dtype=counts.dtype, out=counts[place])
    return counts.T
