"""Further training of single architectures from a supernet's weights, and the scores that they get after it.

An inherited score says how an architecture does with shared weights; a retrained one how it does after a few steps of
its own. Each architecture starts from its own copy of the supernet and sees the same batches in the same order.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from mngnas.errors import UserError
from mngnas.images import Batch
from mngnas.scoring import Scorer, Scores
from mngnas.space import Arch
from mngnas.supernet import Supernet

Losses = Callable[[Batch], tuple[Tensor, Tensor]]  # of a batch: what is minimised, and what is watched (detached)


@dataclass(frozen=True)
class RetrainingConfig:
    """Which architectures are retrained after the supernet's training, and for how long."""

    archs: int = 0  # a random sample of so many, the same in every run; 0: none
    steps: int = 50  # batches of training.batch_size
    learning_rate: float = 0.05  # at the start; it falls to zero along a cosine

    def __post_init__(self) -> None:
        if not (self.steps >= 1 and self.learning_rate > 0):
            raise UserError("retraining: steps must be at least 1 and learning_rate positive")


def cosine(share: float) -> float:
    """The factor of a learning rate that falls from 1 to 0 along half a cosine, at `share` 0..1 of its course."""
    return (1 + math.cos(math.pi * share)) / 2


def train_alone(
    network: Supernet, losses: Losses, batch: Callable[[int], Batch], steps: int, learning_rate: float
) -> float:
    """Some steps of SGD on all weights that `losses` reaches; returns the mean of what is watched over them."""
    optimizer = torch.optim.SGD(network.parameters(), learning_rate, 0.9, nesterov=True)
    seen = torch.zeros((), device=network.head_bias.device)
    for step in range(steps):
        optimizer.zero_grad()
        loss, watched = losses(batch(step))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0, foreach=True)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * cosine(step / steps)
        optimizer.step()
        seen += watched
    return float(seen / max(1, steps))


def retrained_scores(
    supernet: Supernet,
    arch: Arch,
    loss: Callable[[Supernet, Arch, Batch], tuple[Tensor, Tensor]],
    batch: Callable[[int], Batch],
    config: RetrainingConfig,
    scorer: Scorer,
) -> Scores:
    """Accuracy and loss (n = 1) of an architecture after `config.steps` by `loss`, a strategy's `retraining_loss`.

    The supernet stays as it is.
    """
    network = copy.deepcopy(supernet).requires_grad_(True)
    train_alone(network, partial(loss, network, arch), batch, config.steps, config.learning_rate)
    return scorer([arch], network)
