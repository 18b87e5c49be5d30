"""CLOSE: its supernet beside the plain one, the gate, added blocks, and the price of a step."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mngnas.errors import UserError
from mngnas.methods.supernet.close import Close, CloseConfig
from mngnas.nets.build import build_supernet
from mngnas.nets.close_supernet import CloseSupernet
from mngnas.nets.norms import batch_norm
from mngnas.spaces.topology import CONV_1X1, CONV_3X3, TOPOLOGY
from tests.methods.cases import ARCHS, SHORT, make_task, run
from tests.train.pictures import random_batch

PATH = (3, 1, 2, 2, 3, 1)


def close(passes=60, **config):
    return Close(CloseConfig(**config), make_task(skeleton=SHORT, passes=passes))


def network(blocks=3, active=3):
    """With blocks that differ, and a gate that prefers none over all edges; `active` of them are in use."""
    found = CloseSupernet(SHORT, 4, blocks)
    found.active.fill_(active)
    with torch.no_grad():
        found.gate.last.bias -= torch.cat([found.gate(TOPOLOGY.canonical(arch)) for arch in ARCHS]).mean(0)
    return found


def logits(net, archs=ARCHS):
    with torch.no_grad():
        return torch.stack([net(random_batch()[0], arch).logits for arch in archs])


def test_with_one_block_it_is_the_plain_supernet_whose_edges_share_their_weights():
    one, plain = network(active=1), build_supernet(TOPOLOGY, SHORT, 0)
    state = {name: value for name, value in one.state_dict().items() if not name.startswith(("gate", "active"))}
    for name, value in state.items():
        if ".conv" in name:
            state[name] = value[:1].expand(6, *value.shape[1:])
    plain.load_state_dict(state)
    assert torch.equal(logits(one), logits(plain))


def test_each_edge_runs_the_block_that_the_gate_gives_it():
    net, plain = network(), build_supernet(TOPOLOGY, SHORT, 0)
    chosen_of_all = set()
    for arch in ARCHS:
        chosen = net.gate(TOPOLOGY.canonical(arch)).argmax(1)
        chosen_of_all.add(tuple(chosen.tolist()))
        state = {name: value for name, value in net.state_dict().items() if not name.startswith(("gate", "active"))}
        plain.load_state_dict({name: v[chosen] if ".conv" in name else v for name, v in state.items()})
        assert torch.equal(logits(net, [arch]), logits(plain, [arch]))
    assert len(set(sum(chosen_of_all, ()))) > 1


def test_adding_a_block_changes_no_output():
    net = network(blocks=3, active=1)
    for new in (1, 2):
        before = logits(net)
        assert net.add_block() == new
        assert int(net.active) == new + 1
        assert torch.equal(logits(net), before)
        for parameter in net.block_parameters():
            assert parameter.shape[0] == 3
            assert torch.equal(parameter[new], parameter[new - 1])


def test_the_gate_sees_the_live_graph_and_nothing_of_dead_edges():
    net = network()
    for arch in ARCHS:
        assert torch.equal(logits(net, [arch]), logits(net, [TOPOLOGY.canonical(arch)]))
    gates = torch.stack([net.gate(TOPOLOGY.canonical(arch)) for arch in ARCHS])
    assert gates.shape == (12, 6, 3)
    assert gates.std(0).min() > 0  # every logit depends on the architecture


def test_a_gated_path_has_the_drawn_blocks_value_and_every_blocks_share_of_the_gradient():
    """Beside a plain mixture of all blocks whose weights are the gate's, detached and differentiated by hand."""
    net, (images, labels) = network(), random_batch()
    noise = torch.as_tensor(np.random.default_rng(3).gumbel(size=(6, 3)), dtype=torch.float32)
    output = net.gated(images, PATH, noise)
    drawn = (net.gate(PATH) + noise).argmax(1)
    F.cross_entropy(output.logits, labels).backward()
    got = {name: parameter.grad for name, parameter in net.named_parameters()}

    gates = F.one_hot(drawn, 3).float().requires_grad_(True)

    def operate(cell, edge, op, x):
        if op not in (CONV_1X1, CONV_3X3):
            return cell.operate(0, op, x, None, batch_norm)
        return sum(gates[edge, block] * cell.operate(block, op, x, None, batch_norm) for block in range(3))

    whole = net._run(images, TOPOLOGY.canonical(PATH), operate, batch_norm)
    torch.testing.assert_close(output.logits, whole.logits)
    own = {name: parameter for name, parameter in net.named_parameters() if not name.startswith("gate.")}
    loss = F.cross_entropy(whole.logits, labels)
    found = torch.autograd.grad(loss, [gates, *own.values()], materialize_grads=True)
    for name, expected in zip(own, found[1:], strict=True):
        torch.testing.assert_close(got[name], expected, rtol=1e-4, atol=1e-6)
    soft = ((net.gate(PATH) + noise) / 5).softmax(1)
    last = torch.autograd.grad((soft * found[0]).sum(), net.gate.last.weight)[0]
    torch.testing.assert_close(got["gate.last.weight"], last, rtol=1e-4, atol=1e-7)
    assert last.any()


def test_many_architectures_at_once_are_the_same_as_one_by_one():
    net, images = network(), random_batch()[0]
    lives = sorted({TOPOLOGY.canonical(arch) for arch in ARCHS}, key=TOPOLOGY.to_rank)
    with torch.no_grad():
        assert torch.equal(torch.stack(list(net.each(images, lives))), logits(net, lives))
        assert torch.equal(net.together(images, lives), logits(net, lives))


def test_blocks_come_when_they_are_due_and_every_step_pays_for_those_in_use():
    method, seen = close(), []
    while not method.done:
        spent, passes = method.spent, method.passes
        method.advance()
        blocks = int(method.network.active)
        seen.append(blocks)
        assert blocks == min(4, 1 + int(spent / 0.2))
        assert method.passes - passes == pytest.approx(1 + (blocks - 1) / 3)
    assert seen == sorted(seen)
    assert set(seen) == {1, 2, 3, 4}
    assert method.images_seen == 16 * method.steps


def test_an_added_blocks_momentum_starts_at_zero_and_others_keep_theirs():
    method = run(close(), 12)
    assert int(method.network.active) == 1
    before = {p: s["momentum_buffer"].clone() for p, s in method.optimizer.torch.state.items()}
    assert any(momentum[1].any() or momentum[0].any() for p, momentum in before.items() if p.ndim == 5)
    method._add_block()
    for parameter in method.network.block_parameters():
        after = method.optimizer.torch.state[parameter]["momentum_buffer"]
        assert not after[1].any()
        assert torch.equal(after[0], before[parameter][0])


def test_the_learning_rate_starts_anew_at_the_restart():
    rates = {}
    for restart in (0.4, 0.0):
        method, rates[restart] = close(passes=20, blocks=1, restart=restart), []
        while not method.done:
            method.advance()
            rates[restart].append(method.optimizer.torch.param_groups[0]["lr"])
    courses = {0.4: [k / 8 for k in range(8)] + [k / 12 for k in range(12)], 0.0: [k / 20 for k in range(20)]}
    for restart, course in courses.items():
        assert rates[restart] == pytest.approx([0.1 * (1 + np.cos(np.pi * share)) / 2 for share in course])


def test_more_blocks_than_the_budget_has_room_for_are_a_users_mistake():
    with pytest.raises(UserError, match=r"^close.blocks = 6, one every 0.2 of the budget, are too many for it$"):
        CloseConfig(blocks=6)
