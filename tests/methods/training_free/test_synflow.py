"""SynFlow's two forward passes against the gradient of all weights, and its extreme cases."""

import csv
import math

import numpy as np
import pytest
import torch
from torch import nn

from bench.scores.read import read_predictions
from bench.stats.metrics import spearman_rho
from mngnas.data.datasets import ImageData
from mngnas.methods.registry import methods
from mngnas.methods.training_free.synflow import flow_and_derivative, ones, positive
from mngnas.spaces.skeleton import Skeleton
from mngnas.spaces.topology import TOPOLOGY
from tests.methods.cases import make_task
from tests.methods.training_free.untrained import ARCH, DEAD_END, NOWHERE, batch, method, network, score, weights
from tests.train.pictures import random_images


def gradients(net, image):
    """By automatic differentiation, with BatchNorm passed by and positive weights, on a network of its own."""
    net.double()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.forward = lambda x: x
    for parameter in net.parameters():
        parameter.data.abs_()
    return torch.autograd.grad(net(ones(image)).sum(), weights(net), materialize_grads=True)


@pytest.mark.parametrize("arch", [ARCH, DEAD_END, (3, 3, 3, 3, 3, 3), (0, 2, 0, 1, 0, 4), (1, 1, 1, 1, 1, 1)])
def test_the_derivative_by_a_common_factor_is_the_sum_over_weights(arch):
    image = batch(1).images
    net = network(arch)
    found = gradients(net, image)
    expected = sum(float((w * g).detach().abs().sum()) for w, g in zip(weights(net), found, strict=True))
    flow, derivative = flow_and_derivative(positive(network(arch)), image).tolist()
    assert flow == pytest.approx(float(net(ones(image)).sum().detach()), rel=1e-12)
    assert derivative == pytest.approx(expected, rel=1e-12)


def test_it_is_the_sum_of_the_lengths_of_all_paths_in_a_chain_of_one_channel():
    """Layers in a row without bias: R is the product of the weights, and each of them has w dR/dw = R."""

    class Chain(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers_of = nn.ModuleList(nn.Linear(1, 1, bias=False) for _ in range(4)).double()

        def layers(self):
            return list(self.layers_of)

        def forward(self, x):
            for layer in self.layers_of:
                x = layer(x).relu()
            return x

    net = Chain()
    for layer, value in zip(net.layers(), (0.5, 2.0, 3.0, 0.25), strict=True):
        layer.weight.data.fill_(value)
    assert flow_and_derivative(net, torch.ones(1, 1)).tolist() == [0.75, 4 * 0.75]


def test_scores_are_logarithms_of_sums_over_the_weights_that_the_seed_draws():
    for name, function in (("synflow", lambda g: g), ("logsynflow", torch.log1p)):
        found = method(name)
        net = found.network(ARCH)
        pairs = zip(weights(net), gradients(net, found.batch().images[:1]), strict=True)
        expected = math.log(sum(float((w * function(g)).detach().sum()) for w, g in pairs))
        assert score(name) == pytest.approx(expected, rel=1e-9)


def test_no_path_gives_minus_infinity():
    assert score("synflow", NOWHERE) == score("logsynflow", NOWHERE) == -math.inf


def test_they_order_as_public_scores_do(shared):
    """At the benchmark's own size; other weights were drawn there."""
    public = read_predictions(shared / "scores" / "nb201_zc_proxies.csv", "synflow", space=TOPOLOGY)
    of_index = dict(zip(public.arch_index.tolist(), public.score.tolist(), strict=True))
    joined = [i for i in sorted(of_index) if TOPOLOGY.connected[i]]
    picked = np.random.default_rng(0).choice(joined, 12, replace=False).tolist()
    archs = [TOPOLOGY.from_index(index) for index in picked]
    task = make_task(data=ImageData(*[random_images(10, 32)] * 3), skeleton=Skeleton())
    for name in ("synflow", "logsynflow"):
        with (shared / "proxies" / f"freerea_cifar10-{name}.csv").open() as lines:
            rows = list(csv.DictReader(lines))
        found = methods()[name].load()
        scores = found(found.Config(), task).scores("score", archs)["score"]
        assert spearman_rho(scores, [float(rows[index][name]) for index in picked]) > 0.9
        if name == "synflow":
            assert spearman_rho(scores, [of_index[index] for index in picked]) > 0.9
