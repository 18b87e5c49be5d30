"""The shared weights over the cell space: the operations of a cell, and the skeleton around the cells.

The skeleton is NAS-Bench-201's (Dong & Yang, ICLR 2020): a 3x3 stem, three stages of `cells` cells whose width doubles
and whose resolution halves from stage to stage, a reduction block between stages, and a linear head. All cells of a
path have the same architecture. Per edge of each cell there is one 1x1 and one 3x3 convolution, shared by every
architecture that puts it there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mngnas.nets.blocks import ConvNorm, PooledReduction, ResidualReduction, conv_parameter, initialise
from mngnas.nets.layers import average_pool_3x3
from mngnas.nets.norms import Norm
from mngnas.nets.supernet import Supernet
from mngnas.spaces import Arch
from mngnas.spaces.skeleton import Skeleton
from mngnas.spaces.topology import AVG_POOL, CONV_1X1, CONV_3X3, EDGES, N_NODES, NONE, OPERATIONS, SKIP, TOPOLOGY


class EdgeConvs(nn.Module):
    """One convolution size of a cell: the six edges' weights in one tensor, so that the optimiser sees few tensors."""

    def __init__(self, c: int, size: int, affine: bool, rows: int = len(EDGES)) -> None:
        """`rows` other than the edges: weights that are no edge's own."""
        super().__init__()
        self.weight = conv_parameter(rows, c, c, size)
        self.scale = nn.Parameter(torch.ones(rows, c)) if affine else None
        self.shift = nn.Parameter(torch.zeros(rows, c)) if affine else None
        self.padding = size // 2

    def forward(self, x: Tensor, edge: int, norm: Norm, factor: Tensor | None = None) -> Tensor:
        """Convolve with one edge's weights and normalise; `factor` `[]` multiplies the result."""
        y = F.conv2d(x, self.weight[edge].to(x.dtype), padding=self.padding)
        scale = None if self.scale is None else self.scale[edge]
        shift = None if self.shift is None else self.shift[edge]
        if factor is not None:
            # Not `expand`: PyTorch's backward pass of BatchNorm misreads a scale whose numbers share one place.
            scale = factor.repeat(y.shape[1]) if scale is None else factor * scale
            shift = None if shift is None else factor * shift
        return norm(y, scale, shift)


class Cell(nn.Module):
    """The operations of all architectures in one cell of `c` channels."""

    def __init__(self, c: int, affine: bool, rows: int = len(EDGES)) -> None:
        super().__init__()
        self.conv1x1, self.conv3x3 = EdgeConvs(c, 1, affine, rows), EdgeConvs(c, 3, affine, rows)

    def operate(self, edge: int, op: int, x: Tensor, relu_x: Tensor | None, norm: Norm) -> Tensor:
        """One operation other than `none` on one edge; `relu_x` saves the ReLU where it is known already."""
        if op == SKIP:
            return x
        if op == AVG_POOL:
            return average_pool_3x3(x)
        convs = self.conv1x1 if op == CONV_1X1 else self.conv3x3
        y: Tensor = convs(F.relu(x) if relu_x is None else relu_x, edge, norm)
        return y

    def forward(self, x: Tensor, live: Arch, norm: Norm) -> Tensor:
        """The cell's output `[b, c, h, w]` for an architecture without dead edges (`live_graph`)."""
        nodes: list[Tensor | None] = [x, *[None] * (N_NODES - 1)]
        relus: list[Tensor | None] = [None] * N_NODES
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
        return nodes[-1] if nodes[-1] is not None else torch.zeros_like(x)

    def mixed(self, x: Tensor, weights: Tensor, norm: Norm) -> Tensor:
        """The cell's output with every operation on every edge, times its weight `[n_edge, n_operation]`."""
        nodes: list[Tensor | None] = [x, *[None] * (N_NODES - 1)]
        inputs: dict[int, MixtureInput] = {}
        for edge, (source, target) in enumerate(EDGES):
            if source not in inputs:
                inputs[source] = MixtureInput.of(nodes[source])
            mixture, so_far = self.mix(edge, inputs[source], weights[edge], norm), nodes[target]
            nodes[target] = mixture if so_far is None else so_far.add_(mixture)
        found = nodes[-1]
        assert found is not None
        return found

    def mix(self, edge: int, x: "MixtureInput", weights: Tensor, norm: Norm) -> Tensor:
        """All operations of one edge, times their weights `[n_operation]`, in a tensor of its own."""
        y: Tensor = self.conv3x3(x.relu, edge, norm, weights[CONV_3X3])
        y.add_(self.conv1x1(x.relu, edge, norm, weights[CONV_1X1]))
        return y.add_(weights[SKIP] * x.value).add_(weights[AVG_POOL] * x.pooled)


@dataclass(frozen=True)
class MixtureInput:
    """A node, and what all edges from it compute."""

    value: Tensor
    relu: Tensor
    pooled: Tensor

    @classmethod
    def of(cls, value: Tensor | None) -> "MixtureInput":
        """Of a node that is complete."""
        assert value is not None
        return cls(value, F.relu(value), average_pool_3x3(value))


class CellWeights(Supernet):
    """All architectures' weights over the cell space, and what they are made of."""

    space = TOPOLOGY

    def __init__(self, skeleton: Skeleton, seed: int, cell: Callable[[int, bool], Cell] = Cell) -> None:
        """`cell` makes a cell of so many channels, with or without learnt scale and shift."""
        super().__init__()
        self.skeleton = skeleton
        widths = skeleton.widths
        reduction = ResidualReduction if skeleton.residual_reduction else PooledReduction
        self.stem = ConvNorm(skeleton.in_channels, widths[0], 3)
        self.cells = nn.ModuleList(cell(widths[stage], skeleton.affine) for stage in skeleton.stage_of_cell)
        self.reductions = nn.ModuleList(reduction(a, b) for a, b in pairwise(widths))
        self.last_scale = nn.Parameter(torch.ones(widths[-1]))
        self.last_shift = nn.Parameter(torch.zeros(widths[-1]))
        self.head_weight = nn.Parameter(torch.empty(skeleton.classes, widths[-1]))
        self.head_bias = nn.Parameter(torch.zeros(skeleton.classes))
        initialise(self, seed)

    def gradient_norms(self) -> Tensor:
        """Of the convolutions' weights, summed over cells, `[6, 5]`; other operations have none."""
        norms = torch.zeros(len(EDGES), len(OPERATIONS), device=self.head_weight.device)
        for name, parameter in self.cells.named_parameters():
            if parameter.grad is not None:
                op = CONV_1X1 if ".conv1x1." in name else CONV_3X3
                norms[:, op] += parameter.grad.flatten(1).norm(dim=1)
        return norms

    @property
    def first_cell(self) -> Cell:
        """The cell that follows the stem."""
        cell = self.cells[0]
        assert isinstance(cell, Cell)
        return cell
