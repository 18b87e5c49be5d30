"""The shared weights over the cell space: the operations of a cell, and the skeleton around the cells.

The skeleton is NAS-Bench-201's (Dong & Yang, ICLR 2020): a 3x3 stem, three stages of `cells` cells whose width doubles
and whose resolution halves from stage to stage, a reduction block between stages, and a linear head. All cells of a
path have the same architecture. Per edge of each cell there is one 1x1 and one 3x3 convolution, shared by every
architecture that puts it there.
"""

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
from mngnas.spaces.topology import AVG_POOL, CONV_1X1, CONV_3X3, EDGES, N_NODES, NONE, SKIP, TOPOLOGY

_COMPUTING = (SKIP, CONV_1X1, CONV_3X3, AVG_POOL)  # `none` gives nothing


class EdgeConvs(nn.Module):
    """One convolution size of a cell: the six edges' weights in one tensor, so that the optimiser sees few tensors."""

    def __init__(self, c: int, size: int, affine: bool) -> None:
        super().__init__()
        self.weight = conv_parameter(len(EDGES), c, c, size)
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
        for edge, (source, target) in enumerate(EDGES):
            value = nodes[source]
            assert value is not None
            relu = F.relu(value)
            parts = [weights[edge, op] * self.operate(edge, op, value, relu, norm) for op in _COMPUTING]
            mixture = torch.stack(parts).sum(0)
            so_far = nodes[target]
            nodes[target] = mixture if so_far is None else so_far + mixture
        found = nodes[-1]
        assert found is not None
        return found


class CellWeights(Supernet):
    """All architectures' weights over the cell space, and what they are made of."""

    space = TOPOLOGY

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
        initialise(self, seed)

    @property
    def first_cell(self) -> Cell:
        """The cell that follows the stem."""
        cell = self.cells[0]
        assert isinstance(cell, Cell)
        return cell
