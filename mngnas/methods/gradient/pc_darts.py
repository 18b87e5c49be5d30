"""Partial channel connections: a mixture that acts on a part of the channels, and weights of edges besides.

Xu et al., "PC-DARTS: Partial Channel Connections for Memory-Efficient Architecture Search", ICLR 2020, section 3. Each
edge's mixture sees 1/K of the channels, the others pass it by (`mngnas.nets.partial_supernet`); a node is the sum of
its incoming edges times softmax(beta) over them, so an operation's weight is softmax(beta)_e softmax(alpha_e)_o. The
parameters stay as they are for the first 15 of 50 epochs.

In this space every architecture has all six edges, so beta's factors are the same for all of them: they shape the
training, and the ranking is that by alpha. Inherited scores are of paths of partial channels, each edge times its
softmax(beta): this method's weights fit no other network.

Settings of the authors' code, made for another space (yuhuixu1993/PC-DARTS): K = 4, 50 epochs, batch 256, SGD with
momentum .9, .1 to 0 along a cosine, decay 3e-4; alpha and beta by Adam, 6e-4, betas .5 and .999, decay 1e-3. It
normalises what pooling gives; the benchmark's pooling is plain, and so it is here. Weights are trained as all methods'.

A mixture counts 5 / K passes: five operations on 1/K of the channels (by multiply-adds it is .4 to .7 paths, as
convolutions cost 1/K**2; what is not a convolution costs 1/K, and stem, reductions and head cost as always).
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from mngnas.data.images import Batch
from mngnas.errors import UserError
from mngnas.methods.gradient_method import GradientConfig, GradientMethod
from mngnas.methods.info import MethodInfo
from mngnas.methods.supernet_method import Step, StepResult
from mngnas.nets.partial_supernet import INCOMING, PartialSupernet
from mngnas.nets.supernet import Supernet
from mngnas.settings import setting
from mngnas.spaces.topology import TOPOLOGY


@dataclass(frozen=True)
class PcDartsConfig(GradientConfig):
    """The paper's."""

    learning_rate: float = setting(6e-4, above=0, high=1e3)
    parts: int = setting(4, 1, 4096)  # K: operations act on one of so many parts of the channels
    warmup: float = setting(0.3, 0, 1)  # share of the budget before architecture parameters are updated


class PcDarts(GradientMethod):
    """Weights, alpha and beta by the partial mixture, first order."""

    info = MethodInfo(
        name="pc-darts",
        label="PC-DARTS",
        paper="Xu et al. 2020",
        description="a mixture on a quarter of the channels, and weights of edges",
        kind="gradient",
    )
    Config = PcDartsConfig
    supernet: PartialSupernet

    def first_supernet(self) -> Supernet:
        """The partial one."""
        if self.space is not TOPOLOGY:
            raise UserError(f"pc-darts runs in {TOPOLOGY.name} alone, not in {self.space.name}")
        return PartialSupernet(self.task.skeleton, self.task.seed, self.config.parts)

    def first_architecture_parameters(self, rng: np.random.Generator) -> list[nn.Parameter]:
        """`alpha` and `beta` `[n_edge]`."""
        found = super().first_architecture_parameters(rng)
        self.beta = self.small_parameter(rng, len(self.space.sizes))
        return [*found, self.beta]

    def edge_weights(self) -> Tensor:
        """The softmax of beta over each node's incoming edges, `[n_edge]`."""
        return torch.cat([self.beta[list(edges)].softmax(0) for edges in INCOMING])

    def mixture_weights(self, rng: np.random.Generator) -> Tensor:
        """The product of both, `[n_edge, n_operation]`."""
        return self.edge_weights()[:, None] * super().mixture_weights(rng)

    def mixture_passes(self) -> float:
        """Of operations on a part of the channels."""
        return float(super().mixture_passes() / self.config.parts)

    def architecture_step(self, batch: Batch, step: Step) -> StepResult:
        """None before the warm-up's end."""
        if step.spent < self.config.warmup:
            return StepResult(0, 0, torch.zeros(()))
        return super().architecture_step(batch, step)

    def weight_step(self, step: Step) -> StepResult:
        """The mixture on training pictures."""
        self.supernet.set_shares(self.edge_weights())
        return self.train_mixture(step.batch, self.mixture_weights(step.rng).detach())
