"""The weight-sharing supernet over the cell space: shared weights, and the forward pass of one path.

The skeleton is NAS-Bench-201's (Dong & Yang, ICLR 2020): a 3x3 stem, three stages of `cells` cells whose width
doubles and whose resolution halves from stage to stage, a reduction block between stages, and a linear head. All
cells of a path have the same architecture. Per edge of each cell there is one 1x1 and one 3x3 convolution, shared by
every architecture that puts it there.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mngnas.nets.blocks import ConvNorm, PooledReduction, ResidualReduction, conv_parameter
from mngnas.nets.layers import average_pool_3x3
from mngnas.nets.norms import Norm, batch_norm
from mngnas.nets.supernet import Output, Supernet
from mngnas.spaces import Arch
from mngnas.spaces.skeleton import Skeleton
from mngnas.spaces.topology import (
    AVG_POOL,
    CONV_1X1,
    CONV_3X3,
    EDGES,
    N_NODES,
    NONE,
    SKIP,
    TOPOLOGY,
    live_graph,
)

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


class CellSupernet(Supernet):
    """All architectures' weights over the cell space."""

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
        live = live_graph(arch)
        x = self.first_cell(self.stem(images, norm), live, norm)
        return self.after_first_cell(x, live, norm)

    def each(self, images: Tensor, archs: Sequence[Arch]) -> Iterator[Tensor]:
        """Logits of architectures without dead edges; the stem and what they share of the first cell are run once."""
        first = _FirstCell(self.first_cell, self.stem(images, batch_norm))
        for live in archs:
            yield self.after_first_cell(first.output(live), live).logits

    def together(self, images: Tensor, archs: Sequence[Arch]) -> Tensor:
        """Logits of many architectures in few large operations, `[n, b, classes]`."""
        from mngnas.nets.many_paths import forward_paths, route

        return forward_paths(self, images, route(archs, images.device)).logits

    def after_first_cell(self, x: Tensor, live: Arch, norm: Norm = batch_norm) -> Output:
        """The path from the first cell's output on; `live` is an architecture without dead edges."""
        return self._after_first_cell(x, lambda cell, x: cell(x, live, norm), norm)

    def mixed(self, images: Tensor, weights: Tensor, norm: Norm = batch_norm) -> Output:
        """Run all operations of every edge, times their weights `[6, 5]`; `none` gives nothing."""

        def run(cell: Cell, x: Tensor) -> Tensor:
            return cell.mixed(x, weights, norm)

        return self._after_first_cell(run(self.first_cell, self.stem(images, norm)), run, norm)

    def _after_first_cell(self, x: Tensor, run: Callable[[Cell, Tensor], Tensor], norm: Norm) -> Output:
        features = []
        for number, (cell, stage) in enumerate(zip(self.cells, self.skeleton.stage_of_cell, strict=True)):
            if number and number % self.skeleton.cells == 0:
                x = self.reductions[stage - 1](x, norm)
            if number:
                assert isinstance(cell, Cell)
                x = run(cell, x)
            if (number + 1) % self.skeleton.cells == 0:
                features.append(x)
        x = F.relu(norm(x, self.last_scale, self.last_shift)).mean((2, 3)).to(self.head_weight.dtype)
        return Output(tuple(features), F.linear(x, self.head_weight, self.head_bias))


class _FirstCell:
    """The first cell's nodes for architectures that come in order of rank: each is computed once while it lasts."""

    # Node 1 depends on the first operation, node 2 on the first three: edges are listed by target node.
    _DEPENDS_ON = (0, 1, 3)

    def __init__(self, cell: Cell, x: Tensor) -> None:
        self.cell, self.x = cell, x
        self.kept: dict[str | int, tuple[Arch, dict[int | None, Tensor | None]]] = {}

    def output(self, live: Arch) -> Tensor:
        """The cell's output for an architecture without dead edges."""
        found = self._sum(live, (3, 4, 5))
        return torch.zeros_like(self.x) if found is None else found

    def _node(self, node: int, live: Arch) -> Tensor | None:
        if node == 0:
            return self.x
        edges = (0,) if node == 1 else (1, 2)
        return self._remember(f"node {node}", live[: self._DEPENDS_ON[node]], None, lambda: self._sum(live, edges))

    def _sum(self, live: Arch, edges: tuple[int, ...]) -> Tensor | None:
        total = None
        for edge in edges:
            value = self._edge(edge, live)
            if value is not None:
                total = value if total is None else total + value
        return total

    def _edge(self, edge: int, live: Arch) -> Tensor | None:
        op, source = live[edge], EDGES[edge][0]
        x = self._node(source, live)
        if op == NONE or x is None:
            return None
        prefix = live[: self._DEPENDS_ON[source]]
        return self._remember(edge, prefix, op, lambda: self.cell.operate(edge, op, x, None, batch_norm))

    def _remember(
        self, what: str | int, prefix: Arch, key: int | None, compute: Callable[[], Tensor | None]
    ) -> Tensor | None:
        """What was computed for this prefix, or compute it and forget what other prefixes gave."""
        known, values = self.kept.get(what, (None, dict[int | None, Tensor | None]()))
        if known != prefix:
            values = {}
            self.kept[what] = (prefix, values)
        if key not in values:
            values[key] = compute()
        return values[key]
