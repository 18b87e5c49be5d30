"""SUMNAS: where paths go on their own, and where the shared weights go."""

import copy

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mngnas.seeds import Stream, generator
from mngnas.spaces.topology import TOPOLOGY
from tests.methods.cases import case, make, weights


def ends(method, steps, stays=False):
    """Where each path of the first step arrives by PyTorch's own SGD from the method's weights, `[5, n]`."""
    batch, found = method.task.training_batch(0), []
    archs = TOPOLOGY.sample_strictly_fair(generator(0, Stream.STEP, 0))
    net = copy.deepcopy(method.supernet)
    start = copy.deepcopy(net.state_dict())
    optimizer = torch.optim.SGD(net.parameters(), 0.1, 0.9, nesterov=True)
    for arch in archs:
        net.load_state_dict(start)
        if not stays:
            optimizer = torch.optim.SGD(net.parameters(), 0.1, 0.9, nesterov=True)
        for _ in range(steps):
            optimizer.zero_grad()
            F.cross_entropy(net(batch.images, arch).logits, batch.labels).backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            optimizer.step()
        found.append(torch.cat([p.detach().flatten() for p in net.parameters()]))
    return torch.stack(found)


@pytest.mark.parametrize("stays", ["false", "true"])
@pytest.mark.parametrize("steps", [1, 2])
def test_the_weights_move_to_the_mean_of_where_paths_go(steps, stays):
    """With one inner step and a rate of 1 that is the mean of plain steps of SGD."""
    method = make(case(f"sumnas[inner_steps={steps},momentum_stays={stays}]"))
    expected = ends(method, steps, stays == "true").mean(0)
    before = weights(method)
    method.advance()
    assert (expected - before).abs().max() > 1e-3
    torch.testing.assert_close(weights(method), expected, rtol=1e-4, atol=1e-6)
    assert (method.passes, method.images_seen) == (5 * steps, 5 * steps * 16)


def test_the_outer_rate_is_how_far_they_go():
    whole, half = make(case("sumnas[momentum_stays=false]")), make(case("sumnas[outer_rate=0.5]"))
    before = weights(whole)
    expected = (before + ends(half, 2, stays=True).mean(0)) / 2
    half.advance()
    torch.testing.assert_close(weights(half), expected, rtol=1e-4, atol=1e-6)


def test_a_path_of_its_own_depends_on_no_other():
    """Without a momentum that stays, the order of the paths does not matter."""
    found = []
    for order in (1, -1):
        method = make(case("sumnas[momentum_stays=false]"))
        archs = TOPOLOGY.sample_strictly_fair(np.random.default_rng(0))[::order]
        method.space = type("Fixed", (), {"sample_strictly_fair": lambda _self, _rng, archs=archs: archs})()
        method.advance()
        found.append(weights(method))
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-6)
