"""Scores by the ReLUs' codes, against loops over pairs of pictures and ReLUs."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from mngnas.methods.training_free.naswot import agreements
from mngnas.methods.training_free.te_nas import condition, linear_regions, tangent_kernel
from tests.methods.training_free.untrained import ARCH, NOWHERE, batch, method, network, score


def codes(net, images):
    """Every ReLU of every picture, `[b, n]`."""
    found = []
    for module in net.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(lambda _module, x, _y: found.append((x[0] > 0).flatten(1).numpy()))
    with torch.no_grad():
        net(images)
    return np.concatenate(found, axis=1)


@pytest.mark.parametrize("arch", [ARCH, (2, 3, 2, 3, 2, 3), (1, 1, 0, 0, 4, 0)])
def test_agreements_are_counted_pair_by_pair(arch):
    images = batch().images
    of_all = codes(network(arch), images)
    expected = [[sum(p == q for p, q in zip(a, b, strict=True)) for b in of_all.tolist()] for a in of_all.tolist()]
    np.testing.assert_array_equal(agreements(network(arch), images).numpy(), expected)


def test_naswot_is_the_log_of_the_determinant():
    found = method("naswot", batch_size=12)
    of_all = codes(found.network(ARCH), found.batch().images).astype(float)
    kernel = of_all @ of_all.T + (1 - of_all) @ (1 - of_all).T
    assert score("naswot", batch_size=12) == pytest.approx(np.linalg.slogdet(kernel)[1], rel=1e-9)


def test_pictures_with_the_same_codes_give_minus_infinity():
    assert score("naswot", NOWHERE) == -math.inf


def test_regions_are_the_different_codes_of_all_pictures():
    cell = network().blocks()[1]
    batches = [torch.randn(20, 3, 3, 3, generator=torch.Generator().manual_seed(n)) * 0.1 for n in (0, 1, 1)]
    expected = {tuple(row) for images in batches for row in codes(network().blocks()[1], images).tolist()}
    assert linear_regions(cell, batches) == len(expected) <= 40
    assert linear_regions(nn.Identity(), batches) == 0


def test_the_kernel_is_of_each_pictures_own_gradient():
    """BatchNorm joins the pictures, so each has a backward pass of its own through all of them."""
    net, images = network(dtype=torch.float64), batch(5, dtype=torch.float64).images
    rows = []
    for i in range(5):
        net.zero_grad()
        net(images)[i].sum().backward()
        rows.append(np.concatenate([p.grad.flatten() for n, p in net.named_parameters() if n.endswith("weight")]))
    kernel = tangent_kernel(net, images)
    np.testing.assert_allclose(kernel.numpy(), np.array(rows) @ np.array(rows).T, rtol=1e-9)
    assert condition(kernel) == pytest.approx(np.linalg.cond(kernel.numpy()), rel=1e-6)


def test_a_kernel_without_full_rank_has_no_condition():
    assert condition(torch.tensor([[1.0, 2.0], [2.0, 1.0]])) == math.inf
    assert condition(torch.zeros(2, 2)) == math.inf


def test_te_nas_is_the_mean_of_two_ranks():
    found = method("te-nas", batch_size=6, repeats=2)
    archs = [ARCH, (1, 1, 1, 1, 1, 1), (3, 3, 3, 3, 3, 3), (2, 0, 2, 0, 0, 2)]
    columns = found.complete("score", archs, found.scores("score", archs))
    assert list(columns) == ["score", "ntk", "regions"]
    ranks = [np.argsort(np.argsort(columns[name])) + 1 for name in ("ntk", "regions")]
    np.testing.assert_allclose(columns["score"], np.mean(ranks, axis=0) / 4)
    assert (columns["ntk"] < -1).all()
    assert columns["regions"][1] == 0
    (ranking,) = found.rankings()
    assert ranking.passes_each == pytest.approx(2 * (1 + 12 + 3) / 3)
