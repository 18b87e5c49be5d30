"""What is published about NAS-Bench-201 and both spaces of NATS-Bench: data sets, schedules, networks and facts.

Dong & Yang, ICLR 2020; Dong, Liu, Musial & Gabrys, TPAMI 2021.
"""

from dataclasses import dataclass

import numpy as np

from bench.truth.checks import Expected, Known, Optimum, SeedCount
from bench.truth.table import Measure
from mngnas.spaces import Space
from mngnas.spaces.size import SIZE
from mngnas.spaces.skeleton import Skeleton
from mngnas.spaces.topology import TOPOLOGY

SPACE: Space = TOPOLOGY
SHORT, LONG = 12, 200  # epochs of the two training schedules
SEEDS = (777, 888, 999)
CLASSES = {"cifar10": 10, "cifar100": 100, "imagenet16-120": 120}
SIDE = {"cifar10": 32, "cifar100": 32, "imagenet16-120": 16}  # pixels
DATASETS = tuple(CLASSES)

VALID = {dataset: Measure(dataset, "valid", LONG) for dataset in DATASETS}
TEST = {dataset: Measure(dataset, "test", LONG) for dataset in DATASETS}

# The best architectures after the long schedule with their official indices, and how often three seeds were trained.
PUBLISHED = Expected(
    known=(Known(TEST["cifar10"], 0, 0.85863), Known(VALID["cifar10"], 0, 0.81983)),
    optima=(
        Optimum(TEST["cifar10"], (6111, 13714), 0.94373),
        Optimum(VALID["cifar10"], (6111,), 0.91607),
        Optimum(TEST["cifar100"], (9930,), 0.73513),
        Optimum(VALID["cifar100"], (9930,), 0.73493),
        Optimum(TEST["imagenet16-120"], (857,), 0.47311),
        Optimum(VALID["imagenet16-120"], (10676,), 0.46733),
    ),
    seed_counts=tuple(
        SeedCount(VALID[dataset], n_seed, n_arch) for dataset in DATASETS for n_seed, n_arch in ((2, 7_456), (3, 8_169))
    ),
)


@dataclass(frozen=True)
class Official:
    """A search space as its authors trained it."""

    space: Space
    cells: int  # a stage of the stand-alone networks
    schedules: tuple[tuple[str, int], ...]  # as an archive writes them, and their epochs; shortest first
    expected: Expected  # of a whole archive

    @property
    def longest(self) -> int:
        """Epochs of the longest schedule."""
        return self.schedules[-1][1]

    def parameters(self) -> dict[str, np.ndarray]:
        """Parameters of every architecture in index order, int64 `[n_arch]` by data set."""
        return {name: self.space.parameters(self.space.all_archs, self._skeleton(name)) for name in DATASETS}

    def flops(self) -> dict[str, np.ndarray]:
        """Multiply-adds of one picture through every architecture in index order, int64 `[n_arch]` by data set."""
        return {name: self.space.flops(self.space.all_archs, self._skeleton(name), SIDE[name]) for name in DATASETS}

    def _skeleton(self, dataset: str) -> Skeleton:
        return Skeleton(cells=self.cells, classes=CLASSES[dataset])


OF_TOPOLOGY = Official(SPACE, 5, ((str(SHORT), SHORT), (str(LONG), LONG)), PUBLISHED)

# Of the size space the authors trained the longest schedule with one seed, so these are single accuracies.
SIZE_LONG = 90  # epochs
SIZE_VALID = {dataset: Measure(dataset, "valid", SIZE_LONG) for dataset in DATASETS}
SIZE_TEST = {dataset: Measure(dataset, "test", SIZE_LONG) for dataset in DATASETS}
SIZE_VALID_OPTIMA = (
    Optimum(SIZE_VALID["cifar10"], (32767,), 0.90712),
    Optimum(SIZE_VALID["cifar100"], (31615,), 0.7092),
    Optimum(SIZE_VALID["imagenet16-120"], (24511,), 0.46733),
)
OF_SIZE = Official(
    SIZE,
    1,
    (("01", 1), (f"{SHORT}", SHORT), (f"{SIZE_LONG}", SIZE_LONG)),
    Expected(
        optima=(
            *SIZE_VALID_OPTIMA,
            Optimum(SIZE_TEST["cifar10"], (32698, 32703), 0.9365),
            Optimum(SIZE_TEST["cifar100"], (32623,), 0.7134),
            Optimum(SIZE_TEST["imagenet16-120"], (32702,), 0.474),
        )
    ),
)
