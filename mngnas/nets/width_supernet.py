"""The width-sharing supernet over NATS-Bench's size space: narrow layers are the first channels of the widest.

Slices of one weight serve all widths, as in slimmable networks (Yu et al., ICLR 2019) and once-for-all (Cai et al.,
ICLR 2020). The network around them is the benchmark's (`mngnas.spaces.size`). BatchNorm takes the statistics of the
batch and of the width at hand; where it has scale and shift, these are sliced as well.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mngnas.nets.blocks import conv_parameter, initialise
from mngnas.nets.norms import Norm, batch_norm
from mngnas.nets.supernet import Output, Supernet
from mngnas.spaces import Arch
from mngnas.spaces.size import LAYERS, SIZE, widths
from mngnas.spaces.skeleton import Skeleton
from mngnas.spaces.topology import CONV_3X3, EDGES, N_NODES, TOPOLOGY

_EDGES_OF_CELL = TOPOLOGY.parse(SIZE.cell)


class SlicedConvNorm(nn.Module):
    """A convolution and a BatchNorm of which the first channels are used."""

    def __init__(self, widest_in: int, widest_out: int, size: int, stride: int = 1, affine: bool = True) -> None:
        super().__init__()
        self.weight = conv_parameter(widest_out, widest_in, size)
        self.scale = nn.Parameter(torch.ones(widest_out)) if affine else None
        self.shift = nn.Parameter(torch.zeros(widest_out)) if affine else None
        self.stride, self.padding = stride, size // 2

    def forward(self, x: Tensor, c_out: int, norm: Norm) -> Tensor:
        """Convolve `[b, c_in, h, w]` to `c_out` channels and normalise."""
        weight = self.weight[:c_out, : x.shape[1]].to(x.dtype)
        y = F.conv2d(x, weight, stride=self.stride, padding=self.padding)
        if self.scale is None or self.shift is None:
            return norm(y, None, None)
        return norm(y, self.scale[:c_out], self.shift[:c_out])


class WidthCell(nn.Module):
    """The benchmark's fixed cell."""

    def __init__(self, widest: int, affine: bool) -> None:
        super().__init__()
        convs = [edge for edge, op in enumerate(_EDGES_OF_CELL) if op == CONV_3X3]
        self.convs = nn.ModuleDict({str(edge): SlicedConvNorm(widest, widest, 3, affine=affine) for edge in convs})
        self.skip = SlicedConvNorm(widest, widest, 1, affine=affine)  # where input and output differ in width

    def forward(self, x: Tensor, c_out: int, norm: Norm) -> Tensor:
        """`[b, c_in, h, w]` to `[b, c_out, h, w]`."""
        relus, total = list[Tensor](), x
        for target in range(1, N_NODES):
            relus.append(F.relu(total))
            parts = [
                self._operate(edge, relus[source], x, c_out, norm)
                for edge, (source, to) in enumerate(EDGES)
                if to == target
            ]
            total = sum(parts[1:], parts[0])
        return total

    def _operate(self, edge: int, relu: Tensor, x: Tensor, c_out: int, norm: Norm) -> Tensor:
        """A convolution of its source's ReLU, or the skip from the cell's input."""
        if str(edge) in self.convs:
            y: Tensor = self.convs[str(edge)](relu, c_out, norm)
            return y
        return x if x.shape[1] == c_out else self.skip(x, c_out, norm)


class WidthReduction(nn.Module):
    """The benchmark's reduction, or 2x2 average pooling and a 1x1 convolution."""

    def __init__(self, widest: int, residual: bool) -> None:
        super().__init__()
        self.first = SlicedConvNorm(widest, widest, 3 if residual else 1, 2 if residual else 1)
        self.second = SlicedConvNorm(widest, widest, 3) if residual else None
        self.shortcut = conv_parameter(widest, widest, 1) if residual else None

    def forward(self, x: Tensor, c_out: int, norm: Norm) -> Tensor:
        """`[b, c_in, h, w]` to `[b, c_out, h / 2, w / 2]`."""
        pooled = F.avg_pool2d(x, 2)
        if self.second is None or self.shortcut is None:
            found: Tensor = self.first(pooled, c_out, norm)
            return found
        y: Tensor = self.second(F.relu(self.first(F.relu(x), c_out, norm)), c_out, norm)
        return y + F.conv2d(pooled, self.shortcut[:c_out, : x.shape[1]].to(x.dtype))


class WidthSupernet(Supernet):
    """All widths' weights."""

    space, features_alike = SIZE, False

    def __init__(self, skeleton: Skeleton, seed: int) -> None:
        super().__init__()
        self.skeleton, widest = skeleton, skeleton.widths[-1]
        self.stem = SlicedConvNorm(skeleton.in_channels, widest, 3)
        self.layers = nn.ModuleList(
            WidthCell(widest, skeleton.affine)
            if kind == "cell"
            else WidthReduction(widest, skeleton.residual_reduction)
            for kind, _, _ in LAYERS
        )
        self.last_scale = nn.Parameter(torch.ones(widest))
        self.last_shift = nn.Parameter(torch.zeros(widest))
        self.head_weight = nn.Parameter(torch.empty(skeleton.classes, widest))
        self.head_bias = nn.Parameter(torch.zeros(skeleton.classes))
        initialise(self, seed)

    def forward(self, images: Tensor, arch: Arch, norm: Norm = batch_norm) -> Output:
        """Run the network of these widths."""
        c = self._widths(arch)
        x, features = self.stem(images, c[0], norm), []
        for layer, (kind, _, to) in zip(self.layers, LAYERS, strict=True):
            x = layer(x, c[to], norm)
            if kind == "cell":
                features.append(x)
        return Output(tuple(features), self._head(x, norm))

    def mixed(self, images: Tensor, weights: Tensor, norm: Norm = batch_norm) -> Output:
        """No method that mixes operations runs here."""
        raise NotImplementedError("widths that share channels are no operations to be mixed")

    def each(self, images: Tensor, archs: Sequence[Arch]) -> Iterator[Tensor]:
        """Logits of architectures in order of rank; layers are run anew from the first width that differs."""
        kept: list[_Layer] = []
        for arch in archs:
            c = self._widths(arch)
            depth = next((n for n, one in enumerate(kept) if one.widths != c[: len(one.widths)]), len(kept))
            del kept[depth:]
            if not kept:
                kept.append(_Layer(c[:1], self.stem(images, c[0], batch_norm)))
            for layer, (_, _, to) in zip(self.layers[len(kept) - 1 :], LAYERS[len(kept) - 1 :], strict=True):
                kept.append(_Layer(c[: to + 1], layer(kept[-1].output, c[to], batch_norm)))
            yield self._head(kept[-1].output, batch_norm)

    def _widths(self, arch: Arch) -> tuple[int, ...]:
        return tuple(map(int, widths([arch], self.skeleton)[0]))

    def _head(self, x: Tensor, norm: Norm) -> Tensor:
        c = x.shape[1]
        x = F.relu(norm(x, self.last_scale[:c], self.last_shift[:c])).mean((2, 3)).to(self.head_weight.dtype)
        return F.linear(x, self.head_weight[:, :c], self.head_bias)


@dataclass(frozen=True)
class _Layer:
    """What a layer gave, and all widths up to it."""

    widths: tuple[int, ...]
    output: Tensor
