"""What speed is measured against: the reference supernet computes the same; and the table of the command."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from bench.speed import measure as speed
from bench.speed.measure import Row, Setting, path_cost, table
from bench.speed.reference_supernet import ReferenceSupernet, scores, train_step
from mngnas.data.images import Batch, scoring_batch
from mngnas.nets.cell_supernet import CellSupernet
from mngnas.settings import ScoringConfig
from mngnas.spaces.skeleton import Skeleton
from mngnas.spaces.topology import CONV_1X1, CONV_3X3, TOPOLOGY
from mngnas.train.scoring import Scorer
from tests.nets.weights import moved
from tests.train.pictures import learnable_images

TINY = Setting("tiny", Skeleton(channels=4, cells=1), 8, 8, 40, 20)


@torch.no_grad()
def reference_twin(supernet):
    """A reference supernet with the weights of the fast one."""
    net, s = ReferenceSupernet(supernet.skeleton), supernet

    def take(conv, norm, weight, scale, shift):
        conv.weight.copy_(weight)
        if scale is not None:
            norm.weight.copy_(scale)
            norm.bias.copy_(shift)

    take(*net.stem, s.stem.weight, s.stem.scale, s.stem.shift)
    for mine, theirs in zip((cell for stage in net.stages for cell in stage), s.cells, strict=True):
        for edge, operations in enumerate(mine.edges):
            for op, convs in ((CONV_1X1, theirs.conv1x1), (CONV_3X3, theirs.conv3x3)):
                scale, shift = (None if one is None else one[edge] for one in (convs.scale, convs.shift))
                take(*list(operations[op])[1:], convs.weight[edge], scale, shift)
    for mine, theirs in zip(net.reductions, s.reductions, strict=True):
        if not s.skeleton.residual_reduction:
            take(*list(mine)[1:], theirs.conv.weight, theirs.conv.scale, theirs.conv.shift)
            continue
        for ours, one in ((mine.first, theirs.first), (mine.second, theirs.second)):
            take(*list(ours)[1:], one.weight, one.scale, one.shift)
        mine.shortcut[1].weight.copy_(theirs.shortcut)
    take(torch.nn.Conv2d(1, 1, 1), net.last, torch.ones(1, 1, 1, 1), s.last_scale, s.last_shift)
    net.head.weight.copy_(s.head_weight)
    net.head.bias.copy_(s.head_bias)
    return net


@pytest.mark.parametrize(
    "skeleton", [Skeleton(4, 2), Skeleton(8, 1, affine=True), Skeleton(8, 1, residual_reduction=False)], ids=str
)
def test_the_plain_supernet_computes_the_same(skeleton):
    supernet = moved(CellSupernet(skeleton, 0))
    net, images = reference_twin(supernet), torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    for arch in TOPOLOGY.sample_uniform(np.random.default_rng(0), 20):
        # With a learnt shift a convolution of nothing gives something; the fast supernet leaves such dead edges out.
        if skeleton.affine and 0 in arch:
            continue
        with torch.no_grad():
            torch.testing.assert_close(
                net(images, arch), supernet(images.contiguous(memory_format=torch.channels_last), arch).logits
            )


def test_plain_scores_are_the_scorers():
    supernet, valid = CellSupernet(TINY.skeleton, 0), learnable_images(40, seed=1)
    fast = Scorer(supernet, ScoringConfig(40, 20), valid, valid)
    archs = TOPOLOGY.sample_uniform(np.random.default_rng(0), 30)
    found = scores(reference_twin(supernet), [replace(b, images=b.images.contiguous()) for b in fast.batches], archs)
    np.testing.assert_allclose(found, fast(archs).accuracy, atol=1e-9)


def test_a_plain_step_learns():
    net, images = ReferenceSupernet(TINY.skeleton), learnable_images(40)
    whole = scoring_batch(images)
    optimizer = torch.optim.SGD(net.parameters(), 0.05, 0.9)
    batch = Batch(whole.images, whole.labels)
    losses = [train_step(net, optimizer, batch, (3, 1, 1, 3, 1, 1)) for _ in range(15)]
    assert losses[-1] < losses[0] - 0.5


def test_costs_are_counted():
    """All edges 3x3 on the smallest skeleton: the convolutions' multiplications and additions, by hand."""
    cost, moved = path_cost(TINY, [(3,) * 6])
    sizes = ((4, 64), (8, 16), (16, 4))  # channels, pixels
    cells = sum(6 * 9 * c * c * pixels for c, pixels in sizes)
    reductions = sum((9 * c * c // 2 + 9 * c * c + c * c // 2) * pixels for c, pixels in sizes[1:])
    assert cost == pytest.approx(2 * (3 * 9 * 4 * 64 + cells + reductions + 16 * 10), rel=1e-6)
    assert moved > 6 * 2 * 4 * sum(c * pixels for c, pixels in sizes)  # at least what the convolutions read and write
    assert path_cost(TINY, [(0,) * 6])[0] < cost / 3


def test_the_table_is_measured_and_printed(monkeypatch):
    monkeypatch.setattr(speed, "SETTINGS", (TINY,))
    monkeypatch.setattr(speed, "_everywhere", lambda _device, rate: rate())
    monkeypatch.setattr(speed, "_in_own_process", lambda function: function())
    rows = list(speed.measure("cpu", 0.05))
    assert [row.what.split(",")[0].split(" ")[0] for row in rows] == [
        *("training", "scoring", "memory", "loading", "bootstrap")
    ]
    assert all(row.fast > 0 for row in rows)
    assert all(row.plain > 0 and row.arithmetic > 0 and row.traffic > 0 for row in rows[:2])
    assert rows[2].fast < 4  # GB
    text = list(table(rows, "cpu"))
    assert "PyTorch" in text[0]
    assert all(line.count("|") == 10 for line in text[2:])


def test_gains_and_shares():
    more, less = Row("a", "1/s", 10, 5, 40), Row("b", "s", 5, 10, 2, more_is_better=False)
    assert more.gain == less.gain == 2
    lines = list(table([more, less], "cpu"))[4:]
    assert lines[0].endswith("| 10 | 5 | 2.0 x | 40 | 25 % |  |  |")
    assert lines[1].endswith("| 5 | 10 | 2.0 x | 2 | 40 % |  |  |")


@pytest.mark.slow
def test_scoring_the_full_size_takes_less_than_4_gb():
    """What grows with the number of architectures is two numbers each, and with the pictures the pictures."""
    few = replace(speed.SETTINGS[-1], scored=125)
    assert speed._in_own_process(partial(speed._scoring_memory, few, "cpu", 8)) < 4
