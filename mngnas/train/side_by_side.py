"""Stand-alone training of many small architectures at once (`mngnas.nets.side_by_side`); nothing is shared."""

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
class SideBySideScores:
    """Results of `m` networks after each of `n` training lengths, on each of `k` sets of pictures."""

    accuracy: np.ndarray  # float32 [n, k, m], fraction
    loss: np.ndarray  # float32 [n, k, m], mean cross-entropy in nats


def train_side_by_side(
    archs: Sequence[Arch],
    skeleton: Skeleton,
    recipe: Recipe,
    seed: int,
    train: ImageSet,
    tests: Sequence[Batch],
    augmentation: Augmentation,
    test_after: Sequence[int],
) -> SideBySideScores:
    """Train `m` networks from scratch on the same batches and test each after these numbers of steps, ascending.

    The seed fixes the initial weights, the order of the pictures and the augmentation. Which architectures share a
    batch changes only the rounding. Before a test BatchNorm's statistics are taken from all training pictures, with
    the training noise: a moving average over a few steps would be of weights that have changed since.
    """
    device = train.pixels.device
    networks = NetworkBatch(archs, skeleton, seed, device)
    calibration = scoring_batch(train, augmentation.noise)
    found = []

    def backward(step: int) -> None:
        batch = training_batch(train, step, recipe.batch_size, augmentation, seed)
        logits = networks(batch.images)
        targets = batch.labels.repeat_interleave(networks.m)
        # The sum over networks keeps each network's gradient what it would be alone.
        (F.cross_entropy(logits.flatten(0, 1), targets, reduction="sum") / len(batch.labels)).backward()

    def test(steps: int) -> None:
        if steps in test_after:
            networks.calibrate(calibration.images)
            found.append([_test(networks, one) for one in tests])

    run_steps(networks.parameters(), recipe, recipe.steps, backward, test)
    accuracy, loss = np.moveaxis(np.array(found, np.float32), 2, 0)
    return SideBySideScores(accuracy, loss)


@torch.inference_mode()
def _test(networks: NetworkBatch, test: Batch) -> tuple[np.ndarray, np.ndarray]:
    """Accuracy and loss of each network, `[m]`."""
    networks.eval()
    logits = torch.cat([networks(images) for images in test.images.split(_TEST_BATCH)])
    networks.train()
    right = (logits.argmax(2) == test.labels[:, None]).float().mean(0)
    loss = F.cross_entropy(logits.flatten(0, 1), test.labels.repeat_interleave(networks.m), reduction="none")
    return right.cpu().numpy(), loss.unflatten(0, (-1, networks.m)).mean(0).cpu().numpy()
