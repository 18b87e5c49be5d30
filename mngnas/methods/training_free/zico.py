"""ZiCo: gradients that are large and do not change much from batch to batch.

Li et al., "ZiCo: zero-shot NAS via inverse coefficient of variation on gradients", ICLR 2023: for every layer the
logarithm of the sum over its weights of mean |g| / sd(g), taken over batches, summed over the convolutions and linear
layers. Two batches of 128 pictures, cross-entropy, PyTorch's own initial weights, BatchNorm by the batch. As in the
public code, weights whose gradient never changes are left out, and with them layers that have no others, so dead edges
count for nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from mngnas.methods.info import MethodInfo
from mngnas.methods.training_free.zero_cost import weights_and_gradients
from mngnas.methods.training_free_method import SCORE, BatchConfig, TrainingFreeMethod
from mngnas.settings import setting
from mngnas.spaces import Arch


@dataclass(frozen=True)
class ZicoConfig(BatchConfig):
    """The public code's batches."""

    batch_size: int = setting(128, 2, 100_000)
    batches: int = setting(2, 2, 1000)


class Zico(TrainingFreeMethod):
    """A forward and a backward pass of every batch."""

    info = MethodInfo(
        "zico", "ZiCo", "Li et al. 2023", "mean over deviation of gradients from batch to batch", "training-free"
    )
    Config, by_canonical, passes_each = ZicoConfig, True, 2.0

    def columns(self, arch: Arch) -> Mapping[str, float]:
        """The sum over layers."""
        network = self.network(arch)
        batches = [weights_and_gradients(network, self.batch(n))[1] for n in range(self.config.batches)]
        return {SCORE: sum(map(layer_score, map(torch.stack, zip(*batches, strict=True))))}


def layer_score(gradients: torch.Tensor) -> float:
    """The logarithm of sum(mean |g| / sd(g)) of one layer's gradients `[batch, ...]`; 0 if no gradient ever changes."""
    flat = gradients.double().flatten(1)
    deviation = flat.std(0, correction=0)
    changing = deviation > 0
    found = (flat.abs().mean(0)[changing] / deviation[changing]).sum()
    return float(found.log()) if found > 0 else 0.0
