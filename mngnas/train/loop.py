"""The one way in which weights are trained: SGD with Nesterov momentum, clipping, and a learning rate along a cosine.

A supernet, an architecture that is retrained from it, and many stand-alone networks side by side go through the same
`Sgd`; what differs is how gradients come about and how progress is measured.
"""

import math
from collections.abc import Callable, Iterable
from typing import Protocol

import torch
from torch import Tensor, nn


class Recipe(Protocol):
    """What decides an update; `TrainingConfig`, `RetrainingConfig` and others have it."""

    @property
    def learning_rate(self) -> float:
        """At the start; it falls to zero along a cosine."""

    @property
    def momentum(self) -> float:
        """Nesterov's."""

    @property
    def weight_decay(self) -> float:
        """L2 penalty's factor."""

    @property
    def clip(self) -> float:
        """Largest norm of the whole gradient; 0 switches clipping off."""


def cosine(share: float) -> float:
    """The factor of a learning rate that falls from 1 to 0 along half a cosine, at `share` 0..1 of its course."""
    return (1 + math.cos(math.pi * share)) / 2


class Sgd:
    """The optimiser of some weights."""

    def __init__(self, parameters: Iterable[nn.Parameter], recipe: Recipe, *, fused: bool = False) -> None:
        """`fused` is faster on a GPU."""
        self.parameters, self.recipe = list(parameters), recipe
        self.torch = torch.optim.SGD(
            self.parameters,
            recipe.learning_rate,
            recipe.momentum,
            weight_decay=recipe.weight_decay,
            nesterov=recipe.momentum > 0,
            fused=fused or None,
        )

    def zero_grad(self) -> None:
        """Forget all gradients."""
        self.torch.zero_grad()

    def update(self, share: float) -> None:
        """Clip the gradients that are there and take a step, at `share` 0..1 of the course."""
        self.step(self.recipe.learning_rate * cosine(share))

    def step(self, learning_rate: float) -> None:
        """The same at a learning rate of one's own."""
        if self.recipe.clip:
            nn.utils.clip_grad_norm_(self.parameters, self.recipe.clip, foreach=True)
        for group in self.torch.param_groups:
            group["lr"] = learning_rate
        self.torch.step()


def train(
    parameters: Iterable[nn.Parameter],
    recipe: Recipe,
    steps: int,
    backward: Callable[[int], Tensor | None],
    after: Callable[[int], None] = lambda _done: None,
) -> float:
    """Some steps on weights; `backward(step)` leaves the gradients of one and returns what is watched, detached.

    `after` hears how many steps are done. Returns the mean of what was watched over the steps; 0 if nothing was.
    """
    optimizer = Sgd(parameters, recipe)
    total: Tensor | None = None
    for step in range(steps):
        optimizer.zero_grad()
        watched = backward(step)
        optimizer.update(step / steps)
        if watched is not None:
            total = watched if total is None else total + watched
        after(step + 1)
    return float(total / steps) if total is not None else 0.0
