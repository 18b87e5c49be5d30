"""MeCo: the smallest eigenvalue of the correlations between channels, summed over layers; one random picture.

Jiang et al., "MeCo: zero-shot NAS with one data and single forward pass via minimum eigenvalue of correlation", NeurIPS
2023, and its public code: one picture of N(0, 1), 64 x 64 pixels, PyTorch's own initial weights, BatchNorm by
that picture. For each layer's output `[c, h, w]` the smallest eigenvalue of the Pearson correlations of its channels,
undefined correlations as 0; the score is the sum. A layer is a module without modules inside that gives channels of
pixels; the public code also takes every container, so layers at the end of containers count several times there. Layers
of dead edges do not count.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mngnas.methods.info import MethodInfo
from mngnas.methods.training_free_method import SCORE, TrainingFreeMethod
from mngnas.nets.network import Network
from mngnas.spaces import Arch

_SIDE = 64


class Meco(TrainingFreeMethod):
    """One forward pass of one picture."""

    info = MethodInfo(
        "meco", "MeCo", "Jiang et al. 2023", "smallest eigenvalue of channel correlations", "training-free"
    )
    by_canonical, passes_each = True, 1 / 3

    def columns(self, arch: Arch) -> Mapping[str, float]:
        """The sum over layers."""
        shape = 1, self.task.skeleton.in_channels, _SIDE, _SIDE
        image = torch.randn(shape, generator=self.draws(arch)).to(self.task.device)
        return {SCORE: float(sum(smallest_eigenvalues(self.network(arch), image)))}


@torch.inference_mode()
def smallest_eigenvalues(network: Network, image: Tensor) -> list[float]:
    """Of the channels' correlations, for every layer in the order of the forward pass."""
    found: list[float] = []

    def note(_module: Any, _inputs: Any, y: Tensor) -> None:
        if y.dim() == 4:
            correlations = torch.corrcoef(y[0].flatten(1).double()).reshape(y.shape[1], y.shape[1])
            found.append(float(torch.linalg.eigvalsh(torch.nan_to_num(correlations, 0.0, 0.0, 0.0))[0]))

    for module in network.modules():
        if not list(module.children()):
            module.register_forward_hook(note)
    network(image)
    return found
