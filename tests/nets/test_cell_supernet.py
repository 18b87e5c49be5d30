"""The supernet of the cell space against the benchmark's network, written with torch's own modules."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from mngnas.nets.build import build_supernet
from mngnas.nets.cell_supernet import CellSupernet
from mngnas.nets.norms import RecordingNorm, ReplayNorm
from mngnas.spaces.skeleton import Skeleton
from mngnas.spaces.topology import EDGES, OPERATIONS, TOPOLOGY, live_graph
from tests.nets.weights import moved


class PlainNetwork(nn.Module):
    """One architecture as the benchmark's paper draws it, with torch's own modules and its own copy of the weights."""

    def __init__(self, supernet, arch):
        super().__init__()
        self.skeleton, self.arch = supernet.skeleton, arch
        self.stem = self._conv(supernet.stem.weight, 1, norm=supernet.stem)
        self.edges = nn.ModuleList(
            nn.ModuleList(self._operation(cell, edge, op) for edge, op in enumerate(arch)) for cell in supernet.cells
        )
        self.reductions = nn.ModuleList(self._reduction(r) for r in supernet.reductions)
        self.last = self._norm(supernet.last_scale, supernet.last_shift)
        self.head = nn.Linear(*reversed(supernet.head_weight.shape))
        self.head.weight.data.copy_(supernet.head_weight.data)
        self.head.bias.data.copy_(supernet.head_bias.data)

    @staticmethod
    def _norm(scale, shift):
        norm = nn.BatchNorm2d(len(scale))
        norm.weight.data.copy_(scale.data)
        norm.bias.data.copy_(shift.data)
        return norm

    def _conv(self, weight, stride, norm=None, affine=True):
        c_out, c_in, size, _ = weight.shape
        conv = nn.Conv2d(c_in, c_out, size, stride, size // 2, bias=False)
        conv.weight.data.copy_(weight.data)
        bn = self._norm(norm.scale, norm.shift) if norm is not None else nn.BatchNorm2d(c_out, affine=affine)
        return nn.Sequential(conv, bn)

    def _operation(self, cell, edge, op):
        name = OPERATIONS[op]
        if name == "skip_connect":
            return nn.Identity()
        if name == "avg_pool_3x3":
            return nn.AvgPool2d(3, 1, 1, count_include_pad=False)
        if name == "none":
            return nn.Module()
        convs = cell.conv1x1 if name == "nor_conv_1x1" else cell.conv3x3
        return nn.Sequential(nn.ReLU(), self._conv(convs.weight[edge], 1, affine=False))

    def _reduction(self, block):
        if self.skeleton.residual_reduction:
            shortcut = nn.Conv2d(block.shortcut.shape[1], block.shortcut.shape[0], 1, bias=False)
            shortcut.weight.data.copy_(block.shortcut.data)
            first = nn.Sequential(nn.ReLU(), self._conv(block.first.weight, 2, norm=block.first))
            second = nn.Sequential(nn.ReLU(), self._conv(block.second.weight, 1, norm=block.second))
            return nn.ModuleList([nn.Sequential(first, second), nn.Sequential(nn.AvgPool2d(2), shortcut)])
        return nn.ModuleList([nn.Sequential(nn.AvgPool2d(2), self._conv(block.conv.weight, 1, norm=block.conv))])

    def forward(self, x):
        x = self.stem(x)
        for number, operations in enumerate(self.edges):
            if number and number % self.skeleton.cells == 0:
                branches = self.reductions[self.skeleton.stage_of_cell[number] - 1]
                x = sum(branch(x) for branch in branches)
            nodes = [x]
            for target in (1, 2, 3):
                node = torch.zeros_like(x)
                for (source, to), op, operation in zip(EDGES, self.arch, operations, strict=True):
                    if to == target and OPERATIONS[op] != "none":
                        node = node + operation(nodes[source])
                nodes.append(node)
            x = nodes[3]
        return self.head(F.relu(self.last(x)).mean((2, 3)))


def images(b=6, size=8, channels=3, seed=0):
    x = torch.randn(b, channels, size, size, generator=torch.Generator().manual_seed(seed))
    return x.to(memory_format=torch.channels_last)


ARCHS = [(3, 3, 3, 3, 3, 3), (2, 4, 1, 3, 0, 2), (1, 1, 1, 1, 1, 1), (4, 4, 4, 4, 4, 4), (0, 3, 2, 0, 3, 4)]


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("arch", ARCHS)
def test_a_path_is_the_network_that_the_benchmark_describes(arch, residual):
    supernet = CellSupernet(Skeleton(channels=4, cells=2, residual_reduction=residual), seed=1)
    network = PlainNetwork(supernet, arch)
    x, labels = images(), torch.arange(6)
    ours, theirs = supernet(x, arch).logits, network(x)
    # A node that nothing live reaches is exactly zero in both; elsewhere BatchNorm magnifies rounding.
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    F.cross_entropy(ours, labels).backward()
    F.cross_entropy(theirs, labels).backward()
    torch.testing.assert_close(supernet.stem.weight.grad, network.stem[0].weight.grad, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(supernet.head_weight.grad, network.head.weight.grad, rtol=1e-3, atol=1e-5)
    for edge, op in enumerate(live_graph(arch)):
        if OPERATIONS[op] == "nor_conv_3x3":
            mine = supernet.cells[1].conv3x3.weight.grad[edge]
            torch.testing.assert_close(mine, network.edges[1][edge][1][0].weight.grad, rtol=1e-3, atol=1e-4)


def test_parameters_and_flops_agree_with_the_table():
    """The table counts BatchNorm's scale and shift in every convolution, so the supernet is made with both here."""
    for channels, cells, arch in ((16, 5, (1, 4, 3, 2, 3, 1)), (8, 1, (3, 3, 2, 1, 2, 3)), (16, 5, (3,) * 6)):
        supernet = CellSupernet(Skeleton(channels, cells, affine=True), seed=0)
        kinds = {"nor_conv_1x1": "conv1x1", "nor_conv_3x3": "conv3x3"}
        fixed = sum(p.numel() for name, p in supernet.named_parameters() if not name.startswith("cells."))
        own = fixed
        for cell in supernet.cells:
            for op in arch:
                if OPERATIONS[op] in kinds:
                    convs = getattr(cell, kinds[OPERATIONS[op]])
                    own += sum(p.numel() // len(EDGES) for p in convs.parameters())
        assert own == TOPOLOGY.parameters(np.array([arch]), supernet.skeleton)[0]
        assert _counted_flops(supernet, arch, 32) == TOPOLOGY.flops(np.array([arch]), supernet.skeleton, 32)[0]


def _counted_flops(supernet, arch, size):
    """Multiply-adds of convolutions and classifier of one picture, counted while a forward pass runs."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        supernet(images(2, size).bfloat16(), arch)  # in which pooling is not a convolution
    return counter.get_total_flops() // 2 // 2 + supernet.skeleton.classes  # two pictures, two operations; the bias


def test_features_are_the_stage_outputs():
    supernet = CellSupernet(Skeleton(channels=4, cells=2), seed=0)
    features = supernet(images(5, 16), (3, 1, 2, 4, 3, 1)).features
    assert [tuple(f.shape) for f in features] == [(5, 4, 16, 16), (5, 8, 8, 8), (5, 16, 4, 4)]


def test_dead_edges_change_nothing():
    supernet = CellSupernet(Skeleton(channels=4, cells=1), seed=0)
    dead = [arch for arch in map(tuple, TOPOLOGY.all_archs.tolist()) if arch != live_graph(arch)][::400]
    with torch.no_grad():
        for arch in dead:
            assert torch.equal(supernet(images(), arch).logits, supernet(images(), live_graph(arch)).logits)


def test_the_same_seed_gives_the_same_weights():
    one, two, other = (CellSupernet(Skeleton(4, 1), seed) for seed in (5, 5, 6))
    for a, b, c in zip(one.parameters(), two.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
        assert a.dim() < 2 or not torch.equal(a, c)


def test_initial_weights_have_the_variance_of_he():
    supernet = CellSupernet(Skeleton(32, 1), seed=0)
    weight = supernet.cells[2].conv3x3.weight
    assert weight.std().item() == pytest.approx((2 / (9 * 128)) ** 0.5, rel=0.02)


def test_recorded_statistics_replay_the_same_output():
    supernet, arch = CellSupernet(Skeleton(4, 1), seed=0), (3, 2, 4, 1, 3, 2)
    recording = RecordingNorm()
    with torch.no_grad():
        first = supernet(images(16), arch, recording).logits
        again = supernet(images(16), arch, ReplayNorm(recording.statistics)).logits
        alone = supernet(images(16)[:3], arch, ReplayNorm(recording.statistics)).logits
        by_batch = supernet(images(16)[:3], arch).logits
    torch.testing.assert_close(first, again, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(first[:3], alone, rtol=1e-3, atol=1e-4)  # other pictures do not matter any more
    assert not torch.allclose(first[:3], by_batch, atol=1e-2)


# ---------------------------------------------------------------------------------- the mixture of all operations


def one_hot(arch):
    return F.one_hot(torch.tensor(arch), len(OPERATIONS)).float()


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("arch", [*ARCHS, (0,) * 6, (3, 0, 0, 1, 0, 0)])
def test_a_mixture_of_one_operation_an_edge_is_the_path(arch, residual):
    """Outputs, features and the gradients of all weights.

    With a learnt shift (`affine`) a mixture differs from the path where an edge is dead: a convolution of nothing
    gives its shift, and the path leaves such an edge out.
    """
    affine = residual and arch == live_graph(arch)
    supernet = moved(CellSupernet(Skeleton(4, 2, residual_reduction=residual, affine=affine), seed=1))
    path, mixture = supernet(images(), arch), supernet.mixed(images(), one_hot(arch))
    torch.testing.assert_close(mixture.logits, path.logits, rtol=1e-4, atol=1e-4)
    for one, other in zip(mixture.features, path.features, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    labels = torch.arange(6)
    found = torch.autograd.grad(F.cross_entropy(mixture.logits, labels), list(supernet.parameters()))
    expected = torch.autograd.grad(F.cross_entropy(path.logits, labels), list(supernet.parameters()), allow_unused=True)
    for one, other in zip(found, expected, strict=True):
        other = torch.zeros_like(one) if other is None else other
        torch.testing.assert_close(one, other, rtol=1e-3, atol=2e-4)


def test_the_gradient_in_the_mixtures_weights_is_that_of_finite_differences():
    """In double precision, in the logits and in the features, for weights that are no distribution, too."""
    supernet = CellSupernet(Skeleton(channels=3, cells=1, stages=2), seed=2).double()
    x = images(4).double()
    generator = torch.Generator().manual_seed(0)
    weights = torch.rand((6, 5), generator=generator, dtype=torch.float64)
    readout = torch.randn((4, 10), generator=generator, dtype=torch.float64)

    def value(weights):
        output = supernet.mixed(x, weights)
        return (output.logits * readout).sum() + sum(f.square().mean() for f in output.features)

    leaf = weights.clone().requires_grad_()
    (found,) = torch.autograd.grad(value(leaf), leaf)
    assert (found[:, 0] == 0).all()  # `none` gives nothing, whatever its weight
    step = 1e-6
    with torch.no_grad():
        for edge in range(6):
            for op in range(5):
                beside = weights.clone()
                beside[edge, op] += step
                above = value(beside)
                beside[edge, op] -= 2 * step
                slope = (above - value(beside)) / (2 * step)
                assert found[edge, op].item() == pytest.approx(slope.item(), rel=1e-4, abs=1e-6)


def test_the_gradient_in_the_mixtures_weights_is_the_same_in_single_precision():
    """BatchNorm's backward pass has to read the scale that a weight becomes."""
    found = []
    for dtype in (torch.float32, torch.float64):
        supernet = CellSupernet(Skeleton(channels=4, cells=1), seed=2).to(dtype)
        weights = torch.rand((6, 5), generator=torch.Generator().manual_seed(0)).to(dtype).requires_grad_()
        loss = F.cross_entropy(supernet.mixed(images().to(dtype), weights).logits, torch.arange(6))
        found.append(torch.autograd.grad(loss, weights)[0].double())
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-4)


