"""What is published about NAS-Bench-201 and NATS-Bench's topology space: data sets, schedules, networks and facts.

Dong & Yang, ICLR 2020; Dong, Liu, Musial & Gabrys, TPAMI 2021.
"""

import numpy as np

from bench.truth.checks import Expected, Known, Optimum, SeedCount
from bench.truth.table import Measure
from mngnas.spaces import Space
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


def parameters() -> dict[str, np.ndarray]:
    """Parameters of every architecture in index order, int64 `[n_arch]` by data set."""
    return {name: SPACE.parameters(SPACE.all_archs, Skeleton(classes=CLASSES[name])) for name in DATASETS}


def flops() -> dict[str, np.ndarray]:
    """Multiply-adds of one picture through every architecture in index order, int64 `[n_arch]` by data set."""
    return {name: SPACE.flops(SPACE.all_archs, Skeleton(classes=CLASSES[name]), SIDE[name]) for name in DATASETS}
