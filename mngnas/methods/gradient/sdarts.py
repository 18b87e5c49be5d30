"""Smooth DARTS: weights that are trained at perturbed mixtures, so that the loss is flat around the mixture's weights.

Chen & Hsieh, "Stabilizing Differentiable Architecture Search via Perturbation-based Regularization", ICML 2020,
equations 3 and 4. The weights' step takes softmax(alpha) + delta, no number of delta larger than epsilon: drawn
uniformly (RS), or by seven steps of projected gradient ascent from such a draw (ADV), each by 2 epsilon / 7 in the
gradient's sign, kept only where the training loss rose. The step of alpha is that of DARTS, first order. epsilon grows
linearly from .03 to .3.

The perturbed weights stay within 0..1, as in the authors' code; that code also divides them by their sum, which may
leave the ball of epsilon, and is not done here. Settings of that code on this space (xiangning-chen/SmoothDARTS,
nasbench201/train_search.py): 100 epochs, batch 64, SGD with momentum .9, .025 to .001 along a cosine, decay 3e-4; alpha
by Adam, 3e-4, betas .5 and .999, decay 1e-3. Weights are trained as all methods' here; epsilon follows the budget.

A step counts 10 passes with RS and 48 1/3 with ADV, whose seven gradients count as forward-backward passes of the
mixture and whose two comparisons count as forward passes of it.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mngnas.data.images import Batch
from mngnas.methods.gradient_method import GradientConfig, GradientMethod, trainable
from mngnas.methods.info import MethodInfo
from mngnas.methods.supernet_method import Step, StepResult
from mngnas.settings import setting


@dataclass(frozen=True)
class SdartsConfig(GradientConfig):
    """How large perturbations are."""

    first_radius: float = setting(0.03, 0, 1)  # epsilon at the start
    last_radius: float = setting(0.3, 0, 1)  # and at the end; linear in the budget between the two


class SdartsRs(GradientMethod):
    """Random perturbations."""

    info = MethodInfo(
        name="sdarts-rs",
        label="SDARTS-RS",
        paper="Chen & Hsieh 2020",
        description="DARTS, first order, whose weights are trained at randomly perturbed mixtures",
        kind="gradient",
    )
    Config = SdartsConfig

    def radius(self, spent: float) -> float:
        """Epsilon at a share of the budget."""
        first, last = self.config.first_radius, self.config.last_radius
        return float(first + (last - first) * spent)

    def weight_step(self, step: Step) -> StepResult:
        """The mixture at perturbed weights on training pictures."""
        clean = self.mixture_weights(step.rng).detach()
        return self.train_mixture(step.batch, uniformly_perturbed(clean, self.radius(step.spent), step.rng))


@dataclass(frozen=True)
class SdartsAdvConfig(SdartsConfig):
    """How perturbations are sought."""

    attack_steps: int = setting(7, 1, 1000)


class SdartsAdv(SdartsRs):
    """Perturbations that raise the training loss."""

    info = MethodInfo(
        name="sdarts-adv",
        label="SDARTS-ADV",
        paper="Chen & Hsieh 2020",
        description="DARTS, first order, whose weights are trained at adversarially perturbed mixtures",
        kind="gradient",
    )
    Config = SdartsAdvConfig

    def weight_step(self, step: Step) -> StepResult:
        """The attack, and the mixture at what it found."""
        clean = self.mixture_weights(step.rng).detach()
        with trainable(self.supernet, False):
            perturbed = self.attacked(step.batch, clean, self.radius(step.spent), step.rng)
        found = self.train_mixture(step.batch, perturbed)
        gradients, forwards = self.config.attack_steps * self.mixture_passes(), 2 * self.mixture_passes() / 3
        images = int(gradients) * len(step.batch.labels)
        return StepResult(found.passes + gradients + forwards, found.images + images, found.loss)

    def attacked(self, batch: Batch, clean: Tensor, radius: float, rng: np.random.Generator) -> Tensor:
        """Mixture weights within `radius` of `clean` at which the loss is larger, or `clean`."""
        found = uniformly_perturbed(clean, radius, rng)
        for _ in range(self.config.attack_steps):
            leaf = found.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(self.mixture_loss(batch, leaf), leaf)
            found = _projected(found + 2 * radius / self.config.attack_steps * gradient.sign(), clean, radius)
        with torch.no_grad():
            rose = self.mixture_loss(batch, found) > self.mixture_loss(batch, clean)
        return torch.where(rose, found, clean)


def uniformly_perturbed(weights: Tensor, radius: float, rng: np.random.Generator) -> Tensor:
    """Mixture weights with noise of -`radius`..`radius` added to each, kept within 0..1."""
    noise = rng.uniform(-radius, radius, tuple(weights.shape))
    return _projected(weights + torch.as_tensor(noise).to(weights), weights, radius)


def _projected(weights: Tensor, centre: Tensor, radius: float) -> Tensor:
    return torch.minimum(torch.maximum(weights, centre - radius), centre + radius).clamp(0, 1)
