"""The table "digits201": stand-alone accuracies of every architecture on 8x8 digits, made by `bench.digits201`.

It comes with the repository; data/digits201/README.md says how it was made and how reliable it is.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np

from bench.tables.table import Table
from mngnas.errors import UserError
from mngnas.space import CONV_1X1, CONV_3X3

NAME, DATASET = "digits201", "digits"
SPLITS = ("valid", "test")
PATH = Path(__file__).resolve().parents[2] / "data" / "digits201" / "digits201.npz"


@dataclass(frozen=True)
class Protocol:
    """How the networks are trained and tested; the defaults are the benchmark, other values are for tests."""

    channels: int = 8
    cells: int = 1  # a stage
    stages: int = 3
    noise: float = 0.5  # Gaussian, training and test pictures alike; standard deviation, the full range is 1
    batch_size: int = 64
    learning_rate: float = 0.2
    momentum: float = 0.9
    weight_decay: float = 5e-4
    steps_per_epoch: int = 9  # 600 pictures, the last incomplete batch left out
    epochs: tuple[int, ...] = (3, 8)  # points of one run at which it is tested; the last one is its end
    chunk: int = 32  # architectures trained side by side

    @cached_property
    def checksum(self) -> str:
        """Of everything that decides the numbers."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]


PROTOCOL = Protocol()


def load(path: Path | None = None) -> Table:
    """Load the table that comes with the repository, or another one from its file or folder; raises `UserError`."""
    if path is not None and path.is_dir():
        path = path / PATH.name
    path = path or PATH
    if not path.exists():
        raise UserError(f"there is no table {path}: take it from the repository, or make it with 'data build {NAME}'")
    table = Table.load(path)
    if table.name != NAME:
        raise UserError(f"{path} holds the table {table.name!r}, not {NAME!r}")
    return table


def costs(archs: np.ndarray, protocol: Protocol = PROTOCOL) -> tuple[np.ndarray, np.ndarray]:
    """Parameters, and multiply-adds of one 8x8 picture, of architectures `[n, 6]`: int64 `[n]` each.

    By the rules of `bench.tables.costs`: convolutions of dead edges count, BatchNorm costs parameters only.
    """
    widths = [protocol.channels * 2**stage for stage in range(protocol.stages)]
    pixels = [(8 // 2**stage) ** 2 for stage in range(protocol.stages)]
    ones, threes = ((np.asarray(archs) == op).sum(axis=1).astype(np.int64) for op in (CONV_1X1, CONV_3X3))
    head = 10 * (widths[-1] + 1)
    parameters = 11 * widths[0] + sum(a * b + 2 * b for a, b in pairwise(widths)) + 2 * widths[-1] + head
    parameters += protocol.cells * sum(w * w * (ones + 9 * threes) + 2 * w * (ones + threes) for w in widths)
    flops = 9 * widths[0] * pixels[0] + head
    flops += sum(a * b * n for (a, b), n in zip(pairwise(widths), pixels[1:], strict=True))
    flops += protocol.cells * sum(w * w * n for w, n in zip(widths, pixels, strict=True)) * (ones + 9 * threes)
    return parameters, flops
