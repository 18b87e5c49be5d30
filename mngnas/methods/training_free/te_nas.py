"""TE-NAS: the condition of the neural tangent kernel, and the number of linear regions, joined by their ranks.

Chen et al., "Neural architecture search on ImageNet in four GPU hours: a theoretically inspired perspective", ICLR
2021, with its public code's networks for this space, which are small whatever the study's skeleton is:

    ntk      largest over smallest eigenvalue of the kernel of the gradients of each picture's summed logits by all
             weights; 72 pictures, 3 channels, one cell a stage, BatchNorm by the batch; smaller is better, so negative
    regions  how many different codes the ReLUs of one cell of one channel have for 3,000 pieces of 3x3 pixels and one
             colour, cut at random places of training pictures, in three batches

Weights are normal with variance 2 / fan-in. Both are means over `repeats` draws; the public code has 3, which take
hours here for all architectures on 32x32 pictures. The score is the sum of the two ranks, here as their mean share of
n: it depends on which architectures are compared (`complete`). Where the kernel's smallest eigenvalue is not positive,
the condition is infinite. Dead edges count for nothing.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mngnas.methods.base import Columns, Ranking
from mngnas.methods.info import MethodInfo
from mngnas.methods.training_free_method import SCORE, BatchConfig, TrainingFreeMethod
from mngnas.nets.build import build_network
from mngnas.nets.network import Network
from mngnas.ranks import mean_rank
from mngnas.settings import setting
from mngnas.spaces import Arch
from mngnas.spaces.skeleton import Skeleton

_SIDE = 3  # of the pictures that regions are counted with
_BATCHES, _BATCH = 3, 1000


@dataclass(frozen=True)
class TeNasConfig(BatchConfig):
    """The public code's batch."""

    batch_size: int = setting(72, 2, 100_000)
    repeats: int = setting(1, 1, 100)


class TeNas(TrainingFreeMethod):
    """A backward pass for every picture, on a small network."""

    info = MethodInfo(
        name="te-nas",
        label="TE-NAS",
        paper="Chen et al. 2021",
        description="condition of the NTK and linear regions, by rank",
        kind="training-free",
        not_in={"nats-bench-size": "its thin networks, of 1 and 3 channels, are those of the cell space"},
    )
    Config, by_canonical = TeNasConfig, True

    def rankings(self) -> Sequence[Ranking]:
        """A forward and as many backward passes as pictures, and three forward passes, a draw."""
        passes = self.config.repeats * (1 + 2 * self.config.batch_size + _BATCHES) / 3
        return [replace(one, passes_each=passes) for one in super().rankings()]

    def columns(self, arch: Arch) -> Mapping[str, float]:
        """The two parts."""
        draw, images = self.draws(arch), self.batch().images
        skeleton = replace(self.task.skeleton, channels=3, cells=1)
        conditions, regions = [], []
        for _ in range(self.config.repeats):
            conditions.append(condition(tangent_kernel(self._drawn(arch, skeleton, draw), images)))
            regions.append(float(self._regions(arch, draw)))
        return {"ntk": -sum(conditions) / len(conditions), "regions": sum(regions) / len(regions)}

    def complete(self, ranking: str, archs: Sequence[Arch], columns: Columns) -> Columns:
        """The score goes first."""
        del ranking, archs
        return {SCORE: mean_rank(np.stack(list(columns.values()))), **columns}

    def _drawn(self, arch: Arch, skeleton: Skeleton, draw: torch.Generator) -> Network:
        network = build_network(self.space, arch, skeleton, self._seed(arch)).to(self.task.device)
        network.draw_normal(lambda fan_in: math.sqrt(2 / fan_in), draw)
        return network

    def _regions(self, arch: Arch, draw: torch.Generator) -> int:
        thin = replace(self.task.skeleton, channels=1, cells=1, stages=1)
        cell = self._drawn(arch, thin, draw).blocks()[1]
        return linear_regions(cell, [self._patches(draw) for _ in range(_BATCHES)])

    def _patches(self, draw: torch.Generator) -> Tensor:
        """Pieces of pictures, `[1000, 1, 3, 3]`."""
        images = self.batch().images
        which, channel = (torch.randint(0, n, (_BATCH,), generator=draw) for n in images.shape[:2])
        rows, columns = (torch.randint(0, n - _SIDE + 1, (_BATCH, 1), generator=draw) for n in images.shape[2:])
        rows, columns = rows + torch.arange(_SIDE), columns + torch.arange(_SIDE)
        where = (which[:, None, None], channel[:, None, None], rows[:, :, None], columns[:, None, :])
        return images[tuple(one.to(images.device) for one in where)].unsqueeze(1)


def tangent_kernel(network: Network, images: Tensor) -> Tensor:
    """Products of the gradients of each picture's summed logits by all weights, float64 `[b, b]`; BatchNorm's count."""
    weights = [parameter for name, parameter in network.named_parameters() if name.endswith("weight")]
    rows = []
    for one in network(images).sum(1):
        gradients = torch.autograd.grad(one, weights, retain_graph=True, materialize_grads=True)
        rows.append(torch.cat([gradient.flatten() for gradient in gradients]))
    stacked = torch.stack(rows).double()
    return stacked @ stacked.T


def condition(kernel: Tensor) -> float:
    """Largest over smallest eigenvalue of a symmetric matrix; infinite where the smallest is not positive."""
    spectrum = torch.linalg.eigvalsh(kernel)
    return float(spectrum[-1] / spectrum[0]) if spectrum[0] > 0 else math.inf


@torch.inference_mode()
def linear_regions(cell: nn.Module, batches: Sequence[Tensor]) -> int:
    """How many different codes the ReLUs of a module have for all pictures; 0 without a ReLU."""
    codes: list[Tensor] = []
    relus = [module for module in cell.modules() if isinstance(module, nn.ReLU)]

    def note(_relu: Any, _inputs: Any, y: Tensor) -> None:
        codes.append((y > 0).flatten(1))

    hooks = [relu.register_forward_hook(note) for relu in relus]
    found = []
    for images in batches:
        cell(images)
        found.append(torch.cat(codes, 1) if codes else torch.zeros(0, 0))
        codes.clear()
    for hook in hooks:
        hook.remove()
    return len(np.unique(np.packbits(torch.cat(found).cpu().numpy(), axis=1), axis=0)) if relus else 0
