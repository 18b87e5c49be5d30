"""AZ-NAS: four scores of a network on noise, joined by their ranks.

Lee & Ham, "AZ-NAS: assembling zero-cost proxies for network architecture search", CVPR 2024, and its public code for
this space. The features are what the stem, every cell and every reduction give for a batch of 64 pictures of N(0, 1);
weights are normal with variance 2 / fan-in, BatchNorm goes by the batch.

    expressivity    sum over features of the entropy of the spectrum of the channels' covariance, as shares of its sum
    progressivity   the smallest increment of that entropy from one feature to the next
    trainability    mean over blocks of 2 - s - 1 / s, with s the largest singular value of an estimate of the block's
                    Jacobian: the mean over pixels of g_in g_out^T, for random signs g_out at its output and what they
                    become at its input; minus infinity where a block does nothing
    complexity      FLOPs, those of dead edges included

The score is the sum of log(rank / n) over the four: it depends on which n architectures are compared (`complete`).
Features of a network without a path from input to output have no spectrum: minus infinity.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mngnas.methods.base import Columns
from mngnas.methods.info import MethodInfo
from mngnas.methods.training_free_method import SCORE, BatchConfig, TrainingFreeMethod
from mngnas.ranks import mean_log_rank
from mngnas.spaces import Arch

_SMALL_SHARE, _SMALL_VALUE = 1e-8, 1e-6


class AzNas(TrainingFreeMethod):
    """A forward pass, and a backward pass of every block by itself."""

    info = MethodInfo(
        "az-nas", "AZ-NAS", "Lee & Ham 2024", "entropy, its growth, gradients, FLOPs, by rank", "training-free"
    )
    Config, by_canonical = BatchConfig, True

    def columns(self, arch: Arch) -> Mapping[str, float]:
        """The three that take a network."""
        network, draw = self.network(arch), self.draws(arch)
        network.draw_normal(lambda fan_in: math.sqrt(2 / fan_in), draw)
        like = self.batch().images
        x = torch.randn(like.shape, generator=draw).to(like)
        entropies, trainabilities = [], []
        for number, block in enumerate(network.blocks()):
            y, trainability = through(block, x, draw) if number else (block(x).detach(), 0.0)
            entropies.append(entropy(y))
            trainabilities += [trainability] if number else []
            x = y
        return {
            "expressivity": _defined(sum(entropies)),
            "progressivity": _defined(float(np.min([b - a for a, b in pairwise(entropies)]))),
            "trainability": _defined(sum(trainabilities) / len(trainabilities)),
        }

    def complete(self, ranking: str, archs: Sequence[Arch], columns: Columns) -> Columns:
        """The score goes first, FLOPs last."""
        del ranking
        task = self.task
        flops = self.space.flops(np.array(archs), task.skeleton, task.images.train.pixels.shape[-1]).astype(np.float64)
        parts = {**columns, "complexity": flops}
        return {SCORE: len(parts) * mean_log_rank(np.stack(list(parts.values()))), **parts}


def entropy(features: Tensor) -> float:
    """Of the spectrum of the channels' covariance of features `[b, c, h, w]`; NaN where nothing varies."""
    rows = features.movedim(1, -1).flatten(0, -2)
    rows = rows - rows.mean(0)
    spectrum = torch.linalg.eigvalsh((rows.T @ rows / len(rows)).double()).clamp(min=0)
    shares = spectrum / spectrum.sum()
    return float(-(shares * (shares + _SMALL_SHARE).log()).sum())


def through(block: nn.Module, x: Tensor, draw: torch.Generator) -> tuple[Tensor, float]:
    """What a block gives for features x, and its trainability."""
    x = x.requires_grad_()
    y = block(x)
    g_out = torch.randint(0, 2, y.shape, generator=draw).to(y) * 2 - 1
    (g_in,) = torch.autograd.grad(y, x, g_out)
    return y.detach(), trainability_of(g_in, g_out)


def trainability_of(g_in: Tensor, g_out: Tensor) -> float:
    """2 - s - 1 / s of gradients `[b, c, h, w]` at a block's input and output; a larger input's pixels are channels."""
    if g_in.shape == g_out.shape and torch.equal(g_in, g_out):
        return -math.inf
    if g_in.shape[2:] != g_out.shape[2:]:
        g_in = F.pixel_unshuffle(g_in, g_in.shape[2] // g_out.shape[2])
    rows_in, rows_out = (g.movedim(1, -1).flatten(0, -2) for g in (g_in, g_out))
    largest = float(torch.linalg.matrix_norm(rows_in.T @ rows_out / len(rows_out), 2))
    return 2 - largest - 1 / (largest + _SMALL_VALUE)


def _defined(value: float) -> float:
    return -math.inf if math.isnan(value) else value
