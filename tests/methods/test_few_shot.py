"""Supernets that are split: territories, weights right after a split, and what few-shot NAS trains when."""

import numpy as np
import pytest
import torch

from mngnas.errors import UserError
from mngnas.methods.split_method import divided, owns, sample, whole
from mngnas.methods.supernet.few_shot import FewShot, FewShotConfig
from mngnas.methods.supernet_method import INHERITED
from mngnas.spaces.topology import TOPOLOGY
from tests.methods.cases import ARCHS, SHORT, Case, bits, done, make_task, run


def few_shot(passes=30, **config):
    return FewShot(FewShotConfig(**config), make_task(skeleton=SHORT, passes=passes))


def test_a_territory_owns_what_is_drawn_in_it_and_all_of_that():
    parts = divided(whole(TOPOLOGY), 2, [[0, 3], [4, 1, 2]])
    assert [part[2] for part in parts] == [(0, 3), (1, 2, 4)]
    rng = np.random.default_rng(0)
    drawn = [sample(rng, parts[1]) for _ in range(2000)]
    assert all(owns(parts[1], arch) and not owns(parts[0], arch) for arch in drawn)
    for column, options in zip(zip(*drawn, strict=True), parts[1], strict=True):
        found, counts = np.unique(column, return_counts=True)
        assert tuple(found) == options
        assert abs(counts - 2000 / len(options)).max() < 5 * np.sqrt(2000 / len(options))


@pytest.mark.parametrize("edge", [0, 4])
def test_the_parts_are_disjoint_cover_the_space_and_have_3125_architectures_each(edge):
    method = run(few_shot(edge=edge))
    owners = np.array([[owns(own, arch) for own in method.territories] for arch in map(tuple, TOPOLOGY.all_archs)])
    assert owners.shape == (15_625, 5)
    assert (owners.sum(1) == 1).all()
    assert (owners.sum(0) == 3125).all()
    assert (owners.argmax(1) == TOPOLOGY.all_archs[:, edge]).all()
    assert [method.networks.index(method.network_of(arch)) for arch in ARCHS] == [arch[edge] for arch in ARCHS]


def test_right_after_the_split_every_output_is_the_parents():
    method = run(few_shot(one_shot=0.5), 15)
    before = method.scores(INHERITED, ARCHS)
    method.split([divided(method.territories[0], 0, [[option] for option in range(5)])])
    assert len({id(network) for network in method.networks}) == 5
    assert len({p.data_ptr() for network in method.networks for p in network.parameters()}) == 5 * len(
        list(method.supernet.parameters())
    )
    assert bits(method.scores(INHERITED, ARCHS)) == bits(before)


def test_the_optimiser_holds_all_networks_and_their_momentum_starts_at_zero():
    method = run(few_shot(one_shot=0.5), 15)
    assert len(method.networks) == 1
    assert method.optimizer.torch.state
    method.advance()  # the split, then a step of the first network: 15 % 5
    held = {id(p) for group in method.optimizer.torch.param_groups for p in group["params"]}
    assert held == {id(p) for network in method.networks for p in network.parameters()}
    first = {id(p) for p in method.networks[0].parameters()}
    touched = method.optimizer.torch.state
    assert {id(p) for p in touched} <= first
    for parameter in touched:  # Nesterov's first buffer is the gradient itself: no past in it
        assert torch.equal(touched[parameter]["momentum_buffer"], parameter.grad)


def test_a_step_trains_one_network_and_leaves_the_others():
    method = run(few_shot(one_shot=0.5), 16)
    for _ in range(6):
        before = [bits(network.state_dict()) for network in method.networks]
        turn = method.steps % 5
        method.advance()
        changed = [bits(network.state_dict()) != old for network, old in zip(method.networks, before, strict=True)]
        assert [number for number, new in enumerate(changed) if new] == [turn]


def test_the_learning_rate_starts_anew_for_the_sub_supernets():
    method, rates = few_shot(passes=21), []
    while not method.done:
        method.advance()
        rates.append(method.optimizer.torch.param_groups[0]["lr"])
    course = [k / 6 for k in range(6)] + [k / 15 for k in range(15)]
    assert rates == pytest.approx([0.1 * (1 + np.cos(np.pi * share)) / 2 for share in course])


def test_an_architecture_has_the_score_of_the_part_that_owns_it_as_it_is_written():
    """Two ways to write one live graph: equal outputs of equal weights, but other owners and so other scores."""
    method = done(Case("few-shot")).method
    written = [(0, 3, 0, 0, 0, 1), (3, 3, 0, 0, 0, 1)]  # nothing leaves node 1
    assert TOPOLOGY.canonical(written[0]) == TOPOLOGY.canonical(written[1])
    found = method.scores(INHERITED, written)["minus_loss"]
    assert found[0] != found[1]
    assert not any(ranking.by_canonical for ranking in method.rankings())
    alone = [-method.scorer([arch], method.networks[arch[0]]).loss[0] for arch in written]
    assert found.tolist() == alone


def test_an_edge_that_is_none_is_a_users_mistake():
    with pytest.raises(UserError, match=r"^few-shot.edge = 6 must be at most 5 in nas-bench-201$"):
        few_shot(edge=6)
