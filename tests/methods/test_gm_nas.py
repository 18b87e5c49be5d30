"""Gradient matching: distances, the best cut, what is measured, and what it costs."""

from itertools import combinations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mngnas.errors import UserError
from mngnas.methods.split_method import owns, whole
from mngnas.methods.supernet.gm_nas import GmNas, GmNasConfig, best_cut, cosine_distances, shared_gradient
from mngnas.methods.supernet_method import INHERITED
from mngnas.spaces.topology import TOPOLOGY
from tests.methods.cases import ARCHS, SHORT, bits, case, done, make_task, run

PATH = (3, 1, 2, 4, 3, 1)


def gm_nas(passes=200, seed=0, **config):
    return GmNas(GmNasConfig(**config), make_task(seed, skeleton=SHORT, passes=passes))


def test_distances_are_symmetric_zero_on_the_diagonal_and_scale_free():
    gradients = torch.randn(5, 40, generator=torch.Generator().manual_seed(0))
    found = cosine_distances(gradients)
    np.testing.assert_allclose(found, found.T, atol=1e-12)
    assert (np.diag(found) == 0).all()
    scaled = gradients * torch.tensor([1e-6, 3.0, 1e5, 0.2, 1.0])[:, None]
    np.testing.assert_allclose(cosine_distances(scaled), found, atol=1e-6)
    for i, j in combinations(range(5), 2):
        assert found[i, j] == pytest.approx(1 - F.cosine_similarity(gradients[i], gradients[j], dim=0).item(), abs=1e-5)


def test_gradients_of_zero_are_like_each_other_and_like_nothing_else():
    gradients = torch.eye(4)[:, :3]
    gradients[3] = gradients[2] = 0
    found = cosine_distances(gradients)
    assert found[2, 3] == 0
    assert found[0, 2] == found[1, 3] == 1


def test_the_best_cut_is_the_best_of_ten_and_keeps_equal_gradients_together():
    rng = np.random.default_rng(1)
    for _ in range(20):
        gradients = torch.as_tensor(rng.normal(size=(5, 6)))
        same = rng.choice(5, 2, replace=False)
        gradients[same[0]] = 7 * gradients[same[1]]
        distances = cosine_distances(gradients)
        found = best_cut(3, distances)
        cuts = []
        for pair in combinations(range(5), 2):
            rest = [option for option in range(5) if option not in pair]
            cuts.append(sum(distances[i, j] for i in pair for j in rest))
        assert len(cuts) == 10
        assert found.distance == pytest.approx(max(cuts))
        assert sorted(map(len, found.groups)) == [2, 3]
        assert sorted(found.groups[0] + found.groups[1]) == [0, 1, 2, 3, 4]
    clear = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 2.0], [3.0, 0.0], [0.0, 0.1]])
    assert best_cut(0, cosine_distances(clear)).groups == ((0, 3), (1, 2, 4))


def test_a_shared_gradient_is_of_other_edges_and_reductions_alone():
    method = gm_nas()
    network, batch = method.supernet, method.task.training_batch(0)
    found = shared_gradient(network, PATH, 4, batch)
    F.cross_entropy(network(batch.images, PATH).logits, batch.labels).backward()
    expected = []
    for parameter in network.cells.parameters():
        expected.append(parameter.grad.clone())
        assert expected[-1][4].any() == (parameter.ndim == 5 and parameter.shape[-1] == 3)
        expected[-1][4] = 0
    expected += [parameter.grad for parameter in network.reductions.parameters()]
    assert torch.equal(found, torch.cat([one.flatten() for one in expected]))
    assert found.any()


def test_measuring_leaves_weights_and_gradients_alone():
    method = gm_nas()
    before = bits(method.supernet.state_dict())
    batches = [method.further_batch(n) for n in range(3)]
    found = method.distances(method.supernet, whole(TOPOLOGY), 0, batches, np.random.default_rng(0))
    assert found.shape == (5, 5)
    assert bits(method.supernet.state_dict()) == before
    assert all(parameter.grad is None for parameter in method.supernet.parameters())
    rng = np.random.default_rng(0)
    each = [method.distances(method.supernet, whole(TOPOLOGY), 0, [batch], rng) for batch in batches]
    np.testing.assert_allclose(found, np.mean(each, axis=0))


