"""An architecture's own network of ordinary modules against the supernet's path with the same weights."""

import numpy as np
import pytest
import torch
from torch import nn

from mngnas.nets.build import build_network
from mngnas.nets.cell_network import AveragePool, CellNetwork, ReluConvNorm, Zero, operation
from mngnas.nets.cell_supernet import CellSupernet
from mngnas.spaces.skeleton import Skeleton
from mngnas.spaces.topology import CONV_1X1, CONV_3X3, EDGES, OPERATIONS, TOPOLOGY, live_graph
from tests.nets.weights import moved
from tests.train.pictures import random_batch

LIVE = [(3, 3, 3, 3, 3, 3), (2, 4, 1, 3, 2, 2), (1, 1, 1, 1, 1, 1), (4, 4, 4, 4, 4, 4), (1, 3, 2, 2, 3, 4)]
DEAD = [(0, 3, 2, 0, 3, 4), (3, 0, 0, 1, 0, 0), (0, 0, 0, 0, 0, 0), (3, 2, 1, 0, 0, 0), (0, 3, 3, 0, 2, 0)]
SKELETONS = [
    Skeleton(channels=4, cells=2),
    Skeleton(channels=4, cells=1, residual_reduction=False),
    Skeleton(channels=5, cells=1, classes=7, in_channels=3, stages=2),
]


@torch.no_grad()
def with_weights_of(supernet, arch):
    """The network of an architecture with the supernet's weights."""
    network = CellNetwork(arch, supernet.skeleton, seed=0)

    def take(conv, norm, weight, scale=None, shift=None):
        conv.weight.copy_(weight)
        if scale is not None:
            norm.weight.copy_(scale)
            norm.bias.copy_(shift)

    take(*network.stem, supernet.stem.weight, supernet.stem.scale, supernet.stem.shift)
    for mine, theirs in zip((cell for stage in network.stages for cell in stage), supernet.cells, strict=True):
        for edge, op in enumerate(arch):
            if op in (CONV_1X1, CONV_3X3):
                convs = theirs.conv1x1 if op == CONV_1X1 else theirs.conv3x3
                take(*list(mine.edges[edge])[1:], convs.weight[edge])
    for mine, theirs in zip(network.reductions, supernet.reductions, strict=True):
        if supernet.skeleton.residual_reduction:
            for block, conv in ((mine.first, theirs.first), (mine.second, theirs.second)):
                take(*list(block)[1:], conv.weight, conv.scale, conv.shift)
            mine.shortcut[1].weight.copy_(theirs.shortcut)
        else:
            take(mine[1], mine[2], theirs.conv.weight, theirs.conv.scale, theirs.conv.shift)
    network.last[0].weight.copy_(supernet.last_scale)
    network.last[0].bias.copy_(supernet.last_shift)
    network.head.weight.copy_(supernet.head_weight)
    network.head.bias.copy_(supernet.head_bias)
    return network


@pytest.mark.parametrize("skeleton", SKELETONS, ids=str)
@pytest.mark.parametrize("arch", [*LIVE, *DEAD], ids=TOPOLOGY.to_key)
def test_it_computes_what_the_supernets_path_does(arch, skeleton):
    """Dead edges run, too; what they compute does not arrive."""
    assert (live_graph(arch) == arch) == (arch in LIVE) or not any(arch)
    supernet = moved(CellSupernet(skeleton, 1))
    network, (images, labels) = with_weights_of(supernet, arch), random_batch()
    path, own = supernet(images, arch), network.output(images)
    torch.testing.assert_close(own.logits, path.logits, rtol=1e-4, atol=1e-4)
    assert torch.equal(network(images), own.logits)
    assert len(own.features) == len(path.features) == skeleton.stages
    for one, other in zip(own.features, path.features, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    nn.functional.cross_entropy(own.logits, labels % skeleton.classes).backward()
    nn.functional.cross_entropy(path.logits, labels % skeleton.classes).backward()
    expected = supernet.stem.weight.grad
    expected = torch.zeros_like(supernet.stem.weight) if expected is None else expected
    torch.testing.assert_close(network.stem[0].weight.grad, expected, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(network.head.weight.grad, supernet.head_weight.grad, rtol=1e-3, atol=1e-4)


def test_its_parameters_are_as_many_as_the_benchmark_counts():
    for arch in [*LIVE, *DEAD]:
        for skeleton in SKELETONS:
            network = build_network(TOPOLOGY, arch, skeleton, 0)
            counted = sum(parameter.numel() for parameter in network.parameters())
            assert counted == TOPOLOGY.parameters(np.array([arch]), skeleton)[0]


def test_every_operation_is_a_module_of_its_own():
    """What published training-free scores hook: ReLUs, convolutions and norms, on dead edges, too."""
    network = build_network(TOPOLOGY, (0, 1, 2, 3, 4, 2), Skeleton(channels=4, cells=2), 0)
    cell = network.stages[0][1]
    assert [type(edge) for edge in cell.edges] == [
        *(Zero, nn.Identity, ReluConvNorm, ReluConvNorm, AveragePool, ReluConvNorm)
    ]
    for conv in (module for module in network.modules() if isinstance(module, nn.Conv2d)):
        assert conv.bias is None
    for norm in (module for module in network.modules() if isinstance(module, nn.BatchNorm2d)):
        assert norm.affine
        assert norm.running_mean is None
    kinds = [type(module) for module in network.modules()]
    assert kinds.count(nn.ReLU) == 2 * 3 * 3 + 2 * 2 + 1  # cells, reductions, the end
    assert kinds.count(nn.Conv2d) == 1 + 2 * 3 * 3 + 2 * 3


@pytest.mark.parametrize("op", range(len(OPERATIONS)))
def test_operations_keep_the_shape(op):
    images, _ = random_batch()
    assert operation(op, 3, affine=True)(images).shape == images.shape
    if OPERATIONS[op] == "none":
        x = images.clone().requires_grad_()
        operation(op, 3, affine=True)(x).sum().backward()
        assert not x.grad.any()


def test_weights_are_torchs_defaults_drawn_by_the_seed_alone():
    """What the modules would draw after `manual_seed`, in their order; the global generator does not notice."""
    skeleton, arch = Skeleton(channels=4, cells=1), (3, 2, 1, 0, 3, 2)
    torch.manual_seed(123)
    before = torch.get_rng_state()
    one, two, other = (build_network(TOPOLOGY, arch, skeleton, seed) for seed in (5, 5, 6))
    assert torch.equal(torch.get_rng_state(), before)
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(one.stem[0].weight, other.stem[0].weight)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        stem = nn.Conv2d(3, 4, 3, padding=1, bias=False)
    assert torch.equal(one.stem[0].weight, stem.weight)
    for module in one.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            fan_in = module.weight[0].numel()
            assert module.weight.abs().max() <= fan_in**-0.5  # uniform, torch's own bound
            assert module.weight.std().item() == pytest.approx(fan_in**-0.5 / 3**0.5, rel=0.35)
        if isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all()
            assert (module.bias == 0).all()


def test_edges_are_the_spaces():
    network = build_network(TOPOLOGY, (3,) * 6, Skeleton(channels=4, cells=1), 0)
    assert len(network.stages[0][0].edges) == len(EDGES)
