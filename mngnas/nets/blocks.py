"""Building blocks of the benchmark's networks, with weights laid out for channels-last images."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mngnas.nets.norms import Norm


class ConvNorm(nn.Module):
    """A convolution without bias and a BatchNorm with learnt scale and shift."""

    def __init__(self, c_in: int, c_out: int, size: int, stride: int = 1) -> None:
        super().__init__()
        self.weight = conv_parameter(c_out, c_in, size)
        self.scale = nn.Parameter(torch.ones(c_out))
        self.shift = nn.Parameter(torch.zeros(c_out))
        self.stride, self.padding = stride, size // 2

    def forward(self, x: Tensor, norm: Norm) -> Tensor:
        """Convolve and normalise."""
        y = F.conv2d(x, self.weight.to(x.dtype), stride=self.stride, padding=self.padding)
        return norm(y, self.scale, self.shift)


class ResidualReduction(nn.Module):
    """The benchmark's reduction: two 3x3 convolutions, the first with stride 2, beside a pooled 1x1 shortcut."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.first, self.second = ConvNorm(c_in, c_out, 3, stride=2), ConvNorm(c_out, c_out, 3)
        self.shortcut = conv_parameter(c_out, c_in, 1)

    def forward(self, x: Tensor, norm: Norm) -> Tensor:
        """`[b, c_in, h, w]` to `[b, c_out, h / 2, w / 2]`."""
        y: Tensor = self.second(F.relu(self.first(F.relu(x), norm)), norm)
        return y + F.conv2d(F.avg_pool2d(x, 2), self.shortcut.to(x.dtype))


class PooledReduction(nn.Module):
    """2x2 average pooling and a 1x1 convolution: it leaves the 3x3 convolutions to the cell."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv = ConvNorm(c_in, c_out, 1)

    def forward(self, x: Tensor, norm: Norm) -> Tensor:
        """`[b, c_in, h, w]` to `[b, c_out, h / 2, w / 2]`."""
        y: Tensor = self.conv(F.avg_pool2d(x, 2), norm)
        return y


def conv_parameter(*shape: int) -> nn.Parameter:
    """An uninitialised weight `[..., c_out, c_in, size]`, the last number read as a square kernel, channels-last."""
    *leading, size = shape
    weight = torch.empty(*leading[:-1], size, size, leading[-1])
    return nn.Parameter(weight.movedim(-1, -3))


def initialise(supernet: nn.Module, seed: int) -> None:
    """Draw all weights anew: He-normal by fan-out for convolutions, uniform for `head_weight` `[classes, c]`."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in supernet.parameters():
        if parameter.dim() >= 4:
            fan_out = parameter.shape[-4] * parameter.shape[-1] * parameter.shape[-2]
            # In place on the tensor's own memory order, so that the layout does not change the numbers.
            values = torch.randn(parameter.shape, generator=generator) * (2 / fan_out) ** 0.5
            parameter.data.copy_(values)
    head = supernet.get_parameter("head_weight")
    bound = head.shape[1] ** -0.5
    head.data.uniform_(-bound, bound, generator=generator)
