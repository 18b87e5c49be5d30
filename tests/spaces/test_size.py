import itertools

import numpy as np
import pytest
import torch
from torch import nn

from mngnas.errors import UserError
from mngnas.nets.build import build_network
from mngnas.spaces import ArchitectureError, space_named
from mngnas.spaces.size import SIZE, widths
from mngnas.spaces.skeleton import Skeleton
from mngnas.spaces.topology import TOPOLOGY

OFFICIAL = Skeleton(cells=1)


def test_the_order_is_that_of_the_list():
    assert SIZE.n_arch == 8**5 == 32_768
    assert space_named("nats-bench-size") is SIZE
    listed = itertools.product(range(8), repeat=5)
    assert [tuple(row) for row in SIZE.all_archs.tolist()] == list(listed)
    assert [SIZE.to_str(SIZE.from_index(i)) for i in (0, 1, 8, 32_698)] == [
        "8:8:8:8:8",
        "8:8:8:8:16",
        "8:8:8:16:8",
        "64:64:56:64:24",
    ]


def test_every_text_is_read_back():
    for index in range(0, SIZE.n_arch, 7):
        arch = SIZE.from_index(index)
        assert SIZE.parse(SIZE.to_str(arch)) == arch == SIZE.from_key(SIZE.to_key(arch))
        assert SIZE.to_index(arch) == index


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("8:8:8:8", "is not 5 widths"),
        ("8:8:8:8:8:8", "is not 5 widths"),
        ("8:8:12:8:8", "c2 is '12', not one of 8, 16"),
        ("8:8:8:8:", "c4 is ''"),
        ("", "is not 5 widths"),
    ],
)
def test_other_text_is_refused(text, message):
    with pytest.raises(ArchitectureError, match=message):
        SIZE.parse(text)


def test_the_fixed_cell_is_a_topology():
    assert TOPOLOGY.to_str(TOPOLOGY.parse(SIZE.cell)) == SIZE.cell


def test_costs_of_known_networks():
    ends = SIZE.all_archs[[0, -1]]
    assert SIZE.parameters(ends, OFFICIAL).tolist() == [11_714, 713_674]
    assert SIZE.flops(ends[:1], OFFICIAL, 32).tolist() == [4_481_114]
    assert SIZE.flops(ends[:1], Skeleton(cells=1, classes=120), 16).tolist() == [1_121_336]


@pytest.mark.parametrize("skeleton", [OFFICIAL, Skeleton(4, 1, 7, 1, residual_reduction=False)])
def test_costs_are_those_of_the_networks(skeleton):
    """Counted in the modules themselves, and by hooks."""
    for arch in [*SIZE.sample_uniform(np.random.default_rng(0), 4), (3, 3, 3, 3, 3)]:
        network, flops = build_network(SIZE, arch, skeleton, 0), []

        def count(module, _inputs, output, flops=flops):
            if isinstance(module, nn.Conv2d):
                flops.append(module.weight.numel() * output.shape[2] * output.shape[3])
            elif isinstance(module, nn.Linear):
                flops.append(module.weight.numel() + module.bias.numel())

        for module in network.modules():
            module.register_forward_hook(count)
        network(torch.randn(2, skeleton.in_channels, 16, 16))
        row = np.array([arch])
        assert sum(p.numel() for p in network.parameters()) == SIZE.parameters(row, skeleton)[0]
        assert sum(flops) == SIZE.flops(row, skeleton, 16)[0]


def test_widths_follow_the_skeleton():
    assert widths(np.array([(0, 1, 2, 3, 7)]), OFFICIAL).tolist() == [[8, 16, 24, 32, 64]]
    assert widths(np.array([(0, 1, 2, 3, 7)]), Skeleton(2, 1)).tolist() == [[1, 2, 3, 4, 8]]


@pytest.mark.parametrize("skeleton", [Skeleton(), Skeleton(cells=1, stages=2), Skeleton(3, 1)])
def test_another_skeleton_is_refused(skeleton):
    with pytest.raises(UserError) as raised:
        SIZE.check(skeleton)
    assert "\n" not in str(raised.value)
    SIZE.check(OFFICIAL)


def test_strictly_fair_draws_use_every_width_once():
    drawn = np.array(SIZE.sample_strictly_fair(np.random.default_rng(1)))
    assert drawn.shape == (8, 5)
    assert (np.sort(drawn, axis=0) == np.arange(8)[:, None]).all()


def test_traits_are_the_widths():
    assert SIZE.traits()["c4"][:3].tolist() == [8, 16, 24]
    assert SIZE.traits()["c0"][-1] == 64
