"""Stand-alone training of one architecture with many seeds at once (`mngnas.nets.side_by_side`); nothing is shared."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from mngnas.data.images import Batch, ImageSet, scoring_batch, training_batch
from mngnas.nets.side_by_side import NetworkBatch
from mngnas.settings import Augmentation
from mngnas.spaces import Arch
from mngnas.spaces.skeleton import Skeleton
from mngnas.train.loop import train as run_steps

_TEST_BATCH = 128  # larger ones leave the cache


@dataclass(frozen=True)
class Recipe:
    """How a stand-alone network is trained: SGD with Nesterov momentum, the learning rate falling as a cosine to 0."""

    steps: int
    batch_size: int
    learning_rate: float
    momentum: float = 0.9
    weight_decay: float = 5e-4
    clip: float = 0.0


@dataclass(frozen=True)
class Course:
    """All pictures that networks of `m` seeds see, whatever their architecture: `[b, m * c, h, w]`, labels `[b, m]`."""

    seeds: tuple[int, ...]
    batches: tuple[Batch, ...]  # one a training step
    calibration: Batch
    tests: tuple[Batch, ...]  # `k`


@dataclass(frozen=True)
class SideBySideScores:
    """Results of `m` networks after each of `n` training lengths, on each of `k` sets of pictures."""

    accuracy: np.ndarray  # float32 [n, k, m], fraction
    loss: np.ndarray  # float32 [n, k, m], mean cross-entropy in nats


def course_of(
    seeds: Sequence[int], recipe: Recipe, train: ImageSet, tests: Sequence[ImageSet], augmentation: Augmentation
) -> Course:
    """A seed fixes the order of the pictures, their augmentation, and the noise of its tests.

    The calibration is on all training pictures, with noise that is the same for every seed.
    """
    noise = augmentation.noise
    return Course(
        tuple(seeds),
        tuple(
            _beside([training_batch(train, step, recipe.batch_size, augmentation, seed) for seed in seeds])
            for step in range(recipe.steps)
        ),
        _beside([scoring_batch(train, noise)] * len(seeds)),
        tuple(_beside([scoring_batch(test, noise, seed) for seed in seeds]) for test in tests),
    )


def _beside(batches: Sequence[Batch]) -> Batch:
    images = torch.cat([batch.images for batch in batches], 1).contiguous(memory_format=torch.channels_last)
    return Batch(images, torch.stack([batch.labels for batch in batches], 1))


def train_side_by_side(
    arch: Arch, skeleton: Skeleton, recipe: Recipe, course: Course, test_after: Sequence[int]
) -> SideBySideScores:
    """Train a network for each seed of the course from scratch and test it after these numbers of steps, ascending.

    Which seeds share a batch changes only the rounding. Before a test BatchNorm's statistics are taken from all
    training pictures, with the training noise: a moving average over a few steps would be of weights that have changed
    since.
    """
    networks = NetworkBatch(arch, skeleton, course.seeds, course.calibration.labels.device)
    found = []

    def backward(step: int) -> None:
        batch = course.batches[step]
        logits = networks(batch.images)
        # The sum over networks keeps each network's gradient what it would be alone.
        (F.cross_entropy(logits.flatten(0, 1), batch.labels.flatten(), reduction="sum") / len(batch.labels)).backward()

    def test(steps: int) -> None:
        if steps in test_after:
            networks.calibrate(course.calibration.images)
            found.append([_test(networks, one) for one in course.tests])

    run_steps(networks.parameters(), recipe, recipe.steps, backward, test)
    accuracy, loss = np.moveaxis(np.array(found, np.float32), 2, 0)
    return SideBySideScores(accuracy, loss)


@torch.inference_mode()
def _test(networks: NetworkBatch, test: Batch) -> tuple[np.ndarray, np.ndarray]:
    """Accuracy and loss of each network, `[m]`."""
    networks.eval()
    logits = torch.cat([networks(images) for images in test.images.split(_TEST_BATCH)])
    networks.train()
    right = (logits.argmax(2) == test.labels).float().mean(0)
    loss = F.cross_entropy(logits.flatten(0, 1), test.labels.flatten(), reduction="none")
    return right.cpu().numpy(), loss.unflatten(0, (-1, networks.m)).mean(0).cpu().numpy()
