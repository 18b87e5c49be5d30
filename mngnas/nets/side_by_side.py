"""Many stand-alone networks at once, each with weights of its own.

Small networks on small pictures cost more to launch than to compute. Here `m` networks stand side by side in the
channel dimension of one channels-last tensor, `[b, m * c, h, w]`: a convolution of all networks that share an
operation on an edge is one grouped convolution, and BatchNorm, which is per channel, is per network by itself.
Nothing is shared.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mngnas.nets.layers import average_pool_3x3
from mngnas.seeds import stand_alone_weights
from mngnas.spaces import Arch
from mngnas.spaces.skeleton import Skeleton
from mngnas.spaces.topology import (
    AVG_POOL,
    CONV_1X1,
    CONV_3X3,
    EDGES,
    N_NODES,
    SKIP,
    TOPOLOGY,
    live_graph,
)


class NetworkBatch(nn.Module):
    """`m` stand-alone networks with learnt BatchNorm scale and shift; only skeletons with pooled reductions.

    A network's initial weights depend on `seed` and its architecture alone, not on the others in the batch.
    """

    def __init__(
        self, archs: Sequence[Arch], skeleton: Skeleton, seed: int, device: torch.device | str = "cpu"
    ) -> None:
        super().__init__()
        assert not skeleton.residual_reduction, "stand-alone batches are built for pooled reductions"
        self.skeleton, self.m = skeleton, len(archs)
        lives = [live_graph(arch) for arch in archs]
        self.groups = [  # source node -> (edge, operation) -> which networks carry it
            {
                (edge, op): torch.tensor(who, device=device)
                for edge in range(len(EDGES))
                for op in (SKIP, CONV_1X1, CONV_3X3, AVG_POOL)
                if EDGES[edge][0] == source and (who := [i for i, live in enumerate(lives) if live[edge] == op])
            }
            for source in range(N_NODES - 1)
        ]
        generators = [
            torch.Generator().manual_seed(stand_alone_weights(seed, TOPOLOGY.to_index(arch))) for arch in archs
        ]
        widths = skeleton.widths
        self.stem = _GroupedConvNorm(skeleton.in_channels, widths[0], 3, generators, shared_input=True)
        self.convs = nn.ModuleDict()
        for number, stage in enumerate(skeleton.stage_of_cell):
            for (edge, op), carriers in (item for groups in self.groups for item in groups.items()):
                if op in (CONV_1X1, CONV_3X3):
                    mine, size = [generators[i] for i in carriers.tolist()], 1 if op == CONV_1X1 else 3
                    self.convs[_name(number, edge, op)] = _GroupedConvNorm(widths[stage], widths[stage], size, mine)
        self.reductions = nn.ModuleList(_GroupedConvNorm(a, b, 1, generators) for a, b in pairwise(widths))
        self.last = _Norm(self.m * widths[-1])
        bound = widths[-1] ** -0.5
        heads = [torch.empty(skeleton.classes, widths[-1]).uniform_(-bound, bound, generator=g) for g in generators]
        self.head_weight = nn.Parameter(torch.stack(heads))
        self.head_bias = nn.Parameter(torch.zeros(self.m, skeleton.classes))
        self.to(device)  # drawn on the host, so devices agree

    def forward(self, images: Tensor) -> Tensor:
        """Logits `[b, m, classes]` of `[b, in_channels, h, w]` channels-last images."""
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
        arriving: list[list[tuple[Tensor, Tensor]]] = [[] for _ in range(N_NODES)]  # node -> (values, whose they are)
        for source, groups in enumerate(self.groups):
            node = _placed(x, self.m, *_flat(arriving[source])) if source else x
            taken = _taken(node, self.m, *groups.values()) if groups else ()
            for ((edge, op), who), value in zip(groups.items(), taken, strict=True):
                y = self._operate(number, edge, op, value)
                arriving[EDGES[edge][1]].append((y, who))
        return _placed(x, self.m, *_flat(arriving[-1]))

    def _operate(self, number: int, edge: int, op: int, x: Tensor) -> Tensor:
        if op == SKIP:
            return x
        if op == AVG_POOL:
            return average_pool_3x3(x)
        y: Tensor = self.convs[_name(number, edge, op)](F.relu(x))
        return y


def _name(cell: int, edge: int, op: int) -> str:
    return f"cell{cell}_edge{edge}_op{op}"


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

    def __init__(
        self, c_in: int, c_out: int, size: int, generators: Sequence[torch.Generator], shared_input: bool = False
    ) -> None:
        super().__init__()
        std = math.sqrt(2 / (c_out * size * size))
        weights = [torch.randn(c_out, c_in, size, size, generator=g) * std for g in generators]
        self.weight = nn.Parameter(torch.cat(weights).contiguous(memory_format=torch.channels_last))
        self.groups, self.padding = 1 if shared_input else len(weights), size // 2
        self.norm = _Norm(len(weights) * c_out)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(F.conv2d(x, self.weight, padding=self.padding, groups=self.groups))
        return y


class _Take(torch.autograd.Function):
    """`apply(x, m, *who)`: the channels of the networks in each `who`; quicker than `cat` of slices, both ways."""

    @staticmethod
    def forward(ctx, x: Tensor, m: int, *who: Tensor):  # type: ignore[no-untyped-def]
        ctx.shape, ctx.m, ctx.who = x.shape, m, who
        return tuple(_from_blocks(_blocks(x, m).index_select(1, w), x.shape) for w in who)

    @staticmethod
    def backward(ctx, *grads: Tensor):  # type: ignore[no-untyped-def]
        b, channels, h, w = ctx.shape
        total = grads[0].new_zeros(b * h * w, ctx.m, channels // ctx.m)
        for grad, who in zip(grads, ctx.who, strict=True):
            total.index_add_(1, who, _blocks(grad, len(who)))
        return _from_blocks(total, ctx.shape), None, *(None for _ in ctx.who)


class _Place(torch.autograd.Function):
    """`apply(like, m, values, who, values, who, ...)`: the sum for each network, zero where nothing arrives."""

    @staticmethod
    def forward(ctx, like: Tensor, m: int, *values_and_who: Tensor):  # type: ignore[no-untyped-def]
        ctx.m, ctx.who = m, values_and_who[1::2]
        total = torch.zeros_like(_blocks(like, m))
        for value, who in zip(values_and_who[::2], ctx.who, strict=True):
            total.index_add_(1, who, _blocks(value, len(who)))
        return _from_blocks(total, like.shape)

    @staticmethod
    def backward(ctx, grad: Tensor):  # type: ignore[no-untyped-def]
        blocks = _blocks(grad, ctx.m)
        grads = [g for who in ctx.who for g in (_from_blocks(blocks.index_select(1, who), grad.shape), None)]
        return None, None, *grads


def _taken(x: Tensor, m: int, *who: Tensor) -> tuple[Tensor, ...]:
    found: tuple[Tensor, ...] = _Take.apply(x, m, *who)  # type: ignore[no-untyped-call]
    return found


def _placed(like: Tensor, m: int, *values_and_who: Tensor) -> Tensor:
    found: Tensor = _Place.apply(like, m, *values_and_who)  # type: ignore[no-untyped-call]
    return found


def _blocks(x: Tensor, m: int) -> Tensor:
    """`[b, m * c, h, w]` as `[b * h * w, m, c]`; a view of a channels-last tensor."""
    return x.permute(0, 2, 3, 1).reshape(-1, m, x.shape[1] // m)


def _from_blocks(blocks: Tensor, shape: Sequence[int]) -> Tensor:
    """`[b * h * w, m, c]` as channels-last `[b, m * c, h, w]`, with b, h and w from `shape`."""
    return blocks.view(shape[0], shape[2], shape[3], -1).permute(0, 3, 1, 2)


def _flat(pairs: list[tuple[Tensor, Tensor]]) -> list[Tensor]:
    return [tensor for pair in pairs for tensor in pair]
