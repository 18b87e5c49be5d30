"""RD-NAS: pairs, the ranking loss, its teacher."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mngnas.errors import UserError
from mngnas.methods.supernet import rd_nas
from mngnas.methods.supernet.rd_nas import ranking_loss, rising
from mngnas.methods.supernet_method import Step
from mngnas.spaces.topology import TOPOLOGY
from tests.methods.cases import ARCHS, METHODS, SHORT, Case, case, make, run


@pytest.mark.parametrize(
    ("losses", "sign", "expected"),
    [
        ((1.0, 2.0), 1, 0.0),  # the first is to be lower and is so by more than the margin
        ((1.0, 1.3), 1, 0.2),  # by less
        ((1.3, 1.0), 1, 0.8),
        ((1.3, 1.0), -1, 0.2),  # the other teacher
        ((2.0, 1.0), -1, 0.0),
        ((2.0, 1.0), 0, 0.0),  # no preference
    ],
)
def test_the_ranking_loss(losses, sign, expected):
    both = torch.tensor(losses, requires_grad=True)
    loss = ranking_loss(both, sign, 0.5)
    loss.backward()
    assert loss.item() == pytest.approx(expected)
    assert both.grad.tolist() == ([sign, -sign] if expected else [0, 0])


def test_the_weight_over_the_budget():
    """2 sin(.8 pi e / E) at 0, E/2 and E."""
    assert rising(0) == 0
    assert 2 * rising(0.5) == pytest.approx(2 * math.sin(math.radians(72)))
    assert 2 * rising(1) == pytest.approx(2 * math.sin(math.radians(36)))  # sin(144 degrees)
    assert max(map(rising, np.linspace(0, 1, 1001))) == pytest.approx(1) == rising(0.625)


def test_the_distance_by_kinds_of_operations():
    method = make(Case("rd-nas"))
    convolutions = {2, 3}
    table = {
        (a, b): 0 if a == b else 2 if (a in convolutions) != (b in convolutions) else 0.5
        for a, b in product(range(5), repeat=2)
    }
    for one, other in zip(ARCHS, ARCHS[::-1], strict=True):
        assert method.distance(one, other) == sum(table[pair] for pair in zip(one, other, strict=True))
    assert 6 * np.mean(list(table.values())) == pytest.approx(6.72)


def test_pairs_are_far_apart():
    method = make(Case("rd-nas"))
    found = [method.distance(*method.draw(np.random.default_rng(seed))) for seed in range(300)]
    assert np.mean(np.array(found) >= 6.7) > 0.95  # some first paths have few that are as far
    near = make(case("rd-nas[apart=0.0]"))
    assert np.mean([near.distance(*near.draw(np.random.default_rng(s))) >= 6.7 for s in range(300)]) < 0.7
    never = make(case("rd-nas[apart=100.0]"))
    one, other = never.draw(np.random.default_rng(5))
    rng = np.random.default_rng(5)
    assert [one, other] == [TOPOLOGY.sample_uniform(rng, 1)[0], TOPOLOGY.sample_uniform(rng, 10)[-1]]


@pytest.mark.parametrize("spent", [0.0, 0.3, 1.0])
def test_a_step_by_hand(spent):
    method = make(case("rd-nas[margin=0.2]"))
    batch, net = method.task.training_batch(0), method.supernet
    result = method.step(Step(0, batch, np.random.default_rng(7), spent))
    found = [None if p.grad is None else p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    pair = method.draw(np.random.default_rng(7))
    flops = TOPOLOGY.flops(np.array(pair), SHORT, 8)
    assert flops[0] != flops[1]
    better, worse = pair if flops[0] > flops[1] else pair[::-1]
    good, bad = (F.cross_entropy(net(batch.images, arch).logits, batch.labels) for arch in (better, worse))
    (good + bad + 2 * math.sin(0.8 * math.pi * spent) * (0.2 + good - bad).clamp_min(0)).backward()
    for gradient, parameter in zip(found, net.parameters(), strict=True):
        torch.testing.assert_close(gradient, parameter.grad, rtol=1e-4, atol=1e-6)
    assert result.loss.item() == pytest.approx((good + bad).item() / 2)
    assert (result.passes, result.images) == (2, 32)


def test_closed_forms_as_teachers():
    for name, expected in (
        ("flops", TOPOLOGY.flops(np.array(ARCHS), SHORT, 8)),
        ("parameters", TOPOLOGY.parameters(np.array(ARCHS), SHORT)),
    ):
        assert make(case(f"rd-nas[teacher={name}]")).teacher(ARCHS).tolist() == expected.tolist()


def test_a_training_free_method_as_teacher(monkeypatch):
    """One pass for each architecture that it scores."""
    monkeypatch.setattr(rd_nas, "methods", lambda: METHODS)
    monkeypatch.setattr(rd_nas, "method_entry", METHODS.get)
    method = make(case("rd-nas[teacher=toy-grad-norm]"))
    toy = make(Case("toy-grad-norm"))
    assert method.teacher(ARCHS[:3]).tolist() == toy.scores("score", ARCHS[:3])["score"].tolist()
    run(method, 3)
    assert method.passes == 3 * 4


def test_an_unknown_teacher():
    with pytest.raises(
        UserError, match=r"unknown rd-nas.teacher 'flop'; did you mean 'flops'\? available: flops, param"
    ):
        make(case("rd-nas[teacher=flop]"))
    with pytest.raises(UserError, match=r"unknown rd-nas.teacher 'spos'"):
        make(case("rd-nas[teacher=spos]"))


@pytest.mark.parametrize("scores", [(float("nan"), 1.0), (1.0, 1.0), (-math.inf, -math.inf)])
def test_a_teacher_without_a_preference_changes_nothing(scores):
    found = []
    for weight in (0.0, 2.0):
        method = make(case(f"rd-nas[weight={weight}]"))
        method.teacher = lambda _archs: np.array(scores)
        method.step(Step(0, method.task.training_batch(0), np.random.default_rng(7), 0.5))
        found.append(torch.cat([p.grad.flatten() for p in method.supernet.parameters() if p.grad is not None]))
    assert torch.equal(*found)
