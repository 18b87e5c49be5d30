"""One cell architecture's own network of ordinary modules, by NAS-Bench-201's recipe (Dong & Yang, ICLR 2020).

Every operation is ReLU, convolution, BatchNorm, as modules that can be hooked. Dead edges are there like all others: a
score decides itself what it counts. BatchNorm has learnt scale and shift and uses the batch's own statistics.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from mngnas.nets.layers import average_pool_3x3
from mngnas.nets.network import Network
from mngnas.nets.supernet import Output
from mngnas.nets.walk import walk
from mngnas.spaces import Arch
from mngnas.spaces.skeleton import Skeleton
from mngnas.spaces.topology import AVG_POOL, CONV_1X1, CONV_3X3, NONE, SKIP


class ReluConvNorm(nn.Sequential):
    """The benchmark's convolution."""

    def __init__(self, c_in: int, c_out: int, size: int, stride: int = 1, affine: bool = True) -> None:
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(c_in, c_out, size, stride, size // 2, bias=False),
            nn.BatchNorm2d(c_out, affine=affine, track_running_stats=False),
        )


class AveragePool(nn.Module):
    """The benchmark's pooling: 3x3, stride 1, borders averaged over the pixels that exist."""

    def forward(self, x: Tensor) -> Tensor:
        """`[b, c, h, w]` in and out."""
        return average_pool_3x3(x)


class Zero(nn.Module):
    """The operation `none`."""

    def forward(self, x: Tensor) -> Tensor:
        """Zeros of the same shape, with a gradient of zero."""
        return x * 0


def operation(op: int, c: int, affine: bool) -> nn.Module:
    """The module of an operation on `c` channels."""
    if op in (CONV_1X1, CONV_3X3):
        return ReluConvNorm(c, c, 1 if op == CONV_1X1 else 3, affine=affine)
    return {NONE: Zero(), SKIP: nn.Identity(), AVG_POOL: AveragePool()}[op]


class ResidualBlock(nn.Module):
    """The benchmark's reduction between stages."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.first = ReluConvNorm(c_in, c_out, 3, 2)
        self.second = ReluConvNorm(c_out, c_out, 3)
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(c_in, c_out, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """`[b, c_in, h, w]` to `[b, c_out, h / 2, w / 2]`."""
        y: Tensor = self.second(self.first(x)) + self.shortcut(x)
        return y


class PooledBlock(nn.Sequential):
    """The reduction of small pictures: it leaves the 3x3 convolutions to the cell."""

    def __init__(self, c_in: int, c_out: int) -> None:
        norm = nn.BatchNorm2d(c_out, track_running_stats=False)
        super().__init__(nn.AvgPool2d(2), nn.Conv2d(c_in, c_out, 1, bias=False), norm)


class _Cell(nn.Module):
    def __init__(self, arch: Arch, c: int, affine: bool) -> None:
        super().__init__()
        self.edges = nn.ModuleList(operation(op, c, affine) for op in arch)

    def forward(self, x: Tensor) -> Tensor:
        def through(edge: int, value: Tensor | None) -> Tensor | None:
            operation = self.edges[edge]
            return None if isinstance(operation, Zero) else operation(x * 0 if value is None else value)

        out = walk(x, through)
        return x * 0 if out is None else out


class CellNetwork(Network):
    """Stem, stages of one repeated cell with reductions between them, and a linear head."""

    def __init__(self, arch: Arch, skeleton: Skeleton, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):  # modules draw from the global generator; nobody else shall notice
            torch.manual_seed(seed)
            widths = skeleton.widths
            stem = nn.Conv2d(skeleton.in_channels, widths[0], 3, padding=1, bias=False)
            self.stem = nn.Sequential(stem, nn.BatchNorm2d(widths[0], track_running_stats=False))
            self.stages = nn.ModuleList(
                nn.Sequential(*(_Cell(arch, width, True) for _ in range(skeleton.cells))) for width in widths
            )
            reduction = ResidualBlock if skeleton.residual_reduction else PooledBlock
            self.reductions = nn.ModuleList(reduction(a, b) for a, b in pairwise(widths))
            self.last = nn.Sequential(nn.BatchNorm2d(widths[-1], track_running_stats=False), nn.ReLU())
            self.head = nn.Linear(widths[-1], skeleton.classes)

    def blocks(self) -> Sequence[nn.Module]:
        """The stem, and every cell and reduction."""
        found: list[nn.Module] = [self.stem]
        for number, stage in enumerate(self.stages):
            assert isinstance(stage, nn.Sequential)
            found += [self.reductions[number - 1], *stage] if number else stage
        return found

    def output(self, images: Tensor) -> Output:
        """Stage outputs and logits."""
        x, features = self.stem(images), []
        for number, stage in enumerate(self.stages):
            x = stage(self.reductions[number - 1](x) if number else x)
            features.append(x)
        return Output(tuple(features), self.head(self.last(x).mean((2, 3))))
