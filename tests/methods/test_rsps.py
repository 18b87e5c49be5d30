"""Random search with parameter sharing: its training, its proposal, and what the public code does."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mngnas.data.images import scoring_batch
from mngnas.errors import UserError
from mngnas.methods.supernet_method import Step
from mngnas.nets.norms import batch_norm
from mngnas.nets.supernet import Supernet
from mngnas.seeds import Stream, generator
from mngnas.spaces.topology import TOPOLOGY
from tests.methods.cases import Case, case, done, make, weights


def candidates():
    rng = generator(0, Stream.METHOD)
    return TOPOLOGY.sample_uniform(rng, 100), rng


def test_training_is_spos_bit_for_bit():
    assert torch.equal(weights(done(Case("rsps")).method), weights(done(Case("spos")).method))


def test_it_proposes_the_best_of_a_hundred_once_training_is_over():
    method = done(Case("rsps")).method
    archs, _ = candidates()
    accuracy = method.scorer(archs).accuracy
    (found,) = method.proposal()
    assert accuracy[archs.index(found)] == accuracy.max() > accuracy.mean()
    assert list(make(Case("rsps")).proposal()) == []


def test_as_published_each_candidate_has_a_batch_of_its_own():
    method = done(case("rsps[batch=8]")).method
    archs, rng = candidates()
    valid, right = method.task.images.valid, []
    with torch.no_grad():
        for arch in archs:
            batch = scoring_batch(valid.subset(rng.choice(len(valid), 8, replace=False)))
            right.append((method.supernet(batch.images, arch).logits.argmax(1) == batch.labels).sum().item())
    assert list(method.proposal()) == [archs[int(np.argmax(right))]]
    assert len(set(right)) > 2


def test_a_batch_is_no_larger_than_the_validation_set():
    method = make(case("rsps[batch=1000]"))
    found = method._accuracies(TOPOLOGY.sample_uniform(np.random.default_rng(0), 3), np.random.default_rng(0))
    n = len(method.task.images.valid)
    np.testing.assert_allclose(found * n, np.round(found * n))


def test_the_same_architecture_in_all_cells_is_the_path():
    method = make(Case("rsps"))
    images, arch = method.task.training_batch(0).images, (3, 2, 1, 4, 0, 3)
    same, mixed = (method.supernet.per_cell(images, archs).logits for archs in ([arch] * 2, [arch, (1,) * 6]))
    assert torch.equal(same, method.supernet(images, arch).logits)
    assert not torch.equal(same, mixed)


def test_a_step_with_an_architecture_for_each_cell():
    method = make(case("rsps[per_cell=true]"))
    batch, net = method.task.training_batch(0), method.supernet
    result = method.step(Step(0, batch, np.random.default_rng(1), 0.0))
    found = [None if p.grad is None else p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    first, second = (TOPOLOGY.canonical(arch) for arch in TOPOLOGY.sample_uniform(np.random.default_rng(1), 2))
    x = net.cells[0](net.stem(batch.images, batch_norm), first, batch_norm)
    x = net.cells[1](net.reductions[0](x, batch_norm), second, batch_norm)
    x = F.relu(batch_norm(x, net.last_scale, net.last_shift)).mean((2, 3))
    loss = F.cross_entropy(F.linear(x, net.head_weight, net.head_bias), batch.labels)
    loss.backward()
    for gradient, parameter in zip(found, net.parameters(), strict=True):
        assert (gradient is None) == (parameter.grad is None)
        assert gradient is None or torch.equal(gradient, parameter.grad)
    assert result.loss == loss.detach()
    assert (result.passes, result.images) == (1, 16)


def test_a_supernet_without_cells_says_so():
    class Plain(Supernet):
        space = TOPOLOGY
        forward = mixed = None

    for call in (lambda: Plain().per_cell(torch.zeros(1), []), lambda: Plain().gradient_norms()):
        with pytest.raises(UserError, match="nas-bench-201"):
            call()
