"""What every architecture's own network is: ordinary modules, as published training-free scores expect them."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from mngnas.nets.supernet import Output


class Network(nn.Module):
    """`forward(images)` gives logits `[b, classes]`; every ReLU, convolution and BatchNorm is a module of its own."""

    last: nn.Module  # what follows the last block, up to global pooling

    def forward(self, images: Tensor) -> Tensor:
        """Logits `[b, classes]`."""
        return self.output(images).logits

    def output(self, images: Tensor) -> Output:
        """Stage outputs and logits."""
        raise NotImplementedError

    def blocks(self) -> Sequence[nn.Module]:
        """What pictures run through, one after the other, up to `last`: the stem first."""
        raise NotImplementedError

    def layers(self) -> list[nn.Conv2d | nn.Linear]:
        """Every convolution and linear layer: what published scores sum over."""
        return [module for module in self.modules() if isinstance(module, nn.Conv2d | nn.Linear)]

    @torch.no_grad()
    def draw_normal(self, deviation: Callable[[int], float], generator: torch.Generator) -> None:
        """Draw the weights of all `layers` anew, normal with a standard deviation by fan-in; biases become zero."""
        for layer in self.layers():
            fan_in = layer.weight[0].numel()
            values = torch.randn(layer.weight.shape, generator=generator) * deviation(fan_in)
            layer.weight.copy_(values)  # drawn on the host, so devices agree
            if layer.bias is not None:
                layer.bias.zero_()
