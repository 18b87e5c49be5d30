"""Networks side by side against a plain network that is written edge by edge and trained alone."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mngnas.data.datasets import load_images
from mngnas.data.images import scoring_batch, training_batch
from mngnas.nets.side_by_side import NetworkBatch
from mngnas.settings import Augmentation
from mngnas.spaces.skeleton import Skeleton
from mngnas.spaces.topology import AVG_POOL, CONV_1X1, CONV_3X3, EDGES, NONE, SKIP, TOPOLOGY, live_graph
from mngnas.train.side_by_side import Recipe, course_of, train_side_by_side

SKELETON = Skeleton(channels=4, cells=2, in_channels=1, residual_reduction=False, affine=True)
KEYS = ["333333", "111111", "000000", "444444", "012340", "423120", "300212", "102003", "222224", "100000"]
ARCHS = [TOPOLOGY.from_key(key) for key in KEYS]
SEEDS = (5, 0, 9)
by_key = pytest.mark.parametrize("arch", ARCHS, ids=KEYS)


class Plain(nn.Module):
    """One network, its dead edges included, contiguous, with PyTorch's own layers."""

    def __init__(self, arch, skeleton: Skeleton):
        super().__init__()
        self.arch, self.skeleton = arch, skeleton
        widths = skeleton.widths
        self.stem = self.conv_norm(skeleton.in_channels, widths[0], 3)
        self.cells = nn.ModuleList()
        for stage in skeleton.stage_of_cell:
            sizes = {CONV_1X1: 1, CONV_3X3: 3}
            edges = [self.conv_norm(widths[stage], widths[stage], sizes[op]) if op in sizes else None for op in arch]
            self.cells.append(nn.ModuleList([edge or nn.Identity() for edge in edges]))
        self.reductions = nn.ModuleList([self.conv_norm(a, b, 1) for a, b in pairwise(widths)])
        self.last = nn.BatchNorm2d(widths[-1])
        self.head = nn.Linear(widths[-1], skeleton.classes)

    @staticmethod
    def conv_norm(c_in: int, c_out: int, size: int) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(c_in, c_out, size, padding=size // 2, bias=False), nn.BatchNorm2d(c_out))

    def forward(self, x):
        x = self.stem(x)
        for number, cell in enumerate(self.cells):
            if number and number % self.skeleton.cells == 0:
                x = self.reductions[number // self.skeleton.cells - 1](F.avg_pool2d(x, 2))
            nodes = [x, torch.zeros_like(x), torch.zeros_like(x), torch.zeros_like(x)]
            for (source, target), op, layer in zip(EDGES, self.arch, cell, strict=True):
                y = nodes[source]
                if op in (CONV_1X1, CONV_3X3):
                    y = layer(F.relu(y))
                elif op == AVG_POOL:
                    y = F.avg_pool2d(y, 3, 1, 1, count_include_pad=False)
                elif op == NONE:
                    continue
                else:
                    assert op == SKIP
                nodes[target] = nodes[target] + y
            x = nodes[3]
        return self.head(F.relu(self.last(x)).mean((2, 3)))


def pairs(batch: NetworkBatch, i: int, plain: Plain):
    """(parameter of the batch, slice that belongs to network i, the plain network's parameter)."""

    def of_layer(layer, place, plain_layer):
        c = len(plain_layer[1].weight)
        mine = slice(place * c, (place + 1) * c)
        yield layer.weight, mine, plain_layer[0].weight
        yield layer.norm.scale, mine, plain_layer[1].weight
        yield layer.norm.shift, mine, plain_layer[1].bias

    yield from of_layer(batch.stem, i, plain.stem)
    for layer, plain_layer in zip(batch.reductions, plain.reductions, strict=True):
        yield from of_layer(layer, i, plain_layer)
    for name, layer in batch.convs.items():
        cell, edge = (int(part.lstrip("celdg")) for part in name.split("_"))
        yield from of_layer(layer, i, plain.cells[cell][edge])
    c = len(plain.last.weight)
    yield batch.last.scale, slice(i * c, (i + 1) * c), plain.last.weight
    yield batch.last.shift, slice(i * c, (i + 1) * c), plain.last.bias
    yield batch.head_weight, i, plain.head.weight
    yield batch.head_bias, i, plain.head.bias


def plain_twin(batch: NetworkBatch, i: int, arch) -> Plain:
    """The network of the i-th seed."""
    plain = Plain(arch, batch.skeleton)
    with torch.no_grad():
        for parameter in plain.parameters():
            parameter.zero_()  # dead convolutions have no counterpart
        for ours, mine, theirs in pairs(batch, i, plain):
            theirs.copy_(ours[mine])
    return plain


@pytest.fixture
def images() -> torch.Tensor:
    """Others for each network."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(16, len(SEEDS), 8, 8, generator=generator).contiguous(memory_format=torch.channels_last)


LABELS = torch.arange(48).reshape(16, 3) % 10


@by_key
def test_same_logits_as_alone(arch, images):
    batch = NetworkBatch(arch, SKELETON, SEEDS)
    logits = batch(images)
    for i in range(len(SEEDS)):
        alone = plain_twin(batch, i, arch)(images[:, i : i + 1].contiguous())
        torch.testing.assert_close(logits[:, i], alone, rtol=1e-4, atol=1e-5)


@by_key
def test_same_gradients_as_alone(arch, images):
    """In double precision: single gradients that cancel are rounding noise. The training below is in single."""
    batch, images = NetworkBatch(arch, SKELETON, SEEDS).double(), images.double()
    F.cross_entropy(batch(images).flatten(0, 1), LABELS.flatten(), reduction="sum").backward()
    for i in range(len(SEEDS)):
        plain = plain_twin(batch, i, arch).double()
        F.cross_entropy(plain(images[:, i : i + 1].contiguous()), LABELS[:, i], reduction="sum").backward()
        for ours, mine, theirs in pairs(batch, i, plain):
            if theirs.grad is None:  # in front of a cell without a path
                assert not any(live_graph(arch))
                assert ours.grad is None
                continue
            torch.testing.assert_close(ours.grad[mine], theirs.grad, rtol=1e-6, atol=1e-9)


@by_key
def test_calibrated_statistics_are_those_of_the_pictures(arch, images):
    batch = NetworkBatch(arch, SKELETON, SEEDS)
    batch.calibrate(images)
    batch.eval()
    other = 2 * images.flip(0)[:8]
    logits = batch(other)
    for i in range(len(SEEDS)):
        mine = slice(i, i + 1)
        alone = calibrated(plain_twin(batch, i, arch), images[:, mine])
        torch.testing.assert_close(logits[:, i], alone(other[:, mine]), rtol=1e-3, atol=1e-4)
        if any(live_graph(arch)):
            wrong = calibrated(plain_twin(batch, i, arch), other[:, mine])
            assert (logits[:, i] - wrong(other[:, mine])).abs().max() > 0.01


def test_initial_weights_depend_on_seed_and_architecture_alone():
    many, few = NetworkBatch(ARCHS[4], SKELETON, SEEDS), NetworkBatch(ARCHS[4], SKELETON, SEEDS[1:])
    other_arch = NetworkBatch(ARCHS[5], SKELETON, SEEDS)
    for i in (1, 2):
        a, b = plain_twin(many, i, ARCHS[4]), plain_twin(few, i - 1, ARCHS[4])
        for left, right in zip(a.parameters(), b.parameters(), strict=True):
            torch.testing.assert_close(left, right, rtol=0, atol=0)
        assert not torch.equal(a.stem[0].weight, plain_twin(other_arch, i, ARCHS[5]).stem[0].weight)
        assert not torch.equal(a.stem[0].weight, plain_twin(many, 0, ARCHS[4]).stem[0].weight)


@pytest.mark.parametrize("arch", [ARCHS[2], ARCHS[5], ARCHS[0]], ids=[KEYS[2], KEYS[5], KEYS[0]])
def test_training_is_that_of_a_plain_loop(arch):
    """Trained side by side, tested at two lengths, against PyTorch's layers and optimiser on the same pictures."""
    digits = load_images("digits")
    recipe, noise, seeds = Recipe(steps=6, batch_size=64, learning_rate=0.05), Augmentation(noise=0.5), (7, 2)

    def trained(recipe):
        course = course_of(seeds, recipe, digits.train, (digits.valid, digits.test), noise)
        return train_side_by_side(arch, SKELETON, recipe, course, (4, 6))

    scores = trained(recipe)
    assert scores.accuracy.shape == scores.loss.shape == (2, 2, len(seeds))
    initial = NetworkBatch(arch, SKELETON, seeds)
    for i, seed in enumerate(seeds):
        tests = [scoring_batch(digits.valid, 0.5, seed), scoring_batch(digits.test, 0.5, seed)]
        expected = list(plain_scores(plain_twin(initial, i, arch), recipe, digits.train, tests, noise, seed))
        np.testing.assert_allclose(scores.loss[:, :, i], [[e[1] for e in row] for row in expected], rtol=2e-5)
        np.testing.assert_allclose(scores.accuracy[:, :, i], [[e[0] for e in row] for row in expected], atol=0.004)
    if any(live_graph(arch)):
        for wrong in (replace(recipe, learning_rate=0.052), replace(recipe, momentum=0.88), replace(recipe, steps=7)):
            # The comparison above would see it.
            assert np.abs(trained(wrong).loss[1, :, 0] / scores.loss[1, :, 0] - 1).max() > 1e-4


def plain_scores(plain, recipe, train, tests, noise, seed):
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4, nesterov=True)
    for step in range(recipe.steps):
        for group in optimizer.param_groups:
            group["lr"] = 0.05 * (1 + np.cos(np.pi * step / recipe.steps)) / 2
        batch = training_batch(train, step, recipe.batch_size, noise, seed)
        optimizer.zero_grad()
        F.cross_entropy(plain(batch.images.contiguous()), batch.labels).backward()
        optimizer.step()
        if step + 1 in (4, 6):
            alone = calibrated(plain, scoring_batch(train, noise.noise).images)
            with torch.no_grad():
                logits = [alone(test.images) for test in tests]
            yield [
                ((y.argmax(1) == test.labels).float().mean().item(), F.cross_entropy(y, test.labels).item())
                for y, test in zip(logits, tests, strict=True)
            ]
            plain.train()


def calibrated(plain: Plain, images: torch.Tensor) -> Plain:
    """The same network, ready for testing with the statistics of these images."""
    for module in plain.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        plain.train()(images)
    return plain.eval()
