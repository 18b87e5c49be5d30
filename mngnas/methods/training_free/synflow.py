"""SynFlow: the saliency that flows through a network whose weights are all positive (no pictures).

Tanaka et al., "Pruning neural networks without any data by iteratively conserving synaptic flow", NeurIPS 2020, as a
score of architectures by Abdelfattah et al., ICLR 2021: all weights are replaced by their absolute values, BatchNorm is
left out, the input is one picture of ones, R is the sum of the logits, and the score is the sum of |w dR/dw| over the
weights of all convolutions and linear layers. It is given as its logarithm, which orders alike: the sum itself leaves
the range of float32. Precision and initial weights are the public code's: float64, PyTorch's own. With BatchNorm in
place (`synflow_bn` there) it is another score.

LogSynflow: Cavagnero et al., "FreeREA: training-free evolution-based architecture search", WACV 2023: the sum of
w log(1 + dR/dw), here as its logarithm, too.

Weights of dead edges have dR/dw = 0, so only the live graph counts. An architecture without a path from input to output
has the score minus infinity.
"""

from typing import Any

import torch
from torch import Tensor, nn

from mngnas.data.images import Batch
from mngnas.methods.info import MethodInfo
from mngnas.methods.training_free_method import TrainingFreeMethod
from mngnas.nets.network import Network


class Synflow(TrainingFreeMethod):
    """Two forward passes of one picture; no backward pass is needed (`flow_and_derivative`)."""

    info = MethodInfo(
        "synflow", "SynFlow", "Tanaka et al. 2020", "sum of |w dR/dw| of positive weights, no pictures", "training-free"
    )
    by_canonical, passes_each = True, 2 / 3

    def score(self, network: Network, batch: Batch) -> float:
        """The logarithm of the sum."""
        return float(flow_and_derivative(positive(network), batch.images[:1])[1].log())


class LogSynflow(TrainingFreeMethod):
    """A forward and a backward pass of one picture."""

    info = MethodInfo(
        "logsynflow", "LogSynflow", "Cavagnero et al. 2023", "SynFlow with log(1 + dR/dw), no pictures", "training-free"
    )
    by_canonical = True

    def score(self, network: Network, batch: Batch) -> float:
        """The logarithm of the sum."""
        weights = [layer.weight for layer in positive(network).layers()]
        gradients = torch.autograd.grad(network(ones(batch.images[:1])).sum(), weights)
        total = sum((w.detach() * g.log1p()).sum() for w, g in zip(weights, gradients, strict=True))
        return float(torch.as_tensor(total).log())


def positive(network: Network) -> Network:
    """The same network, changed in place: float64, absolute weights and biases, no BatchNorm."""
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, nn.Identity())
    network.double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    return network


def ones(images: Tensor) -> Tensor:
    """A picture of ones of the same shape, float64."""
    return torch.ones_like(images, dtype=torch.float64)


@torch.inference_mode()
def flow_and_derivative(network: Network, image: Tensor) -> Tensor:
    """R and sum |w dR/dw| of a `positive` network, `[2]`.

    Multiply all weights, not biases, by t: then w dR/dw, which is never negative here, adds up to dR/dt at t = 1. So a
    forward pass carries x and dx/dt as a batch of two; W x has the derivative W dx/dt + W x, and ReLU, pooling and sums
    do with dx/dt what they do with x, as nothing is negative.
    """

    def product_rule(layer: Any, _inputs: Any, y: Tensor) -> Tensor:
        x, dx = y.unbind()
        bias = (
            0 if layer.bias is None else 2 * layer.bias
        )  # is in both, and has no derivative; of the linear layer alone
        return torch.stack([x, dx + x - bias])

    hooks = [layer.register_forward_hook(product_rule) for layer in network.layers()]
    x = ones(image)
    logits = network(torch.cat([x, torch.zeros_like(x)]))
    for hook in hooks:
        hook.remove()
    found: Tensor = logits.sum(1)
    return found
