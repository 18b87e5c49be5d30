"""Scores by Jacobians, correlations and noise, against numpy."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mngnas.data.images import Batch
from mngnas.methods.training_free.az_nas import entropy, through, trainability_of
from mngnas.methods.training_free.jacob_cov import jacobian
from mngnas.methods.training_free.meco import smallest_eigenvalues
from mngnas.methods.training_free.zen import zen_score
from mngnas.methods.training_free.zico import layer_score
from mngnas.spaces.skeleton import Skeleton
from tests.methods.training_free.untrained import (
    ARCH,
    NOWHERE,
    SHORT,
    batch,
    finite_difference,
    method,
    network,
    score,
    weights,
)


def test_the_jacobian_is_that_of_finite_differences():
    net, images = network(dtype=torch.float64), batch(3, 4, torch.float64).images.contiguous()

    @torch.no_grad()
    def output():
        return net(images).sum()

    expected = finite_difference(output, images)  # of the sum over pictures: BatchNorm joins them
    np.testing.assert_allclose(jacobian(net, images).numpy(), expected.reshape(3, -1), atol=1e-6)


def test_jacob_cov_is_of_the_spectrum_of_the_correlations():
    found = method("jacob-cov", batch_size=10)
    rows = jacobian(found.network(ARCH), found.batch().images).numpy()
    v = np.linalg.eigvalsh(np.corrcoef(rows)) + 1e-5
    assert score("jacob-cov", batch_size=10) == pytest.approx(-(np.log(v) + 1 / v).sum(), rel=1e-6)
    assert math.isnan(score("jacob-cov", NOWHERE))


@pytest.mark.parametrize("classes", [10, 101])
def test_epe_compares_pictures_of_a_class(classes):
    found = method("epe-nas", skeleton=Skeleton(channels=3, cells=1, stages=2, classes=classes))
    images = batch(9).images
    labels = torch.tensor([0, 1, 0, 1, 0, 2, 5, 5, 1])
    rows = jacobian(network(), images).numpy()
    sums = []
    for label in (0, 1, 2, 5):
        r = np.atleast_2d(np.corrcoef(rows[labels.numpy() == label]))
        sums.append(np.log(np.abs(r) + 1e-5).sum() / (len(r) if classes > 100 else 1))
    expected = sum(abs(a - b) for a in sums for b in sums) / 4 if classes > 100 else sum(map(abs, sums))
    assert found.score(network(), Batch(images, labels)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("running", [False, True])
def test_zen_undoes_what_batch_norm_divides_by(running):
    x, moved = (batch(5, 8).images + change for change in (0.0, 0.01))
    net, logarithms, outputs = network(), [], []
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_hook(lambda _norm, a, _y: logarithms.append(a[0].numpy().var((0, 2, 3), ddof=1)))
    net.last.register_forward_hook(lambda _last, _x, y: outputs.append(y.numpy()))
    with torch.no_grad():
        net(x), net(moved)
    variances = logarithms[: len(logarithms) // 2]
    if running:
        variances = [0.9 + 0.1 * v for v in variances]
    expected = np.log(np.abs(outputs[1] - outputs[0]).sum((1, 2, 3)).mean())
    expected += sum(np.log(np.sqrt(v.mean())) for v in variances)
    assert zen_score(network(), x, moved, running) == pytest.approx(expected, rel=1e-4)


def test_zen_grows_by_the_scale_of_the_weights_that_batch_norm_hides():
    net, scaled = network(), network()
    with torch.no_grad():
        scaled.stem[0].weight.mul_(10)
    x, moved = (batch(5).images + change for change in (0.0, 0.01))
    assert zen_score(scaled, x, moved, False) - zen_score(net, x, moved, False) == pytest.approx(math.log(10), abs=2e-3)
    assert score("zen", NOWHERE) == -math.inf


def test_zico_is_of_means_and_deviations_over_batches():
    gradients = torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(0)).double()
    gradients[:, 0, 1] = 7.0  # never changes
    flat = gradients.reshape(3, -1).numpy()
    changing = flat.std(0) > 0
    expected = np.log((np.abs(flat).mean(0)[changing] / flat.std(0)[changing]).sum())
    assert layer_score(gradients) == pytest.approx(expected, rel=1e-9)
    assert layer_score(torch.ones(2, 5)) == 0.0


def test_zico_takes_different_batches_and_adds_layers():
    found = method("zico", batch_size=8)
    net, total = found.network(ARCH), 0.0
    found_gradients = []
    for number in range(2):
        loss = F.cross_entropy(net(found.batch(number).images), found.batch(number).labels)
        found_gradients.append(torch.autograd.grad(loss, weights(net)))
    for pair in zip(*found_gradients, strict=True):
        total += layer_score(torch.stack(pair))
    assert score("zico", batch_size=8) == pytest.approx(total, rel=1e-6)


def test_meco_looks_at_every_layer_once():
    net, image = network(), batch(1, 16).images
    expected = []
    for name, module in net.named_modules():
        if name.count("edges") or isinstance(module, nn.ReLU | nn.Conv2d | nn.BatchNorm2d | nn.AvgPool2d):
            if list(module.children()):
                continue
            module.register_forward_hook(
                lambda _module, _x, y: expected.append(
                    np.linalg.eigvalsh(np.nan_to_num(np.corrcoef(y[0].flatten(1).numpy().astype(float)))).min()
                )
            )
    with torch.no_grad(), np.errstate(invalid="ignore"):
        net(image)
    found = smallest_eigenvalues(network(), image)
    assert len(found) == len(expected) > 10
    np.testing.assert_allclose(sorted(found), sorted(expected), atol=1e-9)
    assert math.isfinite(score("meco", NOWHERE))


def test_entropy_counts_channels():
    """Independent channels of equal variance: the logarithm of their number; copies of one channel: nothing."""
    x = torch.linalg.qr(torch.randn(64, 4, generator=torch.Generator().manual_seed(0)).double()).Q
    x = torch.linalg.qr(x - x.mean(0)).Q
    independent = x.reshape(4, 4, 4, 4).permute(0, 3, 1, 2)
    assert entropy(independent) == pytest.approx(math.log(4), abs=1e-6)
    assert entropy(independent[:, :1].expand(-1, 4, -1, -1)) == pytest.approx(0, abs=1e-6)
    assert math.isnan(entropy(torch.zeros(2, 3, 4, 4)))


def test_trainability_is_of_the_largest_singular_value():
    draw = torch.Generator().manual_seed(0)
    g_out = torch.randn(3, 4, 2, 2, generator=draw)
    g_in = torch.randn(3, 2, 4, 4, generator=draw)  # twice as large: 2 x 4 channels after unshuffling
    total = np.zeros((8, 4))
    for n in range(3):
        for i in range(2):
            for j in range(2):
                inner = g_in[n, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].reshape(-1).numpy()
                total += np.outer(inner, g_out[n, :, i, j].numpy()) / 12
    s = np.linalg.svd(total)[1].max()
    assert trainability_of(g_in, g_out) == pytest.approx(2 - s - 1 / (s + 1e-6), rel=1e-5)
    assert trainability_of(g_out, g_out) == -math.inf


def test_a_block_that_does_nothing_cannot_be_trained():
    x = torch.randn(4, 3, 6, 6)
    y, found = through(nn.Identity(), x.clone(), torch.Generator().manual_seed(0))
    assert (torch.equal(y, x), found) == (True, -math.inf)
    conv = nn.Conv2d(3, 3, 1, bias=False)
    conv.weight.data = torch.diag(torch.tensor([4.0, 1.0, 0.5]))[:, :, None, None]
    _, found = through(conv, torch.randn(50, 3, 20, 20), torch.Generator().manual_seed(0))
    assert found == pytest.approx(2 - 4 - 1 / 4, abs=0.1)  # signs are uncorrelated: the estimate is the weight itself


def test_az_nas_joins_four_ranks_of_the_compared_set():
    found = method("az-nas", batch_size=4)
    archs = [ARCH, NOWHERE, (0, 0, 0, 1, 0, 0), (3, 3, 3, 3, 3, 3), (3, 3, 3, 0, 0, 0), (2, 0, 2, 0, 0, 2)]
    scores = found.scores("score", archs)
    columns = found.complete("score", archs, scores)
    assert list(columns) == ["score", "expressivity", "progressivity", "trainability", "complexity"]
    assert columns["complexity"][4] > columns["complexity"][1]  # dead edges' FLOPs count, nothing else of them
    assert scores["expressivity"][1] == scores["expressivity"][4] == -math.inf
    assert scores["trainability"][2] == -math.inf
    fewer = found.complete("score", archs[:2], {name: values[:2] for name, values in scores.items()})
    assert not np.array_equal(fewer["score"], columns["score"][:2])


def test_networks_are_as_the_public_code_draws_them():
    """Variance 2 / fan-in, no biases."""
    net = network(skeleton=Skeleton(channels=16, cells=1))
    net.draw_normal(lambda fan_in: math.sqrt(2 / fan_in), torch.Generator().manual_seed(0))
    for layer in net.layers():
        fan_in = layer.weight[0].numel()
        assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / fan_in), rel=0.2)
        assert layer.bias is None or not layer.bias.any()
    assert SHORT.channels < 16
