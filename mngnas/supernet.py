"""The weight-sharing supernet over the cell space: shared weights, and the forward pass of one path.

The skeleton is NAS-Bench-201's (Dong & Yang, ICLR 2020): a 3x3 stem, three stages of `cells` cells whose width
doubles and whose resolution halves from stage to stage, a reduction block between stages, and a linear head. All
cells of a path have the same architecture. Per edge of each cell there is one 1x1 and one 3x3 convolution, shared by
every architecture that puts it there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mngnas.layers import average_pool_3x3
from mngnas.space import AVG_POOL, CONV_1X1, CONV_3X3, EDGES, NONE, SKIP, Arch, live_graph

Norm = Callable[[Tensor, Tensor | None, Tensor | None], Tensor]


@dataclass(frozen=True)
class Skeleton:
    """The fixed part of the network around the cells; the default is the benchmark's own."""

    channels: int = 16  # width of the first stage
    cells: int = 5  # cells a stage
    classes: int = 10
    in_channels: int = 3
    stages: int = 3
    residual_reduction: bool = True  # False: 2x2 average pool + 1x1 convolution, for small pictures (digits201)
    affine: bool = False  # learnt scale and shift in the cells' BatchNorm

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each stage."""
        return tuple(self.channels * 2**stage for stage in range(self.stages))

    @property
    def stage_of_cell(self) -> tuple[int, ...]:
        """The stage of each cell, first to last."""
        return tuple(stage for stage in range(self.stages) for _ in range(self.cells))


@dataclass(frozen=True)
class Output:
    """What a path computes from `b` images."""

    features: tuple[Tensor, ...]  # per stage, its last cell's output [b, c * 2**stage, h / 2**stage, w / 2**stage]
    logits: Tensor  # [b, classes], float32


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


class ConvNorm(nn.Module):
    """A convolution without bias and a BatchNorm with learnt scale and shift."""

    def __init__(self, c_in: int, c_out: int, size: int, stride: int = 1) -> None:
        super().__init__()
        self.weight = _conv_parameter(c_out, c_in, size)
        self.scale = nn.Parameter(torch.ones(c_out))
        self.shift = nn.Parameter(torch.zeros(c_out))
        self.stride, self.padding = stride, size // 2

    def forward(self, x: Tensor, norm: Norm) -> Tensor:
        """Convolve and normalise."""
        y = F.conv2d(x, self.weight.to(x.dtype), stride=self.stride, padding=self.padding)
        return norm(y, self.scale, self.shift)


class EdgeConvs(nn.Module):
    """One convolution size of a cell: the six edges' weights in one tensor, so that the optimiser sees few tensors."""

    def __init__(self, c: int, size: int, affine: bool) -> None:
        super().__init__()
        self.weight = _conv_parameter(len(EDGES), c, c, size)
        self.scale = nn.Parameter(torch.ones(len(EDGES), c)) if affine else None
        self.shift = nn.Parameter(torch.zeros(len(EDGES), c)) if affine else None
        self.padding = size // 2

    def forward(self, x: Tensor, edge: int, norm: Norm) -> Tensor:
        """Convolve with one edge's weights and normalise."""
        y = F.conv2d(x, self.weight[edge].to(x.dtype), padding=self.padding)
        if self.scale is None or self.shift is None:
            return norm(y, None, None)
        return norm(y, self.scale[edge], self.shift[edge])


class Cell(nn.Module):
    """The operations of all architectures in one cell of `c` channels."""

    def __init__(self, c: int, affine: bool) -> None:
        super().__init__()
        self.conv1x1, self.conv3x3 = EdgeConvs(c, 1, affine), EdgeConvs(c, 3, affine)

    def operate(self, edge: int, op: int, x: Tensor, relu_x: Tensor | None, norm: Norm) -> Tensor:
        """One operation other than `none` on one edge; `relu_x` saves the ReLU where it is known already."""
        if op == SKIP:
            return x
        if op == AVG_POOL:
            return average_pool_3x3(x)
        convs = self.conv1x1 if op == CONV_1X1 else self.conv3x3
        return convs(F.relu(x) if relu_x is None else relu_x, edge, norm)

    def forward(self, x: Tensor, live: Arch, norm: Norm) -> Tensor:
        """The cell's output `[b, c, h, w]` for an architecture without dead edges (`live_graph`)."""
        nodes: list[Tensor | None] = [x, None, None, None]
        relus: list[Tensor | None] = [None] * 4
        for edge, ((source, target), op) in enumerate(zip(EDGES, live, strict=True)):
            value = nodes[source]
            if op == NONE or value is None:
                continue
            if op in (CONV_1X1, CONV_3X3) and relus[source] is None:
                relus[source] = F.relu(value)
            y, so_far = self.operate(edge, op, value, relus[source], norm), nodes[target]
            if so_far is not None:
                y = y + so_far if op == SKIP else y.add_(so_far)  # what is not a node's own tensor may change in place
            nodes[target] = y
        return nodes[3] if nodes[3] is not None else torch.zeros_like(x)


