"""NASWOT: how differently a network's ReLUs see the pictures of a batch.

Mellor et al., "Neural architecture search without training", ICML 2021: each picture has a binary code, which of all
ReLUs let it pass; K counts for each pair of pictures the ReLUs in which they agree, and the score is the logarithm of
|det K|. One batch of 128 pictures, PyTorch's own initial weights, BatchNorm by the batch, as in the public code.

Only ReLUs that the output depends on count, so only the live graph does: code that counts every ReLU module adds a
constant to K for the dead ones. Where two pictures have the same code the score is minus infinity.
"""

from collections import deque
from dataclasses import dataclass

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
    n minus the two of a pair plus twice the common ones is the agreement, so one product does. The network's ReLUs are
    replaced by ones that count.
    """
    counting = _Counting(len(images), images.device)
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.ReLU):
                setattr(parent, name, counting)
    network(images)
    own = counting.both.diagonal()
    return counting.units - own[:, None] - own[None, :] + 2 * counting.both


class _Counting(nn.Module):
    """All ReLUs of a network; those of several edges that have the same input are counted each, but computed once."""

    def __init__(self, n: int, device: torch.device) -> None:
        super().__init__()
        self.both, self.units = torch.zeros(n, n, device=device), 0
        self.late: deque[tuple[Tensor, Tensor, Tensor]] = deque(maxlen=_REMEMBERED)  # input, output, C C^T

    def forward(self, x: Tensor) -> Tensor:
        found = next((one for one in self.late if one[0] is x), None)
        if found is None:
            y = x.relu()
            found = x, y, _common(y.movedim(1, -1).flatten(1) > 0)  # a view of channels-last pictures
            self.late.append(found)
        _, y, product = found
        self.both += product
        self.units += y[0].numel()
        return y


def _common(codes: Tensor) -> Tensor:
    """How many ones the rows of codes, bool `[b, n]`, have in common: float32 `[b, b]`."""
    if codes.device.type == "cpu":  # in bytes, a quarter of the time of float32 (docs/performance.md)
        return torch._int_mm(codes.view(torch.int8), codes.view(torch.int8).T).float()
    return codes.float() @ codes.float().T
