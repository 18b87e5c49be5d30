"""Methods that learn architecture parameters: whose gradients a step leaves where, and the ranking by parameters."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mngnas.methods.gradient_method import ARCHITECTURE_PARAMETERS, GradientMethod, trainable
from mngnas.methods.supernet_method import INHERITED, RETRAINED, Step
from mngnas.seeds import Stream, generator
from mngnas.spaces.topology import TOPOLOGY
from tests.methods.cases import ARCHS, METHODS, bits, case, done, make, make_task, run, weights
from tests.methods.gradient_cases import gradients, method_of, no_step, step_of

EVERY = [name for name, entry in METHODS.items() if entry.info.kind == "gradient"]
DUE = 3  # the number of a step in which ENAS updates its controller


@pytest.fixture(params=EVERY)
def fresh(request):
    return make(case(request.param))


def test_first_parameters_are_small_and_drawn_by_the_seed(fresh):
    if isinstance(fresh, GradientMethod):
        expected = 1e-3 * np.random.default_rng([0, 4]).standard_normal((6, 5))
        np.testing.assert_allclose(fresh.alpha.detach(), expected, rtol=1e-6)
    other = make(case(fresh.info.name), seed=1)
    for one, another in zip(fresh.architecture_parameters, other.architecture_parameters, strict=True):
        assert 0 < one.abs().max() <= 0.1
        assert not torch.equal(one, another)


def test_an_architecture_step_touches_no_weight(fresh):
    """Neither the weights nor their gradients, and it leaves them trainable."""
    before = weights(fresh).clone()
    first = [parameter.detach().clone() for parameter in fresh.architecture_parameters]
    fresh.weight_step = no_step
    assert fresh.step(step_of(fresh, DUE)).passes > 0
    assert all(parameter.grad is None for parameter in fresh.supernet.parameters())
    assert all(parameter.requires_grad for parameter in fresh.supernet.parameters())
    assert torch.equal(weights(fresh), before)
    for parameter, start in zip(fresh.architecture_parameters, first, strict=True):
        assert parameter.grad.abs().sum() > 0
        assert not torch.equal(parameter, start)


def test_a_weight_step_touches_no_architecture_parameter(fresh):
    first = [parameter.detach().clone() for parameter in fresh.architecture_parameters]
    result = fresh.weight_step(step_of(fresh))
    assert result.passes >= 1
    for parameter, start in zip(fresh.architecture_parameters, first, strict=True):
        assert parameter.grad is None
        assert torch.equal(parameter, start)
    assert any(parameter.grad is not None and parameter.grad.any() for parameter in fresh.supernet.parameters())


def test_the_gradients_of_weights_are_those_of_the_weight_step_alone(fresh):
    """What the architecture step does first changes its own parameters, and nothing else of what the weights get."""
    step = step_of(fresh, DUE)
    both = fresh.step(step)
    with_both = gradients(fresh)
    fresh.supernet.zero_grad()
    rng = generator(0, Stream.STEP, DUE)
    fresh.architecture_step(fresh.task.validation_batch(DUE), Step(DUE, step.batch, rng, 0.5))  # it draws first
    of_architecture = [parameter.grad for parameter in fresh.architecture_parameters]
    fresh.supernet.zero_grad()
    alone = fresh.weight_step(Step(DUE, step.batch, rng, 0.5))
    assert torch.equal(gradients(fresh), with_both)
    assert both.passes > alone.passes
    assert both.loss == alone.loss
    assert all(gradient is not None for gradient in of_architecture)


def test_the_optimiser_of_the_weights_has_no_architecture_parameter_and_the_other_way_round(fresh):
    of_weights = {id(p) for group in fresh.optimizer.torch.param_groups for p in group["params"]}
    of_architecture = {id(p) for group in fresh.architecture_optimizer.param_groups for p in group["params"]}
    assert of_weights == {id(p) for p in fresh.supernet.parameters()}
    assert of_architecture == {id(p) for p in fresh.architecture_parameters}


def test_alpha_is_updated_by_adam_on_validation_pictures():
    """The first update, by hand: weight decay is added to the gradient; a step of the learning rate in its sign."""
    method = method_of("darts-v1")
    first = method.alpha.detach().clone()
    batch = method.task.validation_batch(0)
    leaf = first.clone().requires_grad_()
    loss = F.cross_entropy(method.supernet.mixed(batch.images, leaf.softmax(1)).logits, batch.labels)
    gradient = torch.autograd.grad(loss, leaf)[0] + method.config.weight_decay * first
    method.step(step_of(method))
    moved = method.alpha.detach() - first
    torch.testing.assert_close(moved, -3e-4 * gradient / (gradient.abs() + 1e-8), rtol=1e-3, atol=1e-7)


def test_validation_batches_are_neither_training_nor_retraining_batches():
    task = make_task()
    valid = task.validation_batch(0)
    assert set(map(tuple, valid.images.flatten(1).tolist())).isdisjoint(
        map(tuple, task.training_batch(0).images.flatten(1).tolist())
    )
    assert not torch.equal(valid.images, task.validation_batch(1).images)
    assert torch.equal(valid.images, task.validation_batch(0).images)


@pytest.mark.parametrize("name", EVERY)
def test_log_probabilities_are_those_of_a_distribution_over_the_space(name):
    method = done(case(name)).method
    archs = [tuple(row) for row in TOPOLOGY.all_archs.tolist()]
    found = method.scores(ARCHITECTURE_PARAMETERS, archs)["log_probability"]
    assert found.shape == (15_625,)
    assert np.exp(found).sum() == pytest.approx(1, abs=1e-12)
    assert found.max() > found.min()
    assert len(method.proposal()) == 1
    if isinstance(method, GradientMethod):
        logs = method.alpha.detach().double().log_softmax(1)
        by_hand = [sum(logs[edge, op].item() for edge, op in enumerate(arch)) for arch in archs[:50]]
        np.testing.assert_allclose(found[:50], by_hand, rtol=1e-12)
        assert archs[int(found.argmax())] == method.likeliest()


def test_the_likeliest_architecture_is_the_largest_parameter_of_every_edge():
    method = method_of("darts-v1")
    with torch.no_grad():
        method.alpha.copy_(F.one_hot(torch.tensor([3, 1, 4, 0, 2, 2]), 5))
    assert method.proposal() == [(3, 1, 4, 0, 2, 2)]


@pytest.mark.parametrize("name", EVERY)
def test_rankings(name):
    method = done(case(name)).method
    assert [ranking.name for ranking in method.rankings()] == [INHERITED, RETRAINED, ARCHITECTURE_PARAMETERS]
    # dead edges have parameters too, so equivalent architectures differ
    assert [ranking.by_canonical for ranking in method.rankings()] == [True, False, False]


def test_architecture_steps_lower_the_validation_loss_of_the_mixture():
    method = method_of("darts-v1", make_task(), learning_rate=0.02, weight_decay=0.0)
    method.weight_step = no_step
    for number in range(25):
        method.step(step_of(method, number))
    batch = method.task.validation_batch(0)

    def loss(alpha):
        with torch.no_grad():
            return F.cross_entropy(method.supernet.mixed(batch.images, alpha.softmax(1)).logits, batch.labels)

    assert loss(method.alpha) < loss(torch.zeros(6, 5)) - 0.02


def test_parameters_without_a_gradient_stay_as_they_are():
    method = run(method_of("darts-v1"), 2)
    method.architecture_step = no_step
    before = bits(method.alpha)
    method.advance()
    assert bits(method.alpha) == before
    assert method.passes == 25


def test_the_state_has_the_moments_of_architecture_parameters():
    method = run(method_of("darts-v1"), 3)
    state = method.state_dict()["architecture_optimizer"]["state"]
    assert set(state[0]) == {"step", "exp_avg", "exp_avg_sq"}
    assert bits(all_parameters(method)) != bits(all_parameters(method_of("darts-v1")))


def test_weights_are_trainable_afterwards_as_before():
    net = torch.nn.Linear(1, 1)
    with trainable(net, False):
        with trainable(net, True):
            assert net.weight.requires_grad
        assert not net.weight.requires_grad
    assert net.weight.requires_grad


def all_parameters(method):
    return method.scores(ARCHITECTURE_PARAMETERS, ARCHS)
