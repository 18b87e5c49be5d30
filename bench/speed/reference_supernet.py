"""A supernet as published code writes it, to measure against: one module an operation, one path after another.

Same mathematics as `mngnas.nets.cell_supernet` (tests/test_speed.py), in PyTorch's default memory format: every edge is
computed, dead or not; each convolution and BatchNorm is a module of its own; scoring goes through all architectures one
by one.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mngnas.data.images import Batch
from mngnas.nets.cell_supernet import Skeleton
from mngnas.spaces.topology import AVG_POOL, CONV_1X1, CONV_3X3, EDGES, NONE, SKIP, Arch


class _ReluConvNorm(nn.Sequential):
    def __init__(self, c_in: int, c_out: int, size: int, stride: int = 1, affine: bool = False) -> None:
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(c_in, c_out, size, stride, size // 2, bias=False),
            nn.BatchNorm2d(c_out, affine=affine, track_running_stats=False),
        )


class _Zero(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 0


class _Cell(nn.Module):
    def __init__(self, c: int, affine: bool) -> None:
        super().__init__()
        self.edges = nn.ModuleList(
            nn.ModuleDict(
                {
                    str(NONE): _Zero(),
                    str(SKIP): nn.Identity(),
                    str(CONV_1X1): _ReluConvNorm(c, c, 1, affine=affine),
                    str(CONV_3X3): _ReluConvNorm(c, c, 3, affine=affine),
                    str(AVG_POOL): nn.AvgPool2d(3, 1, 1, count_include_pad=False),
                }
            )
            for _ in EDGES
        )

    def forward(self, x: Tensor, arch: Arch) -> Tensor:
        nodes = [x]
        for node in (1, 2, 3):
            incoming = [e for e, (_, target) in enumerate(EDGES) if target == node]
            nodes.append(sum((self.edges[e][str(arch[e])](nodes[EDGES[e][0]]) for e in incoming), torch.zeros(())))  # type: ignore[index]
        return nodes[3]


class _Reduction(nn.Module):
    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.first = _ReluConvNorm(c_in, c_out, 3, 2, affine=True)
        self.second = _ReluConvNorm(c_out, c_out, 3, affine=True)
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(c_in, c_out, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x)) + self.shortcut(x)


class PlainSupernet(nn.Module):
    """The benchmark's skeleton; residual reductions only."""

    def __init__(self, skeleton: Skeleton) -> None:
        super().__init__()
        self.skeleton, c = skeleton, skeleton.channels
        self.stem = nn.Sequential(
            nn.Conv2d(skeleton.in_channels, c, 3, padding=1, bias=False), nn.BatchNorm2d(c, track_running_stats=False)
        )
        self.stages = nn.ModuleList(
            nn.ModuleList(_Cell(width, skeleton.affine) for _ in range(skeleton.cells)) for width in skeleton.widths
        )
        self.reductions = nn.ModuleList(
            _Reduction(a, b) for a, b in zip(skeleton.widths, skeleton.widths[1:], strict=False)
        )
        self.last = nn.BatchNorm2d(skeleton.widths[-1], track_running_stats=False)
        self.head = nn.Linear(skeleton.widths[-1], skeleton.classes)

    def forward(self, images: Tensor, arch: Arch) -> Tensor:
        """Logits `[b, classes]` of one path."""
        x = self.stem(images)
        for number, stage in enumerate(self.stages):
            if number:
                x = self.reductions[number - 1](x)
            for cell in stage:  # type: ignore[attr-defined]
                x = cell(x, arch)
        return self.head(F.relu(self.last(x)).mean((2, 3)))


def train_step(net: PlainSupernet, optimizer: torch.optim.Optimizer, batch: Batch, arch: Arch) -> float:
    """One single-path step with clipping; returns the loss, as published loops do for their running mean."""
    optimizer.zero_grad()
    loss = F.cross_entropy(net(batch.images, arch), batch.labels)
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 5.0, foreach=False)
    optimizer.step()
    return loss.item()


@torch.no_grad()
def scores(net: PlainSupernet, batches: Sequence[Batch], archs: Sequence[Arch]) -> np.ndarray:
    """One-shot accuracy of each architecture, one by one."""
    found = []
    for arch in archs:
        right = sum((net(batch.images, arch).argmax(1) == batch.labels).sum().item() for batch in batches)
        found.append(right / sum(len(batch.labels) for batch in batches))
    return np.array(found)