def test_a_mixture_is_linear_in_the_last_node():
    """Of the edges into the output: halves of two operations are the mean of both, before the next norm."""
    supernet = CellSupernet(Skeleton(channels=4, cells=1, stages=1), seed=3)
    both = one_hot((0, 0, 0, 3, 0, 0)) / 2 + one_hot((0, 0, 0, 4, 0, 0)) / 2
    found = supernet.mixed(images(), both).features[0]
    alone = [supernet(images(), (0, 0, 0, op, 0, 0)).features[0] for op in (3, 4)]
    torch.testing.assert_close(found, sum(alone) / 2, rtol=1e-4, atol=1e-5)


def test_each_path_in_order_of_rank_is_the_path_alone():
    """What the first cell keeps for its neighbours in rank changes nothing."""
    supernet = CellSupernet(Skeleton(channels=4, cells=2), seed=0)
    lives = sorted({live_graph(tuple(row)) for row in TOPOLOGY.all_archs[:150].tolist()}, key=TOPOLOGY.to_rank)
    with torch.no_grad():
        for arch, found in zip(lives, supernet.each(images(), lives), strict=True):
            torch.testing.assert_close(found, supernet(images(), arch).logits, rtol=1e-4, atol=1e-5)


def test_it_is_what_is_built_for_its_space():
    one, two = build_supernet(TOPOLOGY, Skeleton(4, 1), 5), CellSupernet(Skeleton(4, 1), 5)
    assert type(one) is CellSupernet
    assert one.space is TOPOLOGY
    before = torch.get_rng_state()
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)
    CellSupernet(Skeleton(4, 1), 6)
    assert torch.equal(torch.get_rng_state(), before)