def test_it_splits_twice_into_four_parts_that_cover_the_space():
    method = run(gm_nas())
    owners = np.array([[owns(own, tuple(arch)) for own in method.territories] for arch in TOPOLOGY.all_archs])
    assert owners.shape[1] == 4
    assert (owners.sum(1) == 1).all()
    assert sorted(owners.sum(0)) == [2500, 3750, 3750, 5625]
    for territory in method.territories:
        assert sorted(map(len, territory))[2:] == [5, 5, 5, 5]
        assert set(map(len, territory)) <= {2, 3, 5}
        assert min(map(len, territory)) < 5
    for row in method.history:
        spent, position, groups, _ = row
        assert 0 < spent < 1
        assert sorted(groups[0] + groups[1]) == [0, 1, 2, 3, 4]
        assert position in range(6)


def test_every_edge_is_measured_and_the_one_with_the_largest_cut_is_split():
    method, asked = gm_nas(), []
    matrices = np.random.default_rng(0).uniform(size=(3, 6, 5, 5))

    def distances(network, _territory, position, batches, _rng):
        asked.append((method.networks.index(network), position, len(batches)))
        one = matrices[len(method.history), position]
        return one + one.T

    method.distances = distances
    run(method)
    cuts = [max((best_cut(e, m + m.T) for e, m in enumerate(matrices[0])), key=lambda cut: cut.distance)]
    assert method.history[0][1:] == [cuts[0].position, [list(g) for g in cuts[0].groups], cuts[0].distance]
    assert asked[:6] == [(0, edge, 1) for edge in range(6)]
    others = [edge for edge in range(6) if edge != cuts[0].position]
    assert asked[6:] == [(part, edge, 1) for part in (0, 1) for edge in others]
    assert method.history[1][1] != cuts[0].position != method.history[2][1]


def test_what_is_measured_is_paid_for():
    """One batch each of 6 edges x 5 operations, then of 2 parts x 5 edges x 5 operations."""
    method, passes = gm_nas(measuring=0.0), []
    while not method.done:
        before = method.passes, method.images_seen
        method.advance()
        passes.append(method.passes - before[0])
        assert method.images_seen - before[1] == 16 * passes[-1]
    assert sorted(passes) == [1] * (len(passes) - 2) + [31, 51]
    assert passes.index(31) == 16  # the first step after 200 / 13 passes
    early = {"first_split": 0.005, "second_split": 0.01}
    for config, expected in (({"measuring": 0.06}, 30 * 2 + 50), ({"measuring": 0.12, "batches": 1}, 30 + 50)):
        method = gm_nas(passes=2000, **early, **config)
        while len(method.networks) < 4:
            method.advance()
        assert method.passes - method.steps == expected


def test_restart_draws_all_four_networks_anew():
    method = gm_nas(restart=True, second_split=0.5)
    while len(method.networks) < 4:
        method.advance()
    kept = gm_nas(second_split=0.5)
    while len(kept.networks) < 4:
        kept.advance()
    assert method.territories == kept.territories
    heads = [[network.head_weight.detach() for network in one.networks] for one in (method, kept)]
    assert not any(torch.equal(a, b) for a, b in combinations(heads[0], 2))
    assert [torch.equal(a, b) for a, b in combinations(heads[1], 2)].count(True) == 1  # one of the others was trained
    assert method.course(0.5) == 0
    assert method.course(1.0) == kept.course(1.0) == 1
    assert kept.course(0.5) == pytest.approx(4 / 9)


def test_the_learning_rate_follows_one_cosine_over_a_supernets_life():
    method = gm_nas()
    assert method.course(0.0) == 0
    assert method.course(10 / 260) == pytest.approx(10 / 90)
    assert method.course(60 / 260) == pytest.approx(40 / 90)
    assert method.course(160 / 260) == pytest.approx(65 / 90)


def test_its_diary_names_the_splits():
    (table,) = done(case("gm-nas")).method.diary().tables
    assert len(table.rows) == 3
    assert all(row[1] in TOPOLOGY.positions for row in table.rows)
    assert all(sorted(row[2].replace(" | ", ", ").split(", ")) == sorted(TOPOLOGY.options[0]) for row in table.rows)


def test_scores_are_by_the_part_that_owns_an_architecture():
    method = done(case("gm-nas")).method
    found = method.scores(INHERITED, ARCHS)["minus_loss"]
    for arch, score in zip(ARCHS, found, strict=True):
        (owner,) = [net for net, own in zip(method.networks, method.territories, strict=True) if owns(own, arch)]
        assert -method.scorer([arch], owner).loss[0] == score
    assert len({id(method.network_of(arch)) for arch in ARCHS}) > 1


def test_splits_in_the_wrong_order_are_a_users_mistake():
    with pytest.raises(UserError, match=r"^gm-nas: second_split = 0.05 is not after first_split = 0.07"):
        GmNasConfig(second_split=0.05)
