"""What every architecture's own network is: ordinary modules, as published training-free scores expect them."""

from torch import Tensor, nn

from mngnas.nets.supernet import Output


class Network(nn.Module):
    """`forward(images)` gives logits `[b, classes]`; every ReLU, convolution and BatchNorm is a module of its own."""

    def forward(self, images: Tensor) -> Tensor:
        """Logits `[b, classes]`."""
        return self.output(images).logits

    def output(self, images: Tensor) -> Output:
        """Stage outputs and logits."""
        raise NotImplementedError
