"""The weight-sharing supernet over the cell space: the forward pass of one path, and of what many paths share.

The stem and each node of the first cell are computed once for architectures that come in order of rank, as long as they
agree in its early edges (`each`); many paths at once are in `mngnas.nets.many_paths`.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from mngnas.nets.cell import Cell, CellWeights
from mngnas.nets.many_paths import forward_paths, route
from mngnas.nets.norms import Norm, batch_norm
from mngnas.nets.supernet import Output
from mngnas.spaces import Arch
from mngnas.spaces.topology import EDGES, NONE, live_graph


class CellSupernet(CellWeights):
    """The supernet over the cell space."""

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
        return forward_paths(self, images, route(archs, images.device)).logits

    def after_first_cell(self, x: Tensor, live: Arch, norm: Norm = batch_norm) -> Output:
        """The path from the first cell's output on; `live` is an architecture without dead edges."""
        return self._after_first_cell(x, lambda cell, x: cell(x, live, norm), norm)

    def mixed(self, images: Tensor, weights: Tensor, norm: Norm = batch_norm) -> Output:
        """Run all operations of every edge, times their weights `[6, 5]`; `none` gives nothing."""
        return self.through(images, lambda cell, x: cell.mixed(x, weights, norm), norm)

    def through(self, images: Tensor, run: Callable[[Cell, Tensor], Tensor], norm: Norm = batch_norm) -> Output:
        """The whole network with `run(cell, x)` in every cell's place."""
        return self._after_first_cell(run(self.first_cell, self.stem(images, norm)), run, norm)

    def per_cell(self, images: Tensor, archs: Sequence[Arch]) -> Output:
        """Run a path with an architecture for each cell, first to last."""
        lives = iter([live_graph(arch) for arch in archs])

        def run(cell: Cell, x: Tensor) -> Tensor:
            y: Tensor = cell(x, next(lives), batch_norm)
            return y

        return self._after_first_cell(run(self.first_cell, self.stem(images, batch_norm)), run, batch_norm)

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
