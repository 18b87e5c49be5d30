"""SDARTS: perturbations stay in their ball, the attack raises the loss, and without them it is DARTS."""

import numpy as np
import pytest
import torch

from mngnas.methods.gradient.sdarts import uniformly_perturbed
from tests.methods.cases import bits, run
from tests.methods.gradient_cases import method_of, set_alpha, step_of

BOTH = pytest.mark.parametrize("name", ["sdarts-rs", "sdarts-adv"])


def test_the_radius_grows_linearly():
    method = method_of("sdarts-rs")
    assert [method.radius(spent) for spent in (0.0, 0.5, 1.0)] == pytest.approx([0.03, 0.165, 0.3])


def perturbed(method, spent, number=0):
    """The mixture weights that the weights' step is given, and the clean ones."""
    given = []
    train = method.train_mixture
    method.train_mixture = lambda batch, weights: given.append(weights) or train(batch, weights)
    result = method.weight_step(step_of(method, number, spent))
    method.train_mixture = train
    return given[0], method.alpha.detach().softmax(1), result


@BOTH
@pytest.mark.parametrize("spent", [0.0, 1.0])
def test_no_weight_leaves_its_ball_or_the_unit_interval(name, spent):
    method = method_of(name)
    set_alpha(method)
    found, clean, _ = perturbed(method, spent)
    assert (found - clean).abs().max() <= method.radius(spent) + 1e-7
    assert (found - clean).abs().max() > method.radius(spent) / 2
    assert found.min() >= 0
    assert found.max() <= 1


def test_random_perturbations_are_uniform():
    method = method_of("sdarts-rs")
    deltas = torch.stack([torch.sub(*perturbed(method, 0.0, number)[:2]) for number in range(40)]).flatten() / 0.03
    assert deltas.abs().max() <= 1 + 1e-5
    assert deltas.mean().abs() < 4 * 3**-0.5 / len(deltas) ** 0.5
    assert deltas.square().mean().item() == pytest.approx(1 / 3, abs=0.04)


def test_the_attack_raises_the_loss_more_than_a_draw_does():
    method = run(method_of("sdarts-adv"), 2)
    step = step_of(method, 2)

    def loss(weights):
        with torch.no_grad():
            return method.mixture_loss(step.batch, weights)

    clean = method.alpha.detach().softmax(1)
    attacked = method.attacked(step.batch, clean, 0.1, np.random.default_rng(0))
    drawn = [uniformly_perturbed(clean, 0.1, np.random.default_rng(n)) for n in range(5)]
    assert loss(attacked) > max([loss(clean), *map(loss, drawn)])


def test_an_attack_that_lowers_the_loss_is_dropped():
    method = method_of("sdarts-adv")
    true = method.mixture_loss
    clean = method.alpha.detach().softmax(1)
    method.mixture_loss = lambda batch, weights: true(batch, weights) - 1e3 * (weights - clean).abs().sum().detach()
    batch = method.task.training_batch(0)
    assert torch.equal(method.attacked(batch, clean, 0.1, np.random.default_rng(0)), clean)


@BOTH
def test_without_a_radius_it_is_darts(name):
    """Step for step; the attack costs, so the learning rate is told the same share of the budget."""
    smooth, darts = method_of(name, first_radius=0.0, last_radius=0.0), method_of("darts-v1")
    for number in range(3):
        for method in (smooth, darts):
            method.optimizer.zero_grad()
            method.step(step_of(method, number))
            method.optimizer.update(0.5)
    assert bits(smooth.supernet.state_dict()) == bits(darts.supernet.state_dict())
    assert torch.equal(smooth.alpha, darts.alpha)


@BOTH
def test_the_weights_step_leaves_alpha_alone(name):
    method = method_of(name)
    before = method.alpha.detach().clone()
    perturbed(method, 0.5)
    assert method.alpha.grad is None
    assert torch.equal(method.alpha, before)
    assert all(p.requires_grad for p in method.supernet.parameters())


@pytest.mark.parametrize(("name", "passes", "forward_backward"), [("sdarts-rs", 10, 10), ("sdarts-adv", 145 / 3, 45)])
def test_what_a_step_costs(name, passes, forward_backward):
    method = method_of(name)
    method.advance()
    assert method.passes == pytest.approx(passes)
    assert method.images_seen == forward_backward * 16
