"""The supernet over the cell space with partial channel connections (Xu et al., PC-DARTS, ICLR 2020, section 3.2).

Every operation acts on the first 1/K of the channels and hands the rest on as it is; then the channels of K groups are
shuffled. So an operation has 1/K of the channels, a convolution 1/K**2 of the weights. In a mixture `none` hands the
rest on, too; the path of one architecture has no such edge, as in the benchmark's network, so that dead edges are dead.
"""

from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from mngnas.errors import UserError
from mngnas.nets.cell import Cell, MixtureInput
from mngnas.nets.cell_supernet import CellSupernet
from mngnas.nets.norms import Norm
from mngnas.nets.supernet import Supernet
from mngnas.spaces import Arch
from mngnas.spaces.skeleton import Skeleton
from mngnas.spaces.topology import EDGES, N_NODES, NONE

INCOMING = tuple(tuple(e for e, (_, to) in enumerate(EDGES) if to == node) for node in range(1, N_NODES))  # edges


class PartialCell(Cell):
    """A cell of `c` channels whose operations act on c / `parts`."""

    shares: Tensor  # of each edge in its target node [6], for single paths

    def __init__(self, c: int, affine: bool, parts: int) -> None:
        super().__init__(c // parts, affine)
        self.parts = parts
        self.register_buffer("shares", torch.tensor([1 / len(edges) for edges in INCOMING for _ in edges]))

    def forward(self, x: Tensor, live: Arch, norm: Norm) -> Tensor:
        """The cell's output `[b, c, h, w]` for an architecture without dead edges, each edge times its share."""
        nodes: list[Tensor | None] = [x]
        for edges in INCOMING:
            first, rest = [], []
            for edge in edges:
                value, op = nodes[EDGES[edge][0]], live[edge]
                if op != NONE and value is not None:
                    active, idle = self._split(value)
                    first.append(self.shares[edge] * self.operate(edge, op, active, None, norm))
                    rest.append(self.shares[edge] * idle)
            nodes.append(self._join(torch.stack(first).sum(0), torch.stack(rest).sum(0)) if first else None)
        return torch.zeros_like(x) if nodes[-1] is None else nodes[-1]

    def mixed(self, x: Tensor, weights: Tensor, norm: Norm) -> Tensor:
        """All operations on every edge, times their weights `[6, 5]`; what an edge hands on, times their sum."""
        nodes, inputs, idle = [x], list[MixtureInput](), list[Tensor]()
        for edges in INCOMING:
            active, rest = self._split(nodes[-1])
            inputs.append(MixtureInput.of(active))
            idle.append(rest)
            first = [self.mix(edge, inputs[EDGES[edge][0]], weights[edge], norm) for edge in edges]
            handed_on = [weights[edge].sum() * idle[EDGES[edge][0]] for edge in edges]
            nodes.append(self._join(torch.stack(first).sum(0), torch.stack(handed_on).sum(0)))
        return nodes[-1]

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The channels that operations act on, and the others."""
        n = x.shape[1] // self.parts
        return x[:, :n].contiguous(memory_format=torch.channels_last), x[:, n:]

    def _join(self, active: Tensor, idle: Tensor) -> Tensor:
        """All channels, shuffled; a sum's shuffle is the sum of the edges' shuffles."""
        return shuffled(torch.cat([active, idle], 1), self.parts)


class PartialSupernet(CellSupernet):
    """The supernet of PC-DARTS."""

    def __init__(self, skeleton: Skeleton, seed: int, parts: int) -> None:
        """Raises `UserError` where `parts` (K) does not divide the number of channels."""
        if skeleton.channels % parts:
            raise UserError(f"pc-darts.parts = {parts} does not divide supernet.channels = {skeleton.channels}")
        super().__init__(skeleton, seed, partial(PartialCell, parts=parts))

    def set_shares(self, shares: Tensor) -> None:
        """The share of each edge `[6]` in its target node, for single paths."""
        for cell in self.cells:
            assert isinstance(cell, PartialCell)
            cell.shares.copy_(shares.detach())

    def each(self, images: Tensor, archs: Sequence[Arch]) -> Iterator[Tensor]:
        """One by one: a node is not a sum of what operations give."""
        return Supernet.each(self, images, archs)

    def together(self, images: Tensor, archs: Sequence[Arch]) -> Tensor:
        """The same."""
        return Supernet.together(self, images, archs)


def shuffled(x: Tensor, groups: int) -> Tensor:
    """Channel shuffle (Zhang et al., ShuffleNet, CVPR 2018): the first of each group, then the second of each."""
    y: Tensor = x.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2)
    return y.contiguous(memory_format=torch.channels_last)
