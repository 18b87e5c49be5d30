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
from mngnas.train.side_by_side import Recipe, train_side_by_side

SKELETON = Skeleton(channels=4, cells=2, in_channels=1, residual_reduction=False, affine=True)
KEYS = ["333333", "111111", "000000", "444444", "012340", "423120", "300212", "102003", "222224", "100000"]
ARCHS = [TOPOLOGY.from_key(key) for key in KEYS]


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
        cell, edge, op = (int(part.lstrip("celdgop")) for part in name.split("_"))
        who = batch.groups[EDGES[edge][0]][edge, op].tolist()
        if i in who:
            yield from of_layer(layer, who.index(i), plain.cells[cell][edge])
    c = len(plain.last.weight)
    yield batch.last.scale, slice(i * c, (i + 1) * c), plain.last.weight
    yield batch.last.shift, slice(i * c, (i + 1) * c), plain.last.bias
    yield batch.head_weight, i, plain.head.weight
    yield batch.head_bias, i, plain.head.bias


def plain_twin(batch: NetworkBatch, place: int, i: int | None = None) -> Plain:
    """The network at `place` of the batch; `i`: its architecture, if that is not the one at the same place."""
    plain = Plain(ARCHS[place if i is None else i], batch.skeleton)
    with torch.no_grad():
        for parameter in plain.parameters():
            parameter.zero_()  # dead convolutions have no counterpart
        for ours, mine, theirs in pairs(batch, place, plain):
            theirs.copy_(ours[mine])
    return plain


@pytest.fixture
def images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(16, 1, 8, 8, generator=generator).contiguous(memory_format=torch.channels_last)


LABELS = torch.arange(16) % 10


def test_same_logits_and_gradients_as_alone(images):
    batch = NetworkBatch(ARCHS, SKELETON, seed=5)
    logits = batch(images)
    F.cross_entropy(logits.flatten(0, 1), LABELS.repeat_interleave(len(ARCHS)), reduction="sum").backward()
    for i, key in enumerate(KEYS):
        plain = plain_twin(batch, i)
        alone = plain(images.contiguous())
        torch.testing.assert_close(logits[:, i], alone, rtol=1e-4, atol=1e-5, msg=lambda m, key=key: f"{key}: {m}")
        F.cross_entropy(alone, LABELS, reduction="sum").backward()
        for ours, mine, theirs in pairs(batch, i, plain):
            if theirs.grad is None:  # in front of a cell without a path
                assert not any(live_graph(ARCHS[i]))
                assert not ours.grad[mine].any()
                continue
            # Relative to the layer: single gradients that cancel are rounding noise in both.
            scale = 1 + float(theirs.grad.abs().max())
            torch.testing.assert_close(ours.grad[mine], theirs.grad, rtol=1e-3, atol=1e-5 * scale)


def test_calibrated_statistics_are_those_of_the_pictures(images):
    batch = NetworkBatch(ARCHS, SKELETON, seed=1)
    batch.calibrate(images)
    batch.eval()
    other = 2 * images.flip(0)[:8]
    logits = batch(other)
    for i in range(len(ARCHS)):
        alone = calibrated(plain_twin(batch, i), images)
        torch.testing.assert_close(logits[:, i], alone(other), rtol=1e-3, atol=1e-4)
    assert (logits[:, 0] - calibrated(plain_twin(batch, 0), other)(other)).abs().max() > 0.01


def test_initial_weights_depend_on_seed_and_architecture_alone():
    many, few = NetworkBatch(ARCHS, SKELETON, seed=3), NetworkBatch(ARCHS[4:6], SKELETON, seed=3)
    other_seed = NetworkBatch(ARCHS[4:6], SKELETON, seed=4)
    for i in range(2):
        a, b, c = (plain_twin(batch, place, 4 + i) for batch, place in ((many, 4 + i), (few, i), (other_seed, i)))
        for left, right in zip(a.parameters(), b.parameters(), strict=True):
            torch.testing.assert_close(left, right, rtol=0, atol=0)
        assert not torch.equal(a.stem[0].weight, c.stem[0].weight)
    first, second = plain_twin(few, 0, 4), plain_twin(few, 1, 5)
    assert not torch.equal(first.stem[0].weight, second.stem[0].weight)


def test_training_is_that_of_a_plain_loop():
    """Trained in a batch, tested at two lengths, against PyTorch's layers and optimiser alone on the same batches."""
    digits = load_images("digits")
    recipe, noise = Recipe(steps=6, batch_size=64, learning_rate=0.05), Augmentation(noise=0.5)
    tests = [scoring_batch(digits.valid, 0.5, 3), scoring_batch(digits.test, 0.5, 3)]
    archs = [2, 5, 0]
    scores = train_side_by_side([ARCHS[i] for i in archs], SKELETON, recipe, 7, digits.train, tests, noise, (4, 6))
    assert scores.accuracy.shape == scores.loss.shape == (2, 2, 3)
    initial = NetworkBatch([ARCHS[i] for i in archs], SKELETON, 7)
    for place, i in enumerate(archs):
        plain = plain_twin(initial, place, i)
        expected = list(plain_scores(plain, recipe, digits.train, tests, noise, seed=7))
        np.testing.assert_allclose(scores.loss[:, :, place], [[e[1] for e in row] for row in expected], rtol=2e-5)
        np.testing.assert_allclose(scores.accuracy[:, :, place], [[e[0] for e in row] for row in expected], atol=0.004)
    for wrong in (replace(recipe, learning_rate=0.052), replace(recipe, momentum=0.88), replace(recipe, steps=7)):
        other = train_side_by_side([ARCHS[5]], SKELETON, wrong, 7, digits.train, tests, noise, (4, 6))
        assert np.abs(other.loss[1, :, 0] / scores.loss[1, :, 1] - 1).max() > 1e-4  # the comparison above would see it


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
