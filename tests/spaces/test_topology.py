"""The search space: every architecture there and back, the published counts, and errors that name the place."""

import csv
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mngnas.nets.side_by_side import NetworkBatch
from mngnas.spaces import topology as space
from mngnas.spaces.skeleton import Skeleton
from mngnas.spaces.topology import EDGES, NONE, OPERATIONS, TOPOLOGY, ArchitectureError, live_graph

EVERY = [tuple(map(int, row)) for row in TOPOLOGY.all_archs]
EXAMPLE = "|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_1x1~1|skip_connect~2|"


def test_every_architecture_there_and_back():
    assert len(set(EVERY)) == TOPOLOGY.n_arch == 15_625
    for index, arch in enumerate(EVERY):
        assert TOPOLOGY.parse(TOPOLOGY.to_str(arch)) == arch
        assert TOPOLOGY.from_key(TOPOLOGY.to_key(arch)) == arch
        assert TOPOLOGY.to_index(arch) == index
        assert TOPOLOGY.from_index(index) == arch
    assert sorted(map(TOPOLOGY.to_rank, EVERY)) == list(range(TOPOLOGY.n_arch))


def test_notation_by_hand():
    assert TOPOLOGY.parse(EXAMPLE) == (3, 0, 4, 1, 2, 1)
    assert TOPOLOGY.to_str((3, 0, 4, 1, 2, 1)) == EXAMPLE
    assert TOPOLOGY.to_rank((0, 0, 0, 0, 1, 2)) == 7
    assert TOPOLOGY.parse(f"  {EXAMPLE}\n") == TOPOLOGY.parse(EXAMPLE)


def test_official_index_by_published_examples():
    """Index 0, and the best architecture on CIFAR-100 (validation and test), as the benchmark lists them."""
    assert TOPOLOGY.to_str(TOPOLOGY.from_index(0)) == (
        "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
    )
    best = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
    assert TOPOLOGY.to_index(TOPOLOGY.parse(best)) == 9930


def test_official_index_and_classes_of_the_whole_published_list(shared):
    with (shared / "nb201" / "nats_bench.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["ArchitectureString"] for row in rows] == [TOPOLOGY.to_str(arch) for arch in EVERY]
    theirs, ours = {}, space.benchmark_classes()
    for index, row in enumerate(rows):
        theirs.setdefault(row["UniqueString"], index)
    assert [theirs[row["UniqueString"]] for row in rows] == ours.tolist()


def test_published_counts():
    assert len(np.unique(TOPOLOGY.canonical_indices)) == 9_445
    assert len(np.unique(space.benchmark_classes())) == 6_466
    assert (~TOPOLOGY.connected).sum() == 341
    nothing = TOPOLOGY.to_index((NONE,) * len(EDGES))
    assert ((TOPOLOGY.canonical_indices != nothing) == TOPOLOGY.connected).all()


def paths(arch):
    """Every way from input to output along edges that are not `none`, as tuples of edge numbers."""
    found, open_ways = [], [((), 0)]
    while open_ways:
        way, node = open_ways.pop()
        if node == 3:
            found.append(way)
        for edge, (source, target) in enumerate(EDGES):
            if source == node and arch[edge] != NONE:
                open_ways.append(((*way, edge), target))
    return found


def test_an_edge_lives_exactly_if_a_path_runs_through_it():
    for arch in EVERY[::7]:
        alive = {edge for way in paths(arch) for edge in way}
        assert live_graph(arch) == tuple(op if edge in alive else NONE for edge, op in enumerate(arch))
        assert live_graph(live_graph(arch)) == live_graph(arch)


def test_the_largest_and_the_smallest_by_brute_force():
    """3x3 convolutions everywhere; a skip from input to output alone, of all that cost nothing the first by rank."""
    flops = TOPOLOGY.flops(TOPOLOGY.all_archs, Skeleton(), 32)
    connected = [TOPOLOGY.from_index(i) for i in np.flatnonzero(TOPOLOGY.connected)]
    cost = {arch: int(flops[TOPOLOGY.to_index(arch)]) for arch in connected}
    assert min(connected, key=lambda arch: (-cost[arch], arch)) == TOPOLOGY.largest == (3,) * 6
    assert min(connected, key=lambda arch: (cost[arch], arch)) == TOPOLOGY.smallest == (0, 0, 0, 1, 0, 0)


def test_neighbours_differ_in_one_edge():
    for arch in EVERY[::500]:
        near = TOPOLOGY.neighbours(arch)
        assert len(set(near)) == 24
        assert {sum(a != b for a, b in zip(arch, other, strict=True)) for other in near} == {1}


def test_classes_agree_with_their_smallest_member():
    for classes in (space.benchmark_classes(), TOPOLOGY.canonical_indices):
        assert (classes[classes] == classes).all()
        assert not classes.flags.writeable


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (
            EXAMPLE.replace("avg_pool_3x3", "avg_pool_5x5"),
            "unknown operation on edge 1->2 'avg_pool_5x5'; did you mean",
        ),
        (EXAMPLE.replace("~2|", "~3|"), f"at character {EXAMPLE.index('~2|')}: expected '~2|', found '~3|'"),
        (EXAMPLE[:-1], "expected '~2|'"),
        (EXAMPLE + "x", "'x' follows the end"),
        (EXAMPLE.replace("+|none", "|none"), "at character 13: expected '~0|+|', found '~0||n'"),
        ("", "at character 0: expected '|', found ''"),
    ],
)
def test_parse_errors_name_the_place(text, place):
    with pytest.raises(ArchitectureError) as caught:
        TOPOLOGY.parse(text)
    assert place in str(caught.value)


