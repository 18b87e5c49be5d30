"""Saliencies against finite differences and loops over pictures, channels and weights."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mngnas.methods.training_free.zero_cost import Fisher, GradNorm, Grasp, L2Norm, Plain, Snip
from mngnas.spaces.skeleton import Skeleton
from tests.methods.training_free.untrained import (
    ARCH,
    DEAD_END,
    batch,
    finite_difference,
    method,
    network,
    score,
    weights,
)

TINY = Skeleton(channels=2, cells=1, stages=1, classes=3)
PICTURES = batch(4, 4, torch.float64)
PICTURES = type(PICTURES)(PICTURES.images, PICTURES.labels % 3)


def scored(kind, net):
    """Its score of a network on these pictures."""
    return method(kind.info.name).score(net, PICTURES)


@pytest.fixture(scope="module")
def differences():
    """The network's weights and their gradients by finite differences."""
    net = network((3, 2, 0, 1, 0, 4), TINY, dtype=torch.float64)

    @torch.no_grad()
    def loss():
        return F.cross_entropy(net(PICTURES.images), PICTURES.labels)

    return net, [w.detach().numpy().copy() for w in weights(net)], [finite_difference(loss, w) for w in weights(net)]


def test_first_order_scores_are_those_of_finite_differences(differences):
    net, w, g = differences
    pairs = list(zip(w, g, strict=True))
    assert scored(Snip, net) == pytest.approx(sum(np.abs(a * b).sum() for a, b in pairs), rel=1e-5)
    assert scored(Plain, net) == pytest.approx(sum((a * b).sum() for a, b in pairs), rel=1e-4, abs=1e-6)
    assert scored(GradNorm, net) == pytest.approx(sum(np.linalg.norm(b) for b in g), rel=1e-5)
    assert scored(L2Norm, net) == pytest.approx(sum(np.linalg.norm(a) for a in w), rel=1e-6)


def test_grasp_is_minus_the_weights_times_how_the_gradient_changes_along_itself(differences):
    """H g is the derivative of the gradient in the direction g, here by moving all weights along g."""
    net, w, _ = differences

    def gradients():
        loss = F.cross_entropy(net(PICTURES.images), PICTURES.labels)
        found = torch.autograd.grad(loss, weights(net), materialize_grads=True)
        return [one.numpy() for one in found]

    g, step, moved = gradients(), 1e-5, []
    for sign in (1, -1):
        with torch.no_grad():
            for parameter, start, along in zip(weights(net), w, g, strict=True):
                parameter.copy_(torch.as_tensor(start + sign * step * along))
        moved.append(gradients())
    with torch.no_grad():
        for parameter, start in zip(weights(net), w, strict=True):
            parameter.copy_(torch.as_tensor(start))
    expected = -sum((a * (up - down) / (2 * step)).sum() for a, up, down in zip(w, *moved, strict=True))
    assert scored(Grasp, net) == pytest.approx(expected, rel=1e-4)


def test_grasp_has_its_second_derivatives_through_the_fast_pooling(monkeypatch):
    """Pictures large enough for the convolution that stands for average pooling."""
    fast = score("grasp", (3, 2, 4, 4, 3, 4))
    plain = "mngnas.nets.cell_network.average_pool_3x3"
    monkeypatch.setattr(plain, lambda x: F.avg_pool2d(x, 3, 1, 1, count_include_pad=False))
    assert score("grasp", (3, 2, 4, 4, 3, 4)) == pytest.approx(fast, rel=1e-3)


def test_fisher_scales_every_channel_of_every_layer():
    """The gradient of the loss by a factor on one channel of one picture is the sum of a g over its pixels."""
    net, total = network((3, 2, 0, 1, 0, 4), TINY, dtype=torch.float64), np.zeros(2)
    for layer in net.layers():
        factors = torch.ones(4, layer.weight.shape[0], dtype=torch.float64, requires_grad=True)
        hook = layer.register_forward_hook(
            lambda _layer, _x, y, factors=factors: y * (factors[:, :, None, None] if y.dim() == 4 else factors)
        )
        loss = F.cross_entropy(net(PICTURES.images), PICTURES.labels)
        (found,) = torch.autograd.grad(loss, factors, materialize_grads=True)
        hook.remove()
        total += float(found.square().mean(0).sum() / 2) * np.array([1, layer.weight[0].numel()])
    assert scored(Fisher, net) == pytest.approx(total[0], rel=1e-9)
    assert method("fisher", by_weight=True).score(net, PICTURES) == pytest.approx(total[1], rel=1e-9)


@pytest.mark.parametrize("name", ["snip", "grasp", "fisher", "grad-norm", "plain"])
def test_weights_of_dead_edges_count_for_nothing(name):
    """In the network as it stands, too, with its dead edges."""
    found = method(name)
    whole = network(DEAD_END)
    dead = {id(p) for cell in (whole.blocks()[1], whole.blocks()[3]) for p in cell.edges[:3].parameters()}
    before = found.score(network(DEAD_END), batch())
    with torch.no_grad():
        for parameter in whole.parameters():
            if id(parameter) in dead:
                parameter.mul_(3)
    assert found.score(whole, batch()) == pytest.approx(before, rel=1e-5)


def test_the_norm_counts_dead_weights():
    assert score("l2-norm", DEAD_END) > score("l2-norm", (0, 0, 0, 4, 0, 0)) + 1
    assert score("l2-norm", ARCH) == score("l2-norm", ARCH)
