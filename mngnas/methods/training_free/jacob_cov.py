"""Covariance of the Jacobian: how differently a network's output reacts to changes of the pictures of a batch.

Mellor et al., "Neural architecture search without training", first version of 2020 (arXiv 2006.04647v1), as Abdelfattah
et al., ICLR 2021, have it: J is the gradient of the sum of the logits by each picture, v the eigenvalues of the
correlation matrix of its rows, k = 1e-5, and the score is -sum(log(v + k) + 1 / (v + k)). One batch of 64 pictures,
PyTorch's own initial weights, BatchNorm by the batch. Dead edges change neither logits nor gradients. Rows of zeros, of
an architecture without a path from input to output, have no correlation: its score is NaN.
"""

import torch
from torch import Tensor

from mngnas.data.images import Batch
from mngnas.methods.info import MethodInfo
from mngnas.methods.training_free_method import BatchConfig, TrainingFreeMethod
from mngnas.nets.network import Network

_SMALL = 1e-5


class JacobCov(TrainingFreeMethod):
    """A forward and a backward pass to the pictures."""

    info = MethodInfo(
        "jacob-cov",
        "Jacobian covariance",
        "Mellor et al. 2020",
        "spectrum of the Jacobian's correlations",
        "training-free",
    )
    Config, by_canonical = BatchConfig, True

    def score(self, network: Network, batch: Batch) -> float:
        """-sum(log(v + k) + 1 / (v + k))."""
        correlations = torch.corrcoef(jacobian(network, batch.images))
        if not correlations.isfinite().all():
            return float("nan")
        spectrum = torch.linalg.eigvalsh(correlations).clamp(min=0) + _SMALL  # of a correlation matrix: none below zero
        return float(-(spectrum.log() + 1 / spectrum).sum())


def jacobian(network: Network, images: Tensor) -> Tensor:
    """The gradient of the sum of the logits by each picture, float64 `[b, pixels]`."""
    images = images.clone().requires_grad_()
    (found,) = torch.autograd.grad(network(images).sum(), images)
    return found.flatten(1).double()
