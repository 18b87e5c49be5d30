"""Methods that learn architecture parameters: whose gradients a step leaves where, and the ranking by parameters."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mngnas.methods.gradient_method import ARCHITECTURE_PARAMETERS, GradientConfig
from mngnas.methods.supernet_method import INHERITED, RETRAINED, Step, StepResult
from mngnas.seeds import Stream, generator
from mngnas.spaces.topology import TOPOLOGY
from tests.methods.cases import ARCHS, METHODS, bits, case, done, make, make_task, run, weights

EVERY = [name for name, entry in METHODS.items() if entry.info.kind == "gradient"]


@pytest.fixture(params=EVERY)
def fresh(request):
    return make(case(request.param))


def a_step(method, number=0):
    rng = generator(method.task.seed, Stream.STEP, number)
    return Step(number, method.task.training_batch(number), rng, 0.0)


def test_first_parameters_are_small_and_drawn_by_the_seed(fresh):
    expected = 1e-3 * np.random.default_rng([0, 4]).standard_normal((6, 5))
    np.testing.assert_allclose(fresh.alpha.detach(), expected, rtol=1e-6)
    other = make(case(fresh.info.name), seed=1)
    assert not torch.equal(other.alpha, fresh.alpha)


def no_weight_step(_step):
    return StepResult(0, 0, torch.zeros(()))


def test_an_architecture_step_touches_no_weight(fresh):
    """Neither the weights nor their gradients, and it leaves them trainable."""
    before, first = weights(fresh).clone(), fresh.alpha.detach().clone()
    fresh.weight_step = no_weight_step
    assert fresh.step(a_step(fresh)).passes == 5  # the mixture computes as much as five paths
    assert all(parameter.grad is None for parameter in fresh.supernet.parameters())
    assert all(parameter.requires_grad for parameter in fresh.supernet.parameters())
    assert torch.equal(weights(fresh), before)
    assert fresh.alpha.grad.abs().sum() > 0
    assert not torch.equal(fresh.alpha, first)


def test_a_weight_step_touches_no_architecture_parameter(fresh):
    first = fresh.alpha.detach().clone()
    result = fresh.weight_step(a_step(fresh))
    assert result.passes >= 1
    assert fresh.alpha.grad is None
    assert torch.equal(fresh.alpha, first)
    assert any(parameter.grad is not None and parameter.grad.any() for parameter in fresh.supernet.parameters())


def test_the_gradients_of_weights_are_those_of_the_weight_step_alone(fresh):
    """What the architecture step does first changes alpha, and nothing else of what the weights get."""
    step = a_step(fresh)
    both = fresh.step(step)
    with_both = [p.grad.clone() for p in fresh.supernet.parameters() if p.grad is not None]
    fresh.supernet.zero_grad()
    rng = generator(0, Stream.STEP, 0)
    fresh.mixture_weights(rng)  # the architecture step has drawn once
    alone = fresh.weight_step(Step(0, step.batch, rng, 0.0))
    for one, other in zip(with_both, (p.grad for p in fresh.supernet.parameters() if p.grad is not None), strict=True):
        assert torch.equal(one, other)
    assert both.passes == alone.passes + 5
    assert both.loss == alone.loss


def test_the_optimiser_of_the_weights_has_no_alpha_and_the_other_way_round(fresh):
    of_weights = {id(p) for group in fresh.optimizer.torch.param_groups for p in group["params"]}
    of_alpha = {id(p) for group in fresh.alpha_optimizer.param_groups for p in group["params"]}
    assert of_weights == {id(p) for p in fresh.supernet.parameters()}
    assert of_alpha == {id(fresh.alpha)}


def test_alpha_is_updated_by_adam_on_validation_pictures():
    """The first update, by hand: weight decay is added to the gradient; a step of the learning rate in its sign."""
    method = make(case("toy-darts"))
    first = method.alpha.detach().clone()
    batch = method.task.validation_batch(0)
    leaf = first.clone().requires_grad_()
    loss = F.cross_entropy(method.supernet.mixed(batch.images, leaf.softmax(1)).logits, batch.labels)
    gradient = torch.autograd.grad(loss, leaf)[0] + method.config.weight_decay * first
    method.step(a_step(method))
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
    logs = method.alpha.detach().double().log_softmax(1)
    by_hand = [sum(logs[edge, op].item() for edge, op in enumerate(arch)) for arch in archs[:50]]
    np.testing.assert_allclose(found[:50], by_hand, rtol=1e-12)
    (proposal,) = method.outcome().proposal
    assert archs[int(found.argmax())] == proposal
    assert found.max() > found.min()


def test_the_likeliest_architecture_is_the_largest_parameter_of_every_edge():
    method = make(case("toy-darts"))
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
    entry = METHODS["toy-darts"].load()
    method = entry(GradientConfig(learning_rate=0.02, weight_decay=0.0), make_task())
    method.weight_step = no_weight_step
    for number in range(25):
        method.step(a_step(method, number))
    batch = method.task.validation_batch(0)

    def loss(alpha):
        with torch.no_grad():
            return F.cross_entropy(method.supernet.mixed(batch.images, alpha.softmax(1)).logits, batch.labels)

    assert loss(method.alpha) < loss(torch.zeros(6, 5)) - 0.02


def test_the_state_has_alphas_moments():
    method = run(make(case("toy-darts")), 3)
    state = method.state_dict()["alpha_optimizer"]["state"]
    assert set(state[0]) == {"step", "exp_avg", "exp_avg_sq"}
    assert bits(all_parameters(method)) != bits(all_parameters(make(case("toy-darts"))))


def all_parameters(method):
    return method.scores(ARCHITECTURE_PARAMETERS, ARCHS)