@pytest.mark.parametrize(
    ("key", "message"),
    [("01234", "has 5 digits, not 6"), ("012345", "has '5' at character 5"), ("01a340", "has 'a' at character 2")],
)
def test_key_errors_name_the_place(key, message):
    with pytest.raises(ArchitectureError, match=message):
        TOPOLOGY.from_key(key)


@pytest.mark.parametrize("index", [-1, TOPOLOGY.n_arch])
def test_index_errors(index):
    with pytest.raises(ArchitectureError, match=f"architecture index {index} is outside"):
        TOPOLOGY.from_index(index)


def test_operations_are_in_the_stated_order():
    assert OPERATIONS == ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
    assert EDGES == ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))


# --------------------------------------------------------------------------------------------------------- costs


def conv(wide_in: int, wide_out: int, kernel: int, stride: int = 1) -> nn.Module:
    layers = nn.Conv2d(wide_in, wide_out, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(wide_out)
    return nn.Sequential(nn.ReLU(), *layers)


class Reduction(nn.Module):
    """The benchmark's residual block of stride 2."""

    def __init__(self, wide_in: int, wide_out: int):
        super().__init__()
        self.path = nn.Sequential(conv(wide_in, wide_out, 3, 2), conv(wide_out, wide_out, 3))
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(wide_in, wide_out, 1, bias=False))

    def forward(self, x):
        return self.shortcut(x) + self.path(x)


class Cell(nn.Module):
    """All six edges in a row of sums: counting needs no topology, as every operation keeps the shape."""

    def __init__(self, arch, channels: int):
        super().__init__()
        kernels = [{space.CONV_1X1: 1, space.CONV_3X3: 3}.get(op) for op in arch]
        self.edges = nn.ModuleList([conv(channels, channels, k) if k else nn.Identity() for k in kernels])

    def forward(self, x):
        return sum(edge(x) for edge in self.edges)


