"""GDAS: one-hot values, the exact straight-through gradient, whose weights are trained, and the public shortcut."""

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from torch.nn import functional as F

from mngnas.methods.gradient.gdas import through_chosen
from mngnas.methods.supernet_method import Step
from mngnas.spaces.topology import CONV_1X1, CONV_3X3, NONE, live_graph
from tests.methods.cases import SHORT
from tests.methods.gradient_cases import (
    double,
    double_step,
    gradients,
    in_double,
    method_of,
    set_alpha,
    slopes,
    step_of,
)


@pytest.fixture
def method():
    found = method_of("gdas")
    set_alpha(found)
    return found


def test_a_draw_is_one_hot_to_the_bit(method):
    for number in range(200):
        drawn = method.draw(step_of(method, number, number / 200)).detach()
        assert set(drawn.unique().tolist()) == {0.0, 1.0}
        assert drawn.sum(1).tolist() == [1.0] * 6


@pytest.mark.parametrize("spent", [0.0, 0.9, 1.0])
def test_frequencies_are_those_of_the_softmax_at_any_temperature(method, spent):
    rng, n = np.random.default_rng(1), 2000
    batch = method.task.training_batch(0)
    counts = sum(method.draw(Step(0, batch, rng, spent)).detach() for _ in range(n))
    for found, expected in zip(counts, method.alpha.detach().double().softmax(1), strict=True):
        assert chisquare(found.double(), n * expected / expected.sum()).pvalue > 1e-4


def test_the_temperature_falls_linearly(method):
    assert [method.temperature(spent) for spent in (0.0, 0.5, 1.0)] == pytest.approx([10.0, 5.05, 0.1])


def test_the_straight_through_gradient_is_exact():
    """d loss / d alpha = sum of d loss / d weight_o * d p_o / d alpha, both by finite differences of their own."""
    method = in_double(method_of("gdas"))
    set_alpha(method, scale=0.5)
    step, batch = double_step(method), double(method.task.validation_batch(0))
    noise = torch.as_tensor(-np.log(step_of(method).rng.exponential(size=(6, 5))))

    def soft():
        return ((method.alpha.log_softmax(1) + noise) / method.temperature(0.5)).softmax(1)

    hard = F.one_hot(soft().argmax(1), 5).double()
    of_weights = slopes(
        lambda: F.cross_entropy(method.supernet.mixed(batch.images, hard).logits, batch.labels), hard, 1e-6
    )
    expected = slopes(lambda: (of_weights * soft()).sum(), method.alpha.data, 1e-6)
    result = method.architecture_step(batch, step)
    torch.testing.assert_close(method.alpha.grad, expected, rtol=1e-4, atol=1e-7)
    assert result.passes == 5


def test_the_weights_step_trains_the_drawn_path_alone(method):
    chosen = tuple(method.draw(step_of(method)).argmax(1).tolist())
    assert method.weight_step(step_of(method)).passes == 1
    for cell in method.supernet.cells:
        for op, convs in ((CONV_1X1, cell.conv1x1), (CONV_3X3, cell.conv3x3)):
            moved = [bool(convs.weight.grad[e].any()) if convs.weight.grad is not None else False for e in range(6)]
            assert moved == [kind == op for kind in live_graph(chosen)]
    assert method.alpha.grad is None


def test_the_drawn_path_has_the_mixtures_gradients_where_it_goes(method):
    """Weights of one: the mixture trains what the path trains, and nothing else."""
    step = step_of(method)
    one_hot = method.draw(step_of(method)).detach()
    method.weight_step(step)
    path = gradients(method)
    method.supernet.zero_grad()
    method.train_mixture(step.batch, one_hot)
    torch.testing.assert_close(gradients(method), path, rtol=1e-3, atol=1e-5)


def test_the_shortcut_runs_the_path_and_takes_other_outputs_for_ones():
    """Forward as the path; an edge's other operations get the sum of the edge's gradient."""
    method = in_double(method_of("gdas", unselected="ones"))
    set_alpha(method)
    batch = double(method.task.validation_batch(0))
    weights = F.one_hot(torch.tensor([3, 2, 4, 1, 3, 0]), 5).double().requires_grad_()
    output = through_chosen(method.supernet, batch.images, weights).logits
    arch = tuple(weights.argmax(1).tolist())
    torch.testing.assert_close(output, method.supernet(batch.images, arch).logits)
    (found,) = torch.autograd.grad(F.cross_entropy(output, batch.labels), weights)

    def loss():
        return F.cross_entropy(through_chosen(method.supernet, batch.images, weights).logits, batch.labels)

    torch.testing.assert_close(found, slopes(loss, weights.data, 1e-6), rtol=1e-4, atol=1e-7)
    others = [[found[e, o].item() for o in range(5) if o != arch[e]] for e in range(6)]
    assert all(values == pytest.approx([values[0]] * 4, abs=1e-12) for values in others)
    exact = torch.autograd.grad(
        F.cross_entropy(method.supernet.mixed(batch.images, weights).logits, batch.labels), weights
    )[0]
    chosen = torch.arange(6), torch.tensor(arch)
    torch.testing.assert_close(found[chosen], exact[chosen])
    assert (found - exact).norm() > 0.1 * exact.norm()
    assert found[5, NONE] == 0


def test_what_a_step_costs():
    for unselected, passes in (("exact", 6), ("ones", 2)):
        method = method_of("gdas", unselected=unselected)
        method.advance()
        assert (method.passes, method.images_seen) == (passes, passes * 16)
        assert method.supernet.skeleton == SHORT
