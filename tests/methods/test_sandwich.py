"""The sandwich rule: who teaches whom, and what that costs."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy
from torch.nn import functional as F

from mngnas.methods.supernet.sandwich import divergence
from mngnas.methods.supernet_method import Step
from mngnas.spaces.topology import TOPOLOGY
from tests.methods.cases import Case, make


def test_the_divergence_is_that_of_scipy():
    rng = np.random.default_rng(0)
    logits, target = rng.normal(size=(5, 7)), softmax(rng.normal(size=(5, 7)), 1)
    expected = np.mean([entropy(t, softmax(row)) for t, row in zip(target, logits, strict=True)])
    assert divergence(torch.tensor(logits), torch.tensor(target)).item() == pytest.approx(expected)


def test_nobody_learns_from_itself():
    logits = torch.randn(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    loss = divergence(logits, logits.detach().softmax(1))
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-15)
    assert logits.grad.abs().max() < 1e-15


def test_a_step_by_hand():
    """Cross-entropy of the largest alone; the smallest and two random ones by divergence from it, which it does not
    feel."""
    method = make(Case("sandwich"))
    batch, net = method.task.training_batch(0), method.supernet
    result = method.step(Step(0, batch, np.random.default_rng(3), 0.0))
    found = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    archs = [(3,) * 6, (0, 0, 0, 1, 0, 0), *TOPOLOGY.sample_uniform(np.random.default_rng(3), 2)]
    outputs = [net(batch.images, arch).logits for arch in archs]
    with torch.no_grad():
        target = outputs[0].softmax(1)
    terms = [-(target * out.log_softmax(1)).sum() / len(target) for out in outputs[1:]]  # the entropy has no gradient
    (F.cross_entropy(outputs[0], batch.labels) + sum(terms)).backward()
    for gradient, parameter in zip(found, net.parameters(), strict=True):
        torch.testing.assert_close(gradient, parameter.grad, rtol=1e-4, atol=1e-6)
    mean = np.mean([F.cross_entropy(out, batch.labels).item() for out in outputs])
    assert result.loss.item() == pytest.approx(mean, rel=1e-5)
    assert (result.passes, result.images) == (4, 4 * len(batch.labels))
