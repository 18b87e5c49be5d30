"""What every weight-sharing supernet can do, whatever its search space."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from mngnas.errors import UserError
from mngnas.nets.norms import Norm, batch_norm
from mngnas.spaces import Arch, Space
from mngnas.spaces.skeleton import Skeleton


@dataclass(frozen=True)
class Output:
    """What a path computes from `b` images."""

    features: tuple[Tensor, ...]  # per stage, its last output [b, c, h, w]
    logits: Tensor  # [b, classes], float32


class Supernet(nn.Module, ABC):
    """All architectures' weights; `forward(images, arch)` runs one of them.

    Images are `[b, in_channels, h, w]`, h and w divisible by 2**(stages - 1); give them channels-last and in the
    floating-point type to compute in (float32 or bfloat16; statistics, logits and weights stay float32).
    """

    space: Space
    skeleton: Skeleton
    features_alike: ClassVar[bool] = True  # whether all architectures' features have one shape

    @abstractmethod
    def forward(self, images: Tensor, arch: Arch, norm: Norm = batch_norm) -> Output:
        """Run the path of one architecture; every BatchNorm goes through `norm`."""

    @abstractmethod
    def mixed(self, images: Tensor, weights: Tensor, norm: Norm = batch_norm) -> Output:
        """Run the mixture of all options: `weights` `[n_position, n_option]` multiply what each option computes."""

    def per_cell(self, images: Tensor, archs: Sequence[Arch]) -> Output:  # noqa: ARG002
        """Run a path whose architecture differs from cell to cell; raises `UserError` where there are no such cells."""
        raise UserError(f"architectures of {self.space.name} cannot differ from cell to cell")

    def gradient_norms(self) -> Tensor:
        """Norms of the gradients of each option's own weights, summed over tensors, `[n_position, n_option]`."""
        raise UserError(f"in {self.space.name} options have no weights of their own")

    def each(self, images: Tensor, archs: Sequence[Arch]) -> Iterator[Tensor]:
        """Logits `[b, classes]` of canonical architectures, which come in order of rank; statistics of the batch."""
        for arch in archs:
            yield self(images, arch).logits

    def together(self, images: Tensor, archs: Sequence[Arch]) -> Tensor:
        """Logits of canonical architectures at once, `[n, b, classes]`; statistics of the batch and the path."""
        return torch.stack(list(self.each(images, archs)))
