"""A supernet as published code writes it, to measure against: one module an operation, one path after another.

Same mathematics as `mngnas.nets.cell_supernet` (tests/speed/test_measure.py), in PyTorch's default memory format: every
edge is computed, dead or not; each convolution and BatchNorm is a module of its own; scoring goes through all
architectures one by one.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mngnas.data.images import Batch
from mngnas.nets.cell_network import PooledBlock, ResidualBlock, operation
from mngnas.spaces import Arch
from mngnas.spaces.skeleton import Skeleton
from mngnas.spaces.topology import EDGES, N_NODES, OPERATIONS


class _Cell(nn.Module):
    def __init__(self, c: int, affine: bool) -> None:
        super().__init__()
        self.edges = nn.ModuleList(
            nn.ModuleList(operation(op, c, affine) for op in range(len(OPERATIONS))) for _ in EDGES
        )

    def forward(self, x: Tensor, arch: Arch) -> Tensor:
        nodes = [x]
        for node in range(1, N_NODES):
            incoming = [e for e, (_, target) in enumerate(EDGES) if target == node]
            nodes.append(sum((self.edges[e][arch[e]](nodes[EDGES[e][0]]) for e in incoming), torch.zeros(())))  # type: ignore[index]
        return nodes[-1]


class ReferenceSupernet(nn.Module):
    """A supernet of the skeleton."""

    def __init__(self, skeleton: Skeleton) -> None:
        super().__init__()
        self.skeleton, c = skeleton, skeleton.channels
        self.stem = nn.Sequential(
            nn.Conv2d(skeleton.in_channels, c, 3, padding=1, bias=False), nn.BatchNorm2d(c, track_running_stats=False)
        )
        self.stages = nn.ModuleList(
            nn.ModuleList(_Cell(width, skeleton.affine) for _ in range(skeleton.cells)) for width in skeleton.widths
        )
        reduction = ResidualBlock if skeleton.residual_reduction else PooledBlock
        self.reductions = nn.ModuleList(reduction(a, b) for a, b in pairwise(skeleton.widths))
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
        logits: Tensor = self.head(F.relu(self.last(x)).mean((2, 3)))
        return logits


def train_step(net: ReferenceSupernet, optimizer: torch.optim.Optimizer, batch: Batch, arch: Arch) -> float:
    """One single-path step with clipping; returns the loss, as published loops do for their running mean."""
    optimizer.zero_grad()
    loss = F.cross_entropy(net(batch.images, arch), batch.labels)
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 5.0, foreach=False)
    optimizer.step()
    return loss.item()


@torch.no_grad()
def scores(net: ReferenceSupernet, batches: Sequence[Batch], archs: Sequence[Arch]) -> np.ndarray:
    """One-shot accuracy of each architecture, one by one."""
    found = []
    for arch in archs:
        right = sum((net(batch.images, arch).argmax(1) == batch.labels).sum().item() for batch in batches)
        found.append(right / sum(len(batch.labels) for batch in batches))
    return np.array(found)
