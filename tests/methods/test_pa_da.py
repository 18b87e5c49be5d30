"""PA&DA: the two distributions, what is learnt for them, and the bias of leaving out importance weights."""

from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mngnas.methods.supernet.pa_da import distances_to, mixed, renewed
from mngnas.methods.supernet_method import Step
from tests.methods.cases import Case, case, done, make, run


def test_probabilities():
    norms = np.array([4.0, 0.0, 1.0, 3.0])
    assert mixed(norms, 0.0).tolist() == [0.25] * 4
    np.testing.assert_allclose(mixed(norms, 1.0), [0.5, 0, 0.125, 0.375])
    for share in (0.0, 0.3, 0.999):
        p = mixed(norms, share)
        assert p.sum() == pytest.approx(1)
        assert (p > 0).all()
        np.testing.assert_allclose(p, share * norms / 8 + (1 - share) / 4)


def test_what_is_not_known_yet_has_the_mean():
    np.testing.assert_allclose(mixed(np.array([1.0, np.nan, 3.0]), 1.0), [1 / 6, 1 / 3, 1 / 2])
    for nothing in (np.full(3, np.nan), np.zeros(3)):
        assert mixed(nothing, 1.0).tolist() == [1 / 3] * 3


def test_running_means():
    norm = np.array(np.nan)
    for new, expected in ((8.0, 8.0), (4.0, 6.0), (0.0, 3.0)):
        norm = renewed(norm, new)
        assert norm == expected


def test_the_distance_of_a_prediction_is_the_norm_of_its_gradient():
    logits = torch.randn(6, 10, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    labels = torch.arange(6)
    F.cross_entropy(logits, labels, reduction="sum").backward()
    torch.testing.assert_close(distances_to(logits.detach(), labels), logits.grad.norm(dim=1))


def test_norms_of_operations_by_hand():
    method = run(make(Case("pa-da")), 1)
    arch = method.draw(np.random.default_rng([0, 3, 0]), 0.0)
    assert not np.isnan(method.of_options[list(arch)]).any()
    assert np.isnan(np.delete(method.of_options, list(arch))).all()
    method.optimizer.update = lambda _spent: None  # leaves the gradients that the step made
    old = method.of_options.copy()
    method.advance()
    arch = method.draw(np.random.default_rng([0, 3, 1]), method.task.training.passes**-1)
    for option in set(arch):
        edges = [edge for edge in range(6) if arch[edge] == option]
        convs = [c.conv1x1 if option == 2 else c.conv3x3 for c in method.supernet.cells if option in (2, 3)]
        new = sum(conv.weight.grad[edge].norm().item() for conv in convs for edge in edges)
        expected = new / len(edges) if np.isnan(old[option]) else (old[option] + new / len(edges)) / 2
        assert method.of_options[option] == pytest.approx(expected, rel=1e-5)


def test_norms_of_pictures_by_hand():
    method = make(Case("pa-da"))
    batch = method.training_batch(0)
    assert torch.equal(batch.labels, method.task.images.train.labels[method._picked])
    rng = np.random.default_rng(2)
    arch = method.draw(np.random.default_rng(2), 0.0)
    with torch.no_grad():
        wrong = method.supernet(batch.images, arch).logits.softmax(1) - F.one_hot(batch.labels, 10)
    method.step(Step(0, batch, rng, 0.0))
    for picture in set(method._picked):
        values = wrong.norm(dim=1)[torch.as_tensor(method._picked == picture)].tolist()
        expected = values[0]
        for value in values[1:]:
            expected = (expected + value) / 2
        assert method.of_pictures[picture] == pytest.approx(expected, rel=1e-5)
    assert np.isnan(method.of_pictures).sum() == 160 - len(set(method._picked))


def test_draws_follow_the_distributions():
    method = make(Case("pa-da"))
    method.of_options = np.array([0.0, 0.0, 1.0, 3.0, 0.0])
    method.of_pictures = np.arange(160.0)
    paths = np.array([method.draw(np.random.default_rng(n), 0.8) for n in range(2000)])
    p = np.array([0, 0, 0.2, 0.6, 0]) + 0.04
    counts = np.bincount(paths.ravel(), minlength=5)
    assert (((counts - 12_000 * p) ** 2) / (12_000 * p)).sum() < 18.5  # chi-squared, 4 degrees of freedom, .999
    method.passes = 60.0  # half of the budget
    picked = np.concatenate([(method.training_batch(n), method._picked)[1] for n in range(200)])
    assert picked.mean() == pytest.approx((79.5 + 106) / 2, abs=3)  # by turns uniform and in proportion


@pytest.mark.parametrize(("part", "other"), [("paths", "pictures"), ("pictures", "paths")])
def test_a_part_that_is_off_is_uniform(part, other):
    method = done(case(f"pa-da[{part}=false]")).method
    found = {"paths": method.options(1.0), "pictures": method.pictures(1.0)}
    assert np.ptp(found[part]) < 1e-12 < np.ptp(found[other])


def expected_gradient(weights):
    """The mean gradient over what is drawn, by enumeration, and that of uniform draws: two edges of five operations
    each, three pictures, batches of one."""
    method = make(case(f"pa-da[weights={weights}]"))
    norms = np.array([0.5, 1.0, 2.0, 4.0, 1.5]), np.linspace(1, 5, 160)
    share, pictures = 0.7, [3, 80, 159]
    p, net, found, uniform = mixed(norms[0], share), method.supernet, 0, 0
    q = mixed(norms[1], share)
    for first, last, picture in product(range(5), range(5), pictures):
        arch = (first, 3, 1, 1, 2, last)
        fixed = np.prod(1 / (5 * p[[3, 1, 1, 2]]))  # what the path's weight has from the edges that are not drawn here
        method._picked = np.array([picture])
        batch = method.task.picked_batch(method._picked, 0)
        gradients = []
        for of_options, of_pictures, where, scale in (
            (norms[0], norms[1], share, fixed if weights == "true" else 1.0),
            (np.ones(5), np.ones(160), 0.0, 1.0),
        ):
            method.of_options, method.of_pictures = of_options.copy(), of_pictures.copy()
            net.zero_grad()
            method.step(Step(0, batch, SimpleNamespace(choice=lambda *_a, arch=arch, **_k: np.array(arch)), where))
            parts = [torch.zeros_like(w) if w.grad is None else w.grad / scale for w in net.parameters()]
            gradients.append(torch.cat([part.flatten() for part in parts]))
        found = found + p[first] * p[last] * q[picture] * gradients[0].double()
        uniform = uniform + gradients[1].double() / 25 / 160
    return found, uniform


def test_with_importance_weights_the_gradient_is_unbiased_and_without_it_is_not():
    found, uniform = expected_gradient("true")
    assert (found - uniform).norm() < 1e-4 * uniform.norm()
    found, uniform = expected_gradient("false")
    found = found * (uniform @ found) / (found @ found)  # not even in its direction
    assert (found - uniform).norm() > 0.05 * uniform.norm()


def test_it_costs_a_pass_a_step():
    method = run(make(Case("pa-da")), 3)
    assert (method.passes, method.images_seen) == (3, 48)
