"""One architecture of NATS-Bench's size space as a network of ordinary modules, by the benchmark's recipe.

The operations and reductions are those of `mngnas.nets.cell_network`; see `mngnas.spaces.size` for the whole.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mngnas.nets.cell_network import PooledBlock, ReluConvNorm, ResidualBlock
from mngnas.nets.network import Network
from mngnas.nets.supernet import Output
from mngnas.nets.walk import walk
from mngnas.spaces import Arch
from mngnas.spaces.size import LAYERS, SIZE, widths
from mngnas.spaces.skeleton import Skeleton
from mngnas.spaces.topology import CONV_3X3, EDGES, TOPOLOGY


class _Cell(nn.Module):
    """The fixed cell from one width to another."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.edges = nn.ModuleList(
            ReluConvNorm(c_out if source else c_in, c_out, 3) if op == CONV_3X3 else _skip(c_in, c_out)
            for op, (source, _) in zip(TOPOLOGY.parse(SIZE.cell), EDGES, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        out = walk(x, lambda edge, value: self.edges[edge](value))
        assert out is not None, "no edge of the fixed cell is without an operation"
        return out


def _skip(c_in: int, c_out: int) -> nn.Module:
    if c_in == c_out:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(c_in, c_out, 1, bias=False), nn.BatchNorm2d(c_out, track_running_stats=False))


class WidthNetwork(Network):
    """Stem, three cells with reductions between them, and a linear head."""

    def __init__(self, arch: Arch, skeleton: Skeleton, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):  # modules draw from the global generator; nobody else shall notice
            torch.manual_seed(seed)
            c = [int(width) for width in widths([arch], skeleton)[0]]
            stem = nn.Conv2d(skeleton.in_channels, c[0], 3, padding=1, bias=False)
            self.stem = nn.Sequential(stem, nn.BatchNorm2d(c[0], track_running_stats=False))
            reduction = ResidualBlock if skeleton.residual_reduction else PooledBlock
            self.body = nn.ModuleList(
                _Cell(c[i], c[o]) if kind == "cell" else reduction(c[i], c[o]) for kind, i, o in LAYERS
            )
            self.last = nn.Sequential(nn.BatchNorm2d(c[-1], track_running_stats=False), nn.ReLU())
            self.head = nn.Linear(c[-1], skeleton.classes)

    def blocks(self) -> Sequence[nn.Module]:
        """Stem, cells and reductions."""
        return [self.stem, *self.body]

    def output(self, images: Tensor) -> Output:
        """Stage outputs and logits."""
        x, features = self.stem(images), []
        for layer in self.body:
            x = layer(x)
            if isinstance(layer, _Cell):
                features.append(x)
        return Output(tuple(features), self.head(self.last(x).mean((2, 3))))
