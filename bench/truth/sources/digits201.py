"""The table "digits201": stand-alone accuracies of every architecture on 8x8 digits.

It is made by `bench.digits201.build` and comes with the project; data/digits201/README.md says how it was made
and how reliable it is.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from bench.truth.table import Table
from mngnas.errors import UserError
from mngnas.spaces.skeleton import Skeleton

NAME, DATASET = "digits201", "digits"
SPLITS = ("valid", "test")
SIDE, CLASSES = 8, 10  # of the pictures
_FILE = "digits201.npz"
_PACKAGE = Path(__file__).resolve().parents[1]


def packaged_or_checkout_path(package: Path = _PACKAGE) -> Path:
    """Where the table lies that comes with the project; `package` is the folder of `bench.truth`.

    In a checkout it is data/digits201/digits201.npz at the root. An installed wheel has it inside the package, at
    bench/truth/data/digits201.npz. Where neither is there it is the checkout's.
    """
    checkout, packaged = package.parents[1] / "data" / NAME / _FILE, package / "data" / _FILE
    return packaged if packaged.exists() and not checkout.exists() else checkout


PATH = packaged_or_checkout_path()


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

    @property
    def skeleton(self) -> Skeleton:
        """The networks' fixed part."""
        return Skeleton(
            self.channels,
            self.cells,
            CLASSES,
            in_channels=1,
            stages=self.stages,
            residual_reduction=False,
            affine=True,
        )

    @cached_property
    def checksum(self) -> str:
        """Of everything that decides the numbers."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]


PROTOCOL = Protocol()


def load(path: Path | None = None) -> Table:
    """Load the table that comes with the project, or another one from its file or folder; raises `UserError`."""
    if path is not None and path.is_dir():
        path = path / _FILE
    if path is not None and path.exists() and path.suffix != ".npz":
        raise UserError(f"table {NAME!r} is one .npz file, which {path} is not; without --archive its own is taken")
    path = path or PATH
    if not path.exists():
        raise UserError(f"there is no table {path}: take it from the repository, or make it with 'data build {NAME}'")
    table = Table.load(path)
    if table.name != NAME:
        raise UserError(f"{path} holds the table {table.name!r}, not {NAME!r}")
    return table
