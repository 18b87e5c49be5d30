"""DYNAS: courses of the learning rate, and momenta of groups of paths."""

import copy

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mngnas.methods.supernet_method import Step
from mngnas.spaces.topology import TOPOLOGY
from tests.methods.cases import SHORT, Case, bits, case, make, make_task, run, weights


def momenta(method):
    """For each group the momenta of its weights, as bits; a weight that no path of the group has used has none."""
    return [bits(optimizer.torch.state_dict()["state"]) for optimizer in method.optimizers]


def test_the_exponent_is_linear_in_the_logarithm_of_the_parameters():
    method = make(Case("dynas"))
    assert method.exponent((0, 1, 4, 0, 0, 1)) == pytest.approx(4)
    assert method.exponent((3,) * 6) == pytest.approx(1 / 4)
    archs = TOPOLOGY.all_archs[::97]
    logs = np.log(TOPOLOGY.parameters(TOPOLOGY.all_archs, SHORT))
    expected = np.interp(logs[::97], [logs.min(), logs.max()], [4, 1 / 4])
    np.testing.assert_allclose([method.exponent(tuple(arch)) for arch in archs.tolist()], expected)


@pytest.mark.parametrize("steepest", [1.0, 4.0])
def test_the_learning_rate_of_a_path(steepest):
    """With exponent 1 it falls in a straight line."""
    method = make(case(f"dynas[steepest={steepest}]"), task=make_task(skeleton=SHORT, passes=8))
    while not method.done:
        spent = method.spent
        method.advance()
        rate = method.optimizers[method.group(method._arch)].torch.param_groups[0]["lr"]
        power = 1 if steepest == 1 else method.exponent(method._arch)
        assert rate == pytest.approx(0.1 * (1 - spent) ** power)


def test_without_its_parts_it_is_spos_bit_for_bit():
    plain, single = run(make(case("dynas[rates=false,momenta=false]")), 12), run(make(Case("spos")), 12)
    assert torch.equal(weights(plain), weights(single))
    assert len(plain.optimizers) == 1


def test_an_update_changes_the_momentum_of_the_paths_group_alone():
    method, seen = make(Case("dynas")), set()
    for _ in range(20):
        before = momenta(method)
        method.advance()
        group = method._arch[method.edge]
        seen.add(group)
        for number, (old, new) in enumerate(zip(before, momenta(method), strict=True)):
            assert (old == new) == (number != group)
    assert seen == {0, 1, 2, 3, 4}


def test_some_steps_by_hand():
    """Five optimisers of PyTorch on the same weights, each for its group."""
    method = make(Case("dynas"))
    net, settings = copy.deepcopy(method.supernet), method.task.training
    optimizers = [torch.optim.SGD(net.parameters(), 0.1, 0.9, nesterov=True) for _ in range(5)]
    for number in range(10):
        spent = method.spent
        method.advance()
        batch, arch = method.task.training_batch(number), method._arch
        net.zero_grad()
        F.cross_entropy(net(batch.images, arch).logits, batch.labels).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), settings.clip)
        mine = optimizers[arch[method.edge]]
        mine.param_groups[0]["lr"] = 0.1 * (1 - spent) ** method.exponent(arch)
        mine.step()
    for one, other in zip(method.supernet.parameters(), net.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_the_edge_is_a_function_of_the_seed():
    edges = [make(Case("dynas"), seed).edge for seed in range(12)]
    assert edges == [make(Case("dynas"), seed).edge for seed in range(12)]
    assert set(edges) <= set(range(6))
    assert len(set(edges)) > 2


def test_paths_are_uniform():
    method = make(Case("dynas"))
    method.step(Step(0, method.task.training_batch(0), np.random.default_rng(4), 0.0))
    assert [method._arch] == TOPOLOGY.sample_uniform(np.random.default_rng(4), 1)
