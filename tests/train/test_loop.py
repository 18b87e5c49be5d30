"""The one loop: the cosine, the update against torch's own, what is watched."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from mngnas.settings import RetrainingConfig, TrainingConfig
from mngnas.train.loop import Sgd, cosine, train


@dataclass(frozen=True)
class Recipe:
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 0.01
    clip: float = 0.0


def parameters(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((4, 3), (3,))]


def fill(some, step):
    generator = torch.Generator().manual_seed(100 + step)
    for parameter in some:
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def test_the_cosine_falls_from_one_to_zero():
    np.testing.assert_allclose([cosine(share) for share in (0, 0.5, 1)], [1, 0.5, 0], atol=1e-12)
    values = [cosine(share) for share in np.linspace(0, 1, 50)]
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize(
    "recipe", [Recipe(), Recipe(clip=0.5), Recipe(momentum=0.0), Recipe(weight_decay=0.0)], ids=str
)
def test_updates_by_hand(recipe):
    """Weight decay in the gradient, Nesterov's momentum, the norm of the whole gradient clipped before all that."""
    ours, by_hand = parameters(), [p.detach().double().clone() for p in parameters()]
    optimizer, momenta = Sgd(ours, recipe), [torch.zeros_like(p) for p in by_hand]
    for step in range(6):
        share = step / 6
        fill(ours, step)
        gradients = [p.grad.double().clone() for p in ours]
        norm = torch.cat([g.flatten() for g in gradients]).norm()
        factor = min(1.0, recipe.clip / (norm + 1e-6)) if recipe.clip else 1.0
        rate = recipe.learning_rate * (1 + np.cos(np.pi * share)) / 2
        for place, value in enumerate(by_hand):
            g = factor * gradients[place] + recipe.weight_decay * value
            momenta[place] = recipe.momentum * momenta[place] + g
            by_hand[place] = value - rate * (g + recipe.momentum * momenta[place])
        optimizer.update(share)
        optimizer.zero_grad()
        assert all(p.grad is None for p in ours)
    for mine, expected in zip(ours, by_hand, strict=True):
        torch.testing.assert_close(mine.detach().double(), expected, rtol=1e-5, atol=1e-6)


def test_a_gradient_below_the_clip_stays_as_it_is():
    some = parameters()
    fill(some, 0)
    before = [p.grad.clone() for p in some]
    Sgd(some, Recipe(clip=1e6)).update(0.0)
    assert all(torch.equal(p.grad, old) for p, old in zip(some, before, strict=True))


def test_what_has_no_gradient_stays_as_it_is():
    some = parameters()
    first = some[0].detach().clone()
    some[1].grad = torch.ones(3)
    Sgd(some, Recipe(weight_decay=0.5)).update(0.0)
    assert torch.equal(some[0], first)


def test_the_loop_is_steps_of_the_optimiser():
    """The rate is the cosine of step / steps; gradients do not stay from step to step."""
    ours, twin, recipe = parameters(), parameters(), Recipe(clip=2.0)
    optimizer, heard, seen = Sgd(twin, recipe), [], []

    def backward(step):
        assert all(p.grad is None for p in ours)
        fill(ours, step)
        seen.append(step)
        return torch.tensor(float(step**2))

    watched = train(iter(ours), recipe, 4, backward, heard.append)
    for step in range(4):
        fill(twin, step)
        optimizer.update(step / 4)
    for mine, expected in zip(ours, twin, strict=True):
        assert torch.equal(mine, expected)
    assert seen == [0, 1, 2, 3]
    assert heard == [1, 2, 3, 4]
    assert watched == (0 + 1 + 4 + 9) / 4


def test_nothing_watched_and_no_steps():
    some = parameters()
    assert train(some, Recipe(), 3, lambda step: fill(some, step)) == 0.0
    assert train(some, Recipe(), 0, lambda _step: pytest.fail("no step was asked for")) == 0.0


def test_settings_are_recipes():
    for recipe in (TrainingConfig(), RetrainingConfig()):
        some = parameters()
        fill(some, 0)
        Sgd(some, recipe).update(0.5)
        assert not torch.equal(some[0], parameters()[0])