class ResidualReduction(nn.Module):
    """The benchmark's reduction: two 3x3 convolutions, the first with stride 2, beside a pooled 1x1 shortcut."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.first, self.second = ConvNorm(c_in, c_out, 3, stride=2), ConvNorm(c_out, c_out, 3)
        self.shortcut = _conv_parameter(c_out, c_in, 1)

    def forward(self, x: Tensor, norm: Norm) -> Tensor:
        """`[b, c_in, h, w]` to `[b, c_out, h / 2, w / 2]`."""
        y = self.second(F.relu(self.first(F.relu(x), norm)), norm)
        return y + F.conv2d(F.avg_pool2d(x, 2), self.shortcut.to(x.dtype))


class PooledReduction(nn.Module):
    """2x2 average pooling and a 1x1 convolution: it leaves the 3x3 convolutions to the cell."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv = ConvNorm(c_in, c_out, 1)

    def forward(self, x: Tensor, norm: Norm) -> Tensor:
        """`[b, c_in, h, w]` to `[b, c_out, h / 2, w / 2]`."""
        return self.conv(F.avg_pool2d(x, 2), norm)


class Supernet(nn.Module):
    """All architectures' weights; `forward(images, arch)` runs one of them.

    Images are `[b, in_channels, h, w]`, h and w divisible by 2**(stages - 1); give them channels-last and in the
    floating-point type to compute in (float32 or bfloat16; statistics, logits and weights stay float32).
    """

    def __init__(self, skeleton: Skeleton, seed: int) -> None:
        super().__init__()
        self.skeleton = skeleton
        widths = skeleton.widths
        reduction = ResidualReduction if skeleton.residual_reduction else PooledReduction
        self.stem = ConvNorm(skeleton.in_channels, widths[0], 3)
        self.cells = nn.ModuleList(Cell(widths[stage], skeleton.affine) for stage in skeleton.stage_of_cell)
        self.reductions = nn.ModuleList(reduction(a, b) for a, b in pairwise(widths))
        self.last_scale = nn.Parameter(torch.ones(widths[-1]))
        self.last_shift = nn.Parameter(torch.zeros(widths[-1]))
        self.head_weight = nn.Parameter(torch.empty(skeleton.classes, widths[-1]))
        self.head_bias = nn.Parameter(torch.zeros(skeleton.classes))
        self.initialise(seed)

    def initialise(self, seed: int) -> None:
        """Draw all weights anew: He-normal by fan-out for convolutions, uniform for the head."""
        generator = torch.Generator().manual_seed(seed)
        for parameter in self.parameters():
            if parameter.dim() >= 4:
                fan_out = parameter.shape[-4] * parameter.shape[-1] * parameter.shape[-2]
                # In place on the tensor's own memory order, so that the layout does not change the numbers.
                values = torch.randn(parameter.shape, generator=generator) * (2 / fan_out) ** 0.5
                parameter.data.copy_(values)
        bound = self.head_weight.shape[1] ** -0.5
        self.head_weight.data.uniform_(-bound, bound, generator=generator)

    @property
    def first_cell(self) -> Cell:
        """The cell that follows the stem."""
        cell = self.cells[0]
        assert isinstance(cell, Cell)
        return cell

    def forward(self, images: Tensor, arch: Arch, norm: Norm = batch_norm) -> Output:
        """Run the path of one architecture; every BatchNorm goes through `norm`."""
        return self.after_stem(self.stem(images, norm), arch, norm)

    def after_stem(self, x: Tensor, arch: Arch, norm: Norm = batch_norm) -> Output:
        """The path from the stem's output `[b, c, h, w]` on."""
        live = live_graph(arch)
        return self.after_first_cell(self.first_cell(x, live, norm), live, norm)

    def after_first_cell(self, x: Tensor, live: Arch, norm: Norm = batch_norm) -> Output:
        """The path from the first cell's output on; `live` is an architecture without dead edges."""
        features = []
        for number, stage in enumerate(self.skeleton.stage_of_cell):
            if number and number % self.skeleton.cells == 0:
                x = self.reductions[stage - 1](x, norm)
            if number:
                x = self.cells[number](x, live, norm)
            if (number + 1) % self.skeleton.cells == 0:
                features.append(x)
        x = F.relu(norm(x, self.last_scale, self.last_shift)).mean((2, 3)).to(self.head_weight.dtype)
        return Output(tuple(features), F.linear(x, self.head_weight, self.head_bias))


def _conv_parameter(*shape: int) -> nn.Parameter:
    """An uninitialised weight `[..., c_out, c_in, size]`, the last number read as a square kernel, channels-last."""
    *leading, size = shape
    weight = torch.empty(*leading[:-1], size, size, leading[-1])
    return nn.Parameter(weight.movedim(-1, -3))


def sample_uniform(rng: np.random.Generator, n: int) -> list[Arch]:
    """Draw `n` architectures uniformly and independently."""
    return [tuple(map(int, row)) for row in rng.integers(0, 5, (n, len(EDGES)))]


def sample_strictly_fair(rng: np.random.Generator) -> list[Arch]:
    """Draw five architectures that put each operation on each edge exactly once (FairNAS, Chu et al. 2021)."""
    columns = [rng.permutation(5) for _ in EDGES]
    return [tuple(map(int, row)) for row in np.stack(columns, 1)]
