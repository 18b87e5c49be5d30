"""Entries that are made up."""

import numpy as np

from bench.board.entries import FILE, Entry
from mngnas.spaces.topology import TOPOLOGY

N_ARCH = TOPOLOGY.n_arch


def entry_of(values, index=None, **fields):
    row = np.full((1, N_ARCH), np.nan)
    row[0, np.arange(len(values)) if index is None else index] = values
    about = {"name": "x", "label": "x", "kind": FILE, "source": "here", "ranking": "", "column": "", "protocol": {}}
    return Entry(**(about | {"seeds": (), "scores": row} | fields))
