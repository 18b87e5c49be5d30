"""What an architecture costs, in closed form: parameters and multiply-adds of the benchmark's network.

The published numbers need no table: the network is a stem, three stages of `cells` cells at `channels`, 2 and 4 times
`channels` and halving resolution, two residual reductions between them, and a linear classifier (Dong & Yang, ICLR
2020, section 2.1 and figure 1). The closed form is also the safer source: 150 architectures carry the parameters of
another one in published extracts, after a migration of weights (nats_bench repairs the same in its own reader).
"""

from itertools import pairwise

import numpy as np

from mngnas.space import CONV_1X1, CONV_3X3, all_archs

CLASSES = {"cifar10": 10, "cifar100": 100, "imagenet16-120": 120}
IMAGE_SIZE = {"cifar10": 32, "cifar100": 32, "imagenet16-120": 16}


def parameter_count(archs: np.ndarray, n_classes: int, channels: int = 16, cells: int = 5) -> np.ndarray:
    """Trainable parameters of each architecture, int64 `[n]`.

    `archs` is `[n, 6]` operation numbers. Convolutions have no bias; every BatchNorm has scale and shift. For ten
    classes and the default network: 73,306 + 28,000 per 1x1 + 243,040 per 3x3 convolution.
    """
    widths = _widths(channels)
    ones, threes = _convolutions(archs)
    per_one = cells * sum(w * w + 2 * w for w in widths)
    per_three = cells * sum(9 * w * w + 2 * w for w in widths)
    stem = 3 * channels * 9 + 2 * channels
    reductions = 0
    for wide_in, wide_out in pairwise(widths):
        two_convolutions = 9 * wide_in * wide_out + 2 * wide_out + 9 * wide_out * wide_out + 2 * wide_out
        reductions += two_convolutions + wide_in * wide_out  # and the shortcut's 1x1 convolution, without BatchNorm
    head = 2 * widths[-1] + (widths[-1] + 1) * n_classes
    return stem + reductions + head + per_one * ones + per_three * threes


def flops(archs: np.ndarray, n_classes: int, channels: int = 16, cells: int = 5, image_size: int = 32) -> np.ndarray:
    """Multiply-adds of one picture through each architecture, int64 `[n]`, by the benchmark's own rule.

    That rule counts convolutions and the classifier with its bias, and leaves out BatchNorm, ReLU, pooling and sums.
    For ten classes and the default network: 7,783,050 + 3,932,160 per 1x1 + 35,389,440 per 3x3 convolution.
    `image_size` must be divisible by 4.
    """
    widths = _widths(channels)
    pixels = [(image_size // 2**stage) ** 2 for stage in range(3)]
    ones, threes = _convolutions(archs)
    per_one = cells * sum(w * w * n for w, n in zip(widths, pixels, strict=True))
    fixed = 3 * channels * 9 * pixels[0] + (widths[-1] + 1) * n_classes
    for stage in (1, 2):
        wide_in, wide_out = widths[stage - 1], widths[stage]
        fixed += (9 * wide_in * wide_out + 9 * wide_out * wide_out + wide_in * wide_out) * pixels[stage]
    return fixed + per_one * (ones + 9 * threes)


def benchmark_parameters() -> dict[str, np.ndarray]:
    """Parameters of every architecture in index order, int64 `[15625]` by data set."""
    return {dataset: parameter_count(all_archs(), n_classes) for dataset, n_classes in CLASSES.items()}


def benchmark_flops() -> dict[str, np.ndarray]:
    """Multiply-adds of every architecture in index order, int64 `[15625]` by data set."""
    return {
        dataset: flops(all_archs(), n_classes, image_size=IMAGE_SIZE[dataset]) for dataset, n_classes in CLASSES.items()
    }


def _widths(channels: int) -> list[int]:
    return [channels, 2 * channels, 4 * channels]


def _convolutions(archs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many 1x1 and 3x3 convolutions each architecture's cell has, dead ones included."""
    archs = np.asarray(archs)
    return (archs == CONV_1X1).sum(axis=1).astype(np.int64), (archs == CONV_3X3).sum(axis=1).astype(np.int64)
