"""BatchNorm without running statistics: by the batch itself, or by statistics that were recorded before."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

Norm = Callable[[Tensor, Tensor | None, Tensor | None], Tensor]  # of values, scale and shift


def batch_norm(x: Tensor, scale: Tensor | None, shift: Tensor | None) -> Tensor:
    """Normalise by the statistics of the batch itself."""
    return F.batch_norm(x, None, None, scale, shift, training=True)


class RecordingNorm:
    """Normalises by the batch and keeps each layer's mean and variance, in the order of the forward pass."""

    def __init__(self) -> None:
        self.statistics: list[tuple[Tensor, Tensor]] = []

    def __call__(self, x: Tensor, scale: Tensor | None, shift: Tensor | None) -> Tensor:
        """Normalise like `batch_norm`, and remember with what."""
        variance, mean = torch.var_mean(x.float(), dim=(0, 2, 3), correction=0)
        self.statistics.append((mean, variance))
        return batch_norm(x, scale, shift)


class ReplayNorm:
    """Normalises by recorded statistics: use it for one forward pass of the path that recorded them."""

    def __init__(self, statistics: list[tuple[Tensor, Tensor]]) -> None:
        self._next = iter(statistics)

    def __call__(self, x: Tensor, scale: Tensor | None, shift: Tensor | None) -> Tensor:
        """Normalise by the next recorded statistics."""
        mean, variance = next(self._next)
        return F.batch_norm(x, mean, variance, scale, shift, training=False)
