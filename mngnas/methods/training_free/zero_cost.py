"""Saliencies of pruning at initialisation, and norms, as scores of architectures.

Abdelfattah et al., "Zero-cost proxies for lightweight NAS", ICLR 2021, and its public code: one random batch of 64
training pictures, PyTorch's own initial weights, cross-entropy L, BatchNorm by the batch, and a sum over the weights w
of all convolutions and linear layers (biases and BatchNorm do not count). With g = dL/dw and the Hessian H:

    snip       sum |w g|                          Lee et al., "SNIP", ICLR 2019, without its normalisation
    grasp      sum -w (H g)                       Wang et al., "GraSP", ICLR 2020; the sign is the code's
    fisher     sum over channels of 1/2 mean over pictures of (sum over pixels of a dL/da)^2, a a layer's output, before
               BatchNorm; Turner et al., "BlockSwap", ICLR 2020. The public code counts each channel as often as it has
               weights (`by_weight = true`)
    grad-norm  sum over layers of |g|
    plain      sum w g, with its sign
    l2-norm    sum over layers of |w|; no pictures

Weights of dead edges have g = 0, so but for `l2-norm`, which counts every weight, only the live graph counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mngnas.data.images import Batch
from mngnas.methods.info import MethodInfo
from mngnas.methods.training_free_method import BatchConfig, TrainingFreeMethod
from mngnas.nets.network import Network


class Snip(TrainingFreeMethod):
    """A forward and a backward pass."""

    info = MethodInfo("snip", "SNIP", "Lee et al. 2019", "sum of |w dL/dw| at one batch", "training-free")
    Config, by_canonical = BatchConfig, True

    def score(self, network: Network, batch: Batch) -> float:
        """The sum."""
        weights, gradients = weights_and_gradients(network, batch)
        return total([(w * g).abs().sum() for w, g in zip(weights, gradients, strict=True)])


class Grasp(TrainingFreeMethod):
    """A forward pass, a backward pass, and one backward through it."""

    info = MethodInfo("grasp", "GraSP", "Wang et al. 2020", "sum of -w (H dL/dw) at one batch", "training-free")
    Config, by_canonical, passes_each = BatchConfig, True, 7 / 3

    def score(self, network: Network, batch: Batch) -> float:
        """The sum; H g is the gradient of the product of g with itself, held fixed once."""
        weights = [layer.weight for layer in network.layers()]
        gradients = torch.autograd.grad(_loss(network, batch), weights, create_graph=True, materialize_grads=True)
        products = torch.stack([(g * g.detach()).sum() for g in gradients])
        curved = torch.autograd.grad(products.sum(), weights, materialize_grads=True)
        return total([-(w.detach() * h).sum() for w, h in zip(weights, curved, strict=True)])


@dataclass(frozen=True)
class FisherConfig(BatchConfig):
    """The public code counts a channel once for each of its weights."""

    by_weight: bool = False


class Fisher(TrainingFreeMethod):
    """A forward and a backward pass to all layers' outputs."""

    info = MethodInfo(
        "fisher", "Fisher", "Turner et al. 2020", "squared activation x gradient a channel", "training-free"
    )
    Config, by_canonical = FisherConfig, True

    def score(self, network: Network, batch: Batch) -> float:
        """The sum."""
        outputs: list[Tensor] = []
        counts: list[int] = []

        def note(layer: nn.Conv2d | nn.Linear, _inputs: Any, y: Tensor) -> None:
            outputs.append(y)
            counts.append(layer.weight[0].numel() if self.config.by_weight else 1)

        for layer in network.layers():
            layer.register_forward_hook(note)
        gradients = torch.autograd.grad(_loss(network, batch), outputs, materialize_grads=True)
        pairs = zip(outputs, gradients, strict=True)
        products = [(a.detach() * g).flatten(2).sum(2) if a.dim() > 2 else a.detach() * g for a, g in pairs]
        return total([n * one.square().mean(0).sum() / 2 for n, one in zip(counts, products, strict=True)])


class GradNorm(TrainingFreeMethod):
    """A forward and a backward pass."""

    info = MethodInfo(
        "grad-norm", "Gradient norms", "Abdelfattah et al. 2021", "sum of layers' |dL/dw|", "training-free"
    )
    Config, by_canonical = BatchConfig, True

    def score(self, network: Network, batch: Batch) -> float:
        """The sum."""
        return total([g.norm() for g in weights_and_gradients(network, batch)[1]])


class Plain(TrainingFreeMethod):
    """A forward and a backward pass."""

    info = MethodInfo("plain", "Plain", "Abdelfattah et al. 2021", "sum of w dL/dw, with its sign", "training-free")
    Config, by_canonical = BatchConfig, True

    def score(self, network: Network, batch: Batch) -> float:
        """The sum."""
        weights, gradients = weights_and_gradients(network, batch)
        return total([(w * g).sum() for w, g in zip(weights, gradients, strict=True)])


class L2Norm(TrainingFreeMethod):
    """No pass at all; dead edges' weights count."""

    info = MethodInfo(
        "l2-norm", "L2 norms", "Abdelfattah et al. 2021", "sum of layers' |w|, no pictures", "training-free"
    )
    passes_each, chunk = 0.0, 50

    def score(self, network: Network, batch: Batch) -> float:  # noqa: ARG002
        """The sum."""
        return total([layer.weight.detach().norm() for layer in network.layers()])


def weights_and_gradients(network: Network, batch: Batch) -> tuple[list[Tensor], Sequence[Tensor]]:
    """The weights of all layers, and the gradients of the cross-entropy by them."""
    weights = [layer.weight for layer in network.layers()]
    gradients = torch.autograd.grad(_loss(network, batch), weights, materialize_grads=True)
    return [w.detach() for w in weights], gradients


def total(parts: Sequence[Tensor]) -> float:
    """Their sum, in float64."""
    return float(torch.stack(list(parts)).double().sum())


def _loss(network: Network, batch: Batch) -> Tensor:
    return F.cross_entropy(network(batch.images), batch.labels)
