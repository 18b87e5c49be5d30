"""What the training loop asks of a strategy, and what it offers to one.

A strategy decides which paths a step trains and with which loss. The loop owns the optimiser, the learning rate, the
batches and the budget; so strategies differ in what their papers differ in, and in nothing else.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mngnas.images import Batch
from mngnas.paths import FairSetStep
from mngnas.scoring import Scorer
from mngnas.space import Arch
from mngnas.supernet import Supernet


@dataclass(frozen=True)
class Search:
    """How a strategy that searches may score architectures: on validation images, and at this price."""

    score: Scorer
    passes: float  # of one architecture, in forward-backward passes of a training batch


@dataclass(frozen=True)
class StepContext:
    """What a strategy sees in one step of the supernet's training."""

    supernet: Supernet
    batch: Batch
    rng: np.random.Generator  # a function of the run's seed and the step alone, so that a resumed run draws the same
    spent: float = 0.0  # share of the budget spent before this step, 0..1
    budget: float = 0.0  # the whole budget, in forward-backward passes
    further: Callable[[int], Batch] | None = None  # the n-th further training batch of this step, n = 0, 1, ...
    search: Search | None = None
    fair_set: FairSetStep | None = None  # runs a strictly fair set at once, where that is faster; None: path by path


@dataclass(frozen=True)
class StepResult:
    """What a step did: gradients are in the supernet's parameters, and these are its costs."""

    passes: float  # forward-backward passes of one path over one batch; a forward alone counts 1/3
    images: int  # training images, each path's batch counted
    loss: Tensor  # mean cross-entropy of the step's paths, detached, on the device


class Strategy:
    """A way to train a supernet. A subclass with state that outlives a step also overrides the two state methods."""

    name: str  # as given on the command line
    label: str  # as shown in tables and figures
    paper: str  # authors, year
    description: str  # one line for `list`

    def step(self, context: StepContext) -> StepResult:
        """Leave the gradients of one optimiser step in `context.supernet`'s parameters, which are zero before."""
        raise NotImplementedError

    @property
    def retraining_price(self) -> float:
        """Passes that one step of retraining takes."""
        return 1.0

    def retraining_loss(self, network: Supernet, arch: Arch, batch: Batch) -> tuple[Tensor, Tensor]:
        """What one architecture's retraining minimises, by default the cross-entropy; and its guidance, detached."""
        loss = F.cross_entropy(network(batch.images, arch).logits, batch.labels)
        return loss, torch.zeros((), device=loss.device)

    def state_dict(self) -> dict[str, Any]:
        """Everything that a resumed run needs, as tensors and plain containers."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        assert not state, f"strategy {self.name!r} has no state"

    def diagnostics(self) -> dict[str, Any]:
        """What the record keeps besides the scores, in JSON types."""
        return {}


def train_paths(context: StepContext, archs: Sequence[Arch]) -> StepResult:
    """Add up the gradients of the cross-entropy of every path on the same batch (one path at a time: little memory)."""
    labels, total = context.batch.labels, torch.zeros((), device=context.batch.labels.device)
    for arch in archs:
        loss = F.cross_entropy(context.supernet(context.batch.images, arch).logits, labels)
        loss.backward()
        total += loss.detach()
    return StepResult(len(archs), len(archs) * len(labels), total / len(archs))


def train_fair_set(context: StepContext, archs: Sequence[Arch]) -> StepResult:
    """The same as `train_paths` for the five paths of a strictly fair set, at once where the loop wants it so."""
    if context.fair_set is None:
        return train_paths(context, archs)
    loss = context.fair_set(context.batch.images, context.batch.labels, archs)
    return StepResult(len(archs), len(archs) * len(context.batch.labels), loss)