def network(arch, n_classes: int, channels: int, cells: int) -> nn.Module:
    layers: list[nn.Module] = [nn.Conv2d(3, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)]
    for stage in range(3):
        width = channels * 2**stage
        layers += [Reduction(width // 2, width)] if stage else []
        layers += [Cell(arch, width) for _ in range(cells)]
    head = [nn.BatchNorm2d(4 * channels), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, *head, nn.Linear(4 * channels, n_classes))


def counted_flops(model: nn.Module, image_size: int) -> int:
    total = 0

    def hook(module, _inputs, output):
        nonlocal total
        if isinstance(module, nn.Conv2d):
            total += output[0].numel() * module.weight[0].numel()
        else:
            total += module.weight.numel() + module.bias.numel()

    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(hook)
    model.eval()
    with torch.no_grad():
        model(torch.zeros(1, 3, image_size, image_size))
    return total


@pytest.mark.parametrize(("n_classes", "channels", "cells", "size"), [(10, 16, 5, 32), (120, 4, 2, 16), (7, 8, 1, 8)])
def test_costs_against_a_real_network(n_classes, channels, cells, size):
    archs = TOPOLOGY.all_archs[[0, 6111, 9930]]
    skeleton = Skeleton(channels, cells, n_classes)
    parameters, operations = TOPOLOGY.parameters(archs, skeleton), TOPOLOGY.flops(archs, skeleton, size)
    for i, arch in enumerate(archs):
        model = network(arch, n_classes, channels, cells)
        assert parameters[i] == sum(p.numel() for p in model.parameters())
        assert operations[i] == counted_flops(model, size)


def test_published_formula_of_the_costs():
    archs = TOPOLOGY.all_archs
    ones, threes = (archs == 2).sum(1), (archs == 3).sum(1)
    np.testing.assert_array_equal(TOPOLOGY.parameters(archs, Skeleton()), 73_306 + 28_000 * ones + 243_040 * threes)
    assert (
        TOPOLOGY.flops(archs, Skeleton(), 32)[0] == 15_647_370
    )  # as the benchmark shows it for its first architecture: 15.64737 M
    assert TOPOLOGY.flops(archs, Skeleton(), 32).max() == 220_119_690


def test_published_costs_of_9445_architectures(shared):
    with (shared / "scores" / "nb201_zc_proxies.csv").open() as file:
        rows = list(csv.DictReader(file))
    archs = np.array([TOPOLOGY.parse(row["net_str"]) for row in rows])
    published = np.array([float(row["params"]) for row in rows])
    np.testing.assert_allclose(TOPOLOGY.parameters(archs, Skeleton()), 1e6 * published, atol=0.5)
    # That file counts more than the benchmark: per output value 2 for BatchNorm, 1 for ReLU and 9 for a pooling window.
    cell_values = 5 * (16 * 32**2 + 32 * 16**2 + 64 * 8**2)
    convolutions, pools = np.isin(archs, (2, 3)).sum(1), (archs == 4).sum(1)
    more = 160_822 + 3 * cell_values * convolutions + 9 * cell_values * pools
    np.testing.assert_allclose(
        TOPOLOGY.flops(archs, Skeleton(), 32) + more, 1e6 * np.array([float(r["flops"]) for r in rows]), atol=0.5
    )


SMALL = Skeleton(8, 1, 10, in_channels=1, stages=3, residual_reduction=False, affine=True)  # digits201's


@pytest.mark.parametrize("skeleton", [SMALL, replace(SMALL, channels=4, cells=2, stages=2)])
def test_costs_against_networks_with_pooled_reductions(skeleton, monkeypatch):
    archs = [TOPOLOGY.from_key(key) for key in ("333333", "222222", "231423", "111111")]  # no dead edges
    parameters, flops = TOPOLOGY.parameters(np.array(archs), skeleton), TOPOLOGY.flops(np.array(archs), skeleton, 8)
    counted = []
    convolve = F.conv2d

    def counting(x, weight, **options):
        y = convolve(x, weight, **options)
        counted.append(y[0].numel() * weight[0].numel())
        return y

    monkeypatch.setattr(F, "conv2d", counting)
    pool = partial(F.avg_pool2d, kernel_size=3, stride=1, padding=1, count_include_pad=False)
    monkeypatch.setattr(
        "mngnas.nets.side_by_side.average_pool_3x3", pool
    )  # ours is a convolution, which has no weights
    for i, arch in enumerate(archs):
        network = NetworkBatch(arch, skeleton, seeds=(0,))
        assert parameters[i] == sum(p.numel() for p in network.parameters())
        counted.clear()
        network(torch.zeros(1, 1, 8, 8))
        assert flops[i] == sum(counted) + network.head_weight.numel() + network.head_bias.numel()
    dead = np.array([TOPOLOGY.from_key("300000"), TOPOLOGY.from_key("000300")])  # dead convolutions count
    assert len(set(TOPOLOGY.parameters(dead, skeleton))) == 1
