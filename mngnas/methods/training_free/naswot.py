"""NASWOT: how differently a network's ReLUs see the pictures of a batch.

Mellor et al., "Neural architecture search without training", ICML 2021: each picture has a binary code, which of all
ReLUs let it pass; K counts for each pair of pictures the ReLUs in which they agree, and the score is the logarithm of
|det K|. One batch of 128 pictures, PyTorch's own initial weights, BatchNorm by the batch, as in the public code.

Only ReLUs that the output depends on count, so only the live graph does: code that counts every ReLU module adds a
constant to K for the dead ones. Where two pictures have the same code the score is minus infinity.
"""

from collections import deque
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mngnas.data.images import Batch
from mngnas.methods.info import MethodInfo
from mngnas.methods.training_free_method import BatchConfig, TrainingFreeMethod
from mngnas.nets.network import Network
from mngnas.settings import setting

_REMEMBERED = 4  # inputs of late whose ReLU is known: as many as a cell has nodes


@dataclass(frozen=True)
class NaswotConfig(BatchConfig):
    """The public code's batch."""

    batch_size: int = setting(128, 2, 100_000)


class Naswot(TrainingFreeMethod):
    """One forward pass."""

    info = MethodInfo(
        "naswot", "NASWOT", "Mellor et al. 2021", "log det of the agreement of ReLU codes", "training-free"
    )
    Config, by_canonical, passes_each = NaswotConfig, True, 1 / 3

    def score(self, network: Network, batch: Batch) -> float:
        """The logarithm of |det K|."""
        return float(torch.linalg.slogdet(agreements(network, batch.images).double()).logabsdet)


@torch.inference_mode()
def agreements(network: Network, images: Tensor) -> Tensor:
    """In how many ReLUs two pictures agree, float32 `[b, b]`: whole numbers, exact up to 2**24 ReLUs a picture.

    With codes C of zeros and ones, C C^T counts the ReLUs that let both pass, and its diagonal those that let one pass;
    n minus the two of a pair plus twice the common ones is the agreement, so one product does. ReLUs of several edges
    that have the same input are computed each, but multiplied once.
    """
    both, units = torch.zeros(len(images), len(images), device=images.device), 0
    late: deque[tuple[Tensor, Tensor]] = deque(maxlen=_REMEMBERED)

    def count(_relu: Any, inputs: tuple[Tensor], y: Tensor) -> None:
        nonlocal units
        units += y[0].numel()
        product = next((known for x, known in late if x is inputs[0]), None)
        if product is None:
            codes = y.sign().movedim(1, -1).flatten(1)  # a view of channels-last pictures
            product = codes @ codes.T
            late.append((inputs[0], product))
        both.add_(product)

    hooks = [module.register_forward_hook(count) for module in network.modules() if isinstance(module, nn.ReLU)]
    network(images)
    for hook in hooks:
        hook.remove()
    own = both.diagonal()
    return units - own[:, None] - own[None, :] + 2 * both
