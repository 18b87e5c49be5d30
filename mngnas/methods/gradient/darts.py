"""Differentiable architecture search: the mixture of all operations, weighted by the softmax of a table of logits.

Liu, Simonyan & Yang, "DARTS: Differentiable Architecture Search", ICLR 2019, section 2 and algorithm 1. An edge gives
sum_o softmax(alpha_e)_o o(x). A step descends the validation loss by alpha, then the training loss by the weights w.
First order takes w as it is; second order differentiates through one training step of w (equation 7):

    w' = w - xi (momentum buffer + grad_w L_train(w, alpha) + decay w)
    grad = grad_alpha L_valid(w') - xi (grad_alpha L_train(w + e v) - grad_alpha L_train(w - e v)) / (2 e)

with v = grad_w' L_valid(w', alpha), e = .01 / ||v|| over all weights, and xi the learning rate of w. As in the authors'
code the step to w' is plain momentum and is not clipped. The largest logit of each edge is the answer, `none` included:
in this space it is an operation to be chosen, in the paper's own space it is not.

Settings of NATS-Bench's code on this space (D-X-Y/AutoDL-Projects): 50 epochs (100 in its later file), batch 64, SGD
with Nesterov momentum .9, .025 to .001 along a cosine, decay 5e-4; alpha by Adam, 3e-4, betas .5 and .999, decay 1e-3.
That code updates the weights first; here alpha is first, as in the paper. Weights are trained as all methods' here.

A step counts 10 passes in first order; in second order 25: the mixture's gradient once for w', once at w', twice for
the difference, and once for the weights.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mngnas.data.images import Batch
from mngnas.methods.gradient_method import GradientConfig, GradientMethod, trainable
from mngnas.methods.info import MethodInfo
from mngnas.methods.supernet_method import Step, StepResult
from mngnas.settings import setting
from mngnas.train.loop import cosine


class DartsV1(GradientMethod):
    """Weights and architecture parameters by the mixture, first order."""

    info = MethodInfo(
        name="darts-v1",
        label="DARTS, first order",
        paper="Liu et al. 2019",
        description="mixture of all operations; alpha by the validation loss of the weights as they are",
        kind="gradient",
    )

    def weight_step(self, step: Step) -> StepResult:
        """The mixture on training pictures."""
        return self.train_mixture(step.batch, self.mixture_weights(step.rng).detach())


@dataclass(frozen=True)
class DartsV2Config(GradientConfig):
    """Second order."""

    distance: float = setting(0.01, above=0, high=1e3)  # ||e v||, of the weights on either side of the difference


class DartsV2(DartsV1):
    """The same, with alpha's gradient through one step of the weights."""

    info = MethodInfo(
        name="darts-v2",
        label="DARTS, second order",
        paper="Liu et al. 2019",
        description="mixture of all operations; alpha by the validation loss after one step of the weights",
        kind="gradient",
    )
    Config = DartsV2Config

    def architecture_step(self, batch: Batch, step: Step) -> StepResult:
        """Leave equation 7's gradient in alpha; the weights end with the bits that they had."""
        weights = list(self.supernet.parameters())
        before = [one.detach().clone() for one in weights]
        rate = self.task.training.learning_rate * cosine(step.spent)
        with trainable(self.supernet, True):
            self._virtual_step(step.batch, rate)
            loss = self.mixture_loss(batch, self.alpha.softmax(1))
            gradient, *direction = torch.autograd.grad(loss, [self.alpha, *weights])
        norm = torch.stack([one.norm() for one in direction]).norm()
        size = self.config.distance / norm
        above = self._gradient_at(step.batch, before, direction, size)
        below = self._gradient_at(step.batch, before, direction, -size)
        _set(weights, before)
        self.alpha.grad = gradient - rate * (above - below) / (2 * size)
        passes = 4 * self.mixture_passes()
        return StepResult(passes, int(passes) * len(batch.labels), loss.detach())

    def _virtual_step(self, batch: Batch, rate: float) -> None:
        """Move the weights to w'."""
        weights, recipe = list(self.supernet.parameters()), self.task.training
        loss = self.mixture_loss(batch, self.alpha.detach().softmax(1))
        gradients = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            for weight, gradient in zip(weights, gradients, strict=True):
                buffer = self.optimizer.torch.state[weight].get("momentum_buffer")
                change = gradient + recipe.weight_decay * weight
                if buffer is not None:
                    change += recipe.momentum * buffer
                weight.sub_(rate * change)

    def _gradient_at(self, batch: Batch, start: Sequence[Tensor], direction: Sequence[Tensor], size: Tensor) -> Tensor:
        """The training loss's gradient in alpha, at weights `start` + `size` * `direction`."""
        _set(self.supernet.parameters(), [a + size * b for a, b in zip(start, direction, strict=True)])
        return torch.autograd.grad(self.mixture_loss(batch, self.alpha.softmax(1)), self.alpha)[0]


@torch.no_grad()
def _set(weights: Iterable[Tensor], values: Iterable[Tensor]) -> None:
    for weight, value in zip(weights, values, strict=True):
        weight.copy_(value)
