"""One stand-alone architecture many times at once, each time with weights and pictures of its own.

Small networks on small pictures cost more to launch than to compute. Here `m` networks of one architecture stand side
by side in the channel dimension of one channels-last tensor, `[b, m * c, h, w]`: a convolution of all of them is one
grouped convolution, and BatchNorm, which is per channel, is per network by itself. Nothing is shared.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mngnas.nets.layers import average_pool_3x3
from mngnas.nets.walk import walk
from mngnas.seeds import stand_alone_weights
from mngnas.spaces import Arch
from mngnas.spaces.skeleton import Skeleton
from mngnas.spaces.topology import AVG_POOL, CONV_1X1, CONV_3X3, EDGES, NONE, SKIP, TOPOLOGY, live_graph


class NetworkBatch(nn.Module):
    """`m` stand-alone networks with learnt BatchNorm scale and shift; only skeletons with pooled reductions.

    A network's initial weights depend on the architecture and its own seed alone. Dead edges are left out.
    """

    def __init__(
        self, arch: Arch, skeleton: Skeleton, seeds: Sequence[int], device: torch.device | str = "cpu"
    ) -> None:
        super().__init__()
        assert not skeleton.residual_reduction, "stand-alone batches are built for pooled reductions"
        self.skeleton, self.m, self.live = skeleton, len(seeds), live_graph(arch)
        index = TOPOLOGY.to_index(arch)
        generators = [torch.Generator().manual_seed(stand_alone_weights(seed, index)) for seed in seeds]
        widths = skeleton.widths
        self.stem = _GroupedConvNorm(skeleton.in_channels, widths[0], 3, generators)
        self.convs = nn.ModuleDict()
        for number, stage in enumerate(skeleton.stage_of_cell):
            # By source, so that a network's numbers come in the order in which it computes.
            for edge in sorted(range(len(EDGES)), key=lambda edge: EDGES[edge][0]):
                if (op := self.live[edge]) in (CONV_1X1, CONV_3X3):
                    size = 1 if op == CONV_1X1 else 3
                    self.convs[_name(number, edge)] = _GroupedConvNorm(widths[stage], widths[stage], size, generators)
        self.reductions = nn.ModuleList(_GroupedConvNorm(a, b, 1, generators) for a, b in pairwise(widths))
        self.last = _Norm(self.m * widths[-1])
        bound = widths[-1] ** -0.5
        heads = [torch.empty(skeleton.classes, widths[-1]).uniform_(-bound, bound, generator=g) for g in generators]
        self.head_weight = nn.Parameter(torch.stack(heads))
        self.head_bias = nn.Parameter(torch.zeros(self.m, skeleton.classes))
        self.to(device)  # drawn on the host, so devices agree

    def forward(self, images: Tensor) -> Tensor:
        """Logits `[b, m, classes]` of channels-last images `[b, m * in_channels, h, w]`, in each network's order."""
        x = self.stem(images)
        for number, stage in enumerate(self.skeleton.stage_of_cell):
            if number and number % self.skeleton.cells == 0:
                x = self.reductions[stage - 1](F.avg_pool2d(x, 2))
            x = self._cell(number, x)
        x = F.relu(self.last(x)).mean((2, 3)).unflatten(1, (self.m, -1))
        return torch.einsum("bmc,mkc->bmk", x, self.head_weight) + self.head_bias

    @torch.no_grad()
    def calibrate(self, images: Tensor) -> None:
        """Take BatchNorm's statistics from these images; it holds until the next forward pass in training mode."""
        self.train()
        self(images)

    def _cell(self, number: int, x: Tensor) -> Tensor:
        out = walk(x, lambda edge, value: self._operate(number, edge, value))
        return torch.zeros_like(x) if out is None else out

    def _operate(self, number: int, edge: int, x: Tensor | None) -> Tensor | None:
        op = self.live[edge]
        if op == NONE or x is None:
            return None
        if op == SKIP:
            return x
        if op == AVG_POOL:
            return average_pool_3x3(x)
        y: Tensor = self.convs[_name(number, edge)](F.relu(x))
        return y


def _name(cell: int, edge: int) -> str:
    return f"cell{cell}_edge{edge}"


class _Norm(nn.Module):
    """BatchNorm whose statistics at test are those of the last batch in training mode."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.mean: Tensor
        self.variance: Tensor
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, self.mean, self.variance, self.scale, self.shift, self.training, momentum=1.0)


class _GroupedConvNorm(nn.Module):
    """One convolution and BatchNorm for each generator, which draws its weights, side by side."""

    def __init__(self, c_in: int, c_out: int, size: int, generators: Sequence[torch.Generator]) -> None:
        super().__init__()
        std = math.sqrt(2 / (c_out * size * size))
        weights = [torch.randn(c_out, c_in, size, size, generator=g) * std for g in generators]
        self.weight = nn.Parameter(torch.cat(weights).contiguous(memory_format=torch.channels_last))
        self.groups, self.padding = len(weights), size // 2
        self.norm = _Norm(len(weights) * c_out)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(F.conv2d(x, self.weight, padding=self.padding, groups=self.groups))
        return y
