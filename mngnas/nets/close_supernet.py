"""CLOSE's supernet: blocks of operation weights that belong to no edge, and a gate that gives every edge its block.

Zhou et al., "CLOSE: Curriculum Learning On the Sharing Extent Towards Better One-shot NAS", ECCV 2022, section 4. A
cell has a few blocks ("GLOW"), each with one 1x1 and one 3x3 convolution. The gate ("GATE") looks at the whole
architecture: a graph network in the manner of GATES (Ning et al., ECCV 2020), in which operations gate what flows along
the edges, gives each node an embedding, and an MLP the logits of an edge's blocks from those of its two nodes. With one
block all edges share the same weights. The sizes are those of the public code (walkerning/aw_nas).
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mngnas.nets.blocks import initialise
from mngnas.nets.cell import Cell
from mngnas.nets.cell_supernet import CellSupernet
from mngnas.nets.norms import Norm, batch_norm
from mngnas.nets.supernet import Output, Supernet
from mngnas.nets.walk import walk
from mngnas.spaces import Arch
from mngnas.spaces.skeleton import Skeleton
from mngnas.spaces.topology import CONV_1X1, CONV_3X3, EDGES, N_NODES, NONE, OPERATIONS, live_graph

_EMBEDDING, _HIDDEN = 48, 96
_GRAPH_LAYERS, _GRAPH_WIDTH = 5, 128
_MLP_LAYERS, _MLP_WIDTH = 3, 200
_TEMPERATURE = 5.0  # of the gate's softmax in training

_Operate = Callable[[Cell, int, int, Tensor], Tensor]  # of a cell, an edge, its operation and its input


class Gate(nn.Module):
    """Logits of each edge's blocks, a function of the architecture."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.operations = nn.Parameter(torch.randn(len(OPERATIONS), _EMBEDDING))
        self.input_node = nn.Parameter(torch.randn(_EMBEDDING))
        self.other_nodes = nn.Parameter(torch.randn(_EMBEDDING))
        self.hidden = nn.Linear(_EMBEDDING, _HIDDEN)
        widths = [_HIDDEN] + [_GRAPH_WIDTH] * _GRAPH_LAYERS
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.flows = nn.ModuleList(nn.Linear(_EMBEDDING, _GRAPH_WIDTH) for _ in self.layers)
        widths = [2 * _GRAPH_WIDTH] + [_MLP_WIDTH] * _MLP_LAYERS
        self.mlp = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.last = nn.Linear(_MLP_WIDTH, blocks)

    def forward(self, live: Arch) -> Tensor:
        """`[n_edge, n_block]` for an architecture without dead edges."""
        edges = [(source, target, op) for (source, target), op in zip(EDGES, live, strict=True) if op != NONE]
        x = self.hidden(torch.stack([self.input_node, *[self.other_nodes] * (N_NODES - 1)]))  # [n_node, width]
        for number, (layer, flow) in enumerate(zip(self.layers, self.flows, strict=True)):
            x, gates = layer(x), flow(self.operations).sigmoid()
            into = list(x)
            for source, target, op in edges:
                into[target] = into[target] + gates[op] * x[source]
            x = torch.stack(into)
            x = x if number == _GRAPH_LAYERS - 1 else F.relu(x)
        x = torch.stack([torch.cat([x[source], x[target]]) for source, target in EDGES])
        for layer in self.mlp:
            x = F.relu(layer(x))
        logits: Tensor = self.last(x)
        return logits


class CloseSupernet(CellSupernet):
    """The supernet over the cell space with blocks instead of weights for every edge."""

    active: Tensor  # how many blocks are in use, int64 scalar

    def __init__(self, skeleton: Skeleton, seed: int, blocks: int) -> None:
        super().__init__(skeleton, seed)
        widths = [skeleton.widths[stage] for stage in skeleton.stage_of_cell]
        self.cells = nn.ModuleList(Cell(width, skeleton.affine, blocks) for width in widths)
        initialise(self, seed)
        with torch.random.fork_rng(devices=[]):  # modules draw from the global generator; nobody else shall notice
            torch.manual_seed(seed)
            self.gate = Gate(blocks)
        self.register_buffer("active", torch.ones((), dtype=torch.int64))

    def forward(self, images: Tensor, arch: Arch, norm: Norm = batch_norm) -> Output:
        """Run the path of one architecture, each edge with its likeliest block; the gate gets no gradient."""
        live = live_graph(arch)
        with torch.no_grad():
            chosen = self.gate(live)[:, : self.active].argmax(1).tolist()
        return self._run(images, live, lambda cell, edge, op, x: cell.operate(chosen[edge], op, x, None, norm), norm)

    def gated(self, images: Tensor, arch: Arch, noise: Tensor) -> Output:
        """The same with blocks drawn by Gumbel noise `[n_edge, active]`, straight through.

        The forward value is that of the drawn blocks, the gradient by a block's probability that of what the block
        gives; so the others are run forward alone.
        """
        live = live_graph(arch)
        soft = ((self.gate(live)[:, : self.active] + noise) / _TEMPERATURE).softmax(1)
        drawn = soft.argmax(1).tolist()
        gates = F.one_hot(soft.argmax(1), soft.shape[1]) + (soft - soft.detach())

        def operate(cell: Cell, edge: int, op: int, x: Tensor) -> Tensor:
            if op not in (CONV_1X1, CONV_3X3):
                return cell.operate(0, op, x, None, batch_norm)
            relu_x = F.relu(x)
            y: Tensor = gates[edge, drawn[edge]] * cell.operate(drawn[edge], op, x, relu_x, batch_norm)
            for block in range(soft.shape[1]):
                if block != drawn[edge]:
                    with torch.no_grad():
                        other = cell.operate(block, op, x, relu_x, batch_norm)
                    y = y + gates[edge, block] * other
            return y

        return self._run(images, live, operate, batch_norm)

    def _run(self, images: Tensor, live: Arch, operate: _Operate, norm: Norm) -> Output:
        def run(cell: Cell, x: Tensor) -> Tensor:
            def through(edge: int, value: Tensor | None) -> Tensor | None:
                op = live[edge]
                return None if op == NONE or value is None else operate(cell, edge, op, value)

            out = walk(x, through)
            return torch.zeros_like(x) if out is None else out

        return self._after_first_cell(run(self.first_cell, self.stem(images, norm)), run, norm)

    @torch.no_grad()
    def add_block(self) -> int:
        """Take one more block into use, a copy of the last one, and its logits with it: no output changes.

        Returns the new block's row in every one of `block_parameters`.
        """
        new = int(self.active)
        for parameter in self.block_parameters():
            parameter[new] = parameter[new - 1]
        self.active += 1
        return new

    def block_parameters(self) -> list[nn.Parameter]:
        """Those with a row for each block."""
        return [*self.cells.parameters(), *self.gate.last.parameters()]

    def each(self, images: Tensor, archs: Sequence[Arch]) -> Iterator[Tensor]:
        """One after another: architectures with the same operations may have other blocks."""
        return Supernet.each(self, images, archs)

    def together(self, images: Tensor, archs: Sequence[Arch]) -> Tensor:
        """The same, stacked."""
        return Supernet.together(self, images, archs)

    def mixed(self, images: Tensor, weights: Tensor, norm: Norm = batch_norm) -> Output:
        """There is no mixture: the gate is of single architectures."""
        raise NotImplementedError("the gate gives blocks to architectures, not to mixtures")
