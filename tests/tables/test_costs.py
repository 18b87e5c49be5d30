import csv

import numpy as np
import pytest
import torch
from torch import nn

from bench.tables.costs import flops, parameter_count
from mngnas import space


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
def test_against_a_real_network(n_classes, channels, cells, size):
    archs = space.all_archs()[[0, 6111, 9930]]
    parameters = parameter_count(archs, n_classes, channels, cells)
    operations = flops(archs, n_classes, channels, cells, size)
    for i, arch in enumerate(archs):
        model = network(arch, n_classes, channels, cells)
        assert parameters[i] == sum(p.numel() for p in model.parameters())
        assert operations[i] == counted_flops(model, size)


def test_published_formula():
    archs = space.all_archs()
    ones, threes = (archs == 2).sum(1), (archs == 3).sum(1)
    np.testing.assert_array_equal(parameter_count(archs, 10), 73_306 + 28_000 * ones + 243_040 * threes)
    assert flops(archs, 10)[0] == 15_647_370  # as the benchmark shows it for its first architecture: 15.64737 M
    assert flops(archs, 10).max() == 220_119_690


def test_published_costs_of_9445_architectures(shared):
    with (shared / "scores" / "nb201_zc_proxies.csv").open() as file:
        rows = list(csv.DictReader(file))
    archs = np.array([space.parse(row["net_str"]) for row in rows])
    published = np.array([float(row["params"]) for row in rows])
    np.testing.assert_allclose(parameter_count(archs, 10), 1e6 * published, atol=0.5)
    # That file counts more than the benchmark: per output value 2 for BatchNorm, 1 for ReLU and 9 for a pooling window.
    cell_values = 5 * (16 * 32**2 + 32 * 16**2 + 64 * 8**2)
    convolutions, pools = np.isin(archs, (2, 3)).sum(1), (archs == 4).sum(1)
    more = 160_822 + 3 * cell_values * convolutions + 9 * cell_values * pools
    np.testing.assert_allclose(flops(archs, 10) + more, 1e6 * np.array([float(r["flops"]) for r in rows]), atol=0.5)
