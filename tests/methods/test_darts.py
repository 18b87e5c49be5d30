"""DARTS: first order by hand, and second order against autograd through the unrolled step."""

import pytest
import torch
from torch.func import functional_call
from torch.nn import functional as F

from mngnas.train.loop import cosine
from tests.methods.cases import SHORT, bits, make_task, run
from tests.methods.gradient_cases import double, double_step, in_double, method_of, set_alpha, step_of


def test_first_order_takes_the_weights_as_they_are():
    method = method_of("darts-v1")
    set_alpha(method)
    batch = method.task.validation_batch(0)
    leaf = method.alpha.detach().clone().requires_grad_()
    loss = F.cross_entropy(method.supernet.mixed(batch.images, leaf.softmax(1)).logits, batch.labels)
    (expected,) = torch.autograd.grad(loss, leaf)
    result = method.architecture_step(batch, step_of(method))
    torch.testing.assert_close(method.alpha.grad, expected)
    assert (result.passes, result.images) == (5, 5 * 16)


class Logits(torch.nn.Module):
    """The mixture's logits, so that autograd's functional call can be given other weights."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, images, weights):
        return self.net.mixed(images, weights).logits


def unrolled_gradient(method, step, batch):
    """Of the validation loss after one step of the weights, by autograd through that step."""
    net, recipe = Logits(method.supernet), method.task.training
    alpha = method.alpha.detach().clone().requires_grad_()

    def loss(weights, data):
        return F.cross_entropy(functional_call(net, weights, (data.images, alpha.softmax(1))), data.labels)

    weights = {name: p.detach().clone().requires_grad_() for name, p in net.named_parameters()}
    gradients = torch.autograd.grad(loss(weights, step.batch), list(weights.values()), create_graph=True)
    rate, moved = recipe.learning_rate * cosine(step.spent), {}
    for (name, weight), gradient, parameter in zip(weights.items(), gradients, net.parameters(), strict=True):
        buffer = method.optimizer.torch.state[parameter]["momentum_buffer"]
        moved[name] = weight - rate * (gradient + recipe.weight_decay * weight + recipe.momentum * buffer)
    return torch.autograd.grad(loss(moved, batch), alpha)[0]


def second_order(spent):
    """A method in double precision that has momentum, with a step and a validation batch."""
    task = make_task(skeleton=SHORT, learning_rate=0.05, weight_decay=0.1)
    method = in_double(method_of("darts-v2", task, distance=1e-9))  # within which no ReLU switches
    set_alpha(method)
    step = double_step(method, spent)
    method.optimizer.zero_grad()
    method.weight_step(step)
    method.optimizer.update(0.0)
    method.optimizer.zero_grad()
    return method, step, double(method.task.validation_batch(0))


def test_second_order_is_the_gradient_through_the_unrolled_step():
    method, step, batch = second_order(0.3)
    assert all("momentum_buffer" in state for state in method.optimizer.torch.state.values())
    expected = unrolled_gradient(method, step, batch)
    result = method.architecture_step(batch, step)
    assert (method.alpha.grad - expected).norm() < 1e-4 * expected.norm()
    first = method_of("darts-v1")
    first.supernet, first.alpha = method.supernet, torch.nn.Parameter(method.alpha.detach().clone())
    first.architecture_step(batch, step)
    assert (first.alpha.grad - expected).norm() > 1e-2 * expected.norm()  # the second order matters here
    assert (result.passes, result.images) == (20, 20 * 16)


def test_without_a_learning_rate_second_order_is_first_order():
    method, step, batch = second_order(1.0)
    method.architecture_step(batch, step)
    found = method.alpha.grad.clone()
    first = method_of("darts-v1")
    first.supernet, first.alpha = method.supernet, torch.nn.Parameter(method.alpha.detach().clone())
    first.architecture_step(batch, step)
    torch.testing.assert_close(found, first.alpha.grad, rtol=1e-12, atol=0)


def test_second_order_gives_all_weights_their_bits_back():
    method = run(method_of("darts-v2"), 2)
    before, optimizer = bits(method.supernet.state_dict()), bits(method.optimizer.torch.state_dict())
    method.optimizer.zero_grad()
    method.architecture_step(method.task.validation_batch(2), step_of(method, 2))
    assert bits(method.supernet.state_dict()) == before
    assert bits(method.optimizer.torch.state_dict()) == optimizer
    assert all(p.grad is None and p.requires_grad for p in method.supernet.parameters())


@pytest.mark.parametrize(("name", "passes"), [("darts-v1", 10), ("darts-v2", 25)])
def test_what_a_step_costs(name, passes):
    method = method_of(name)
    method.advance()
    assert method.passes == passes
    assert method.images_seen == passes * 16
