"""Landmark regularisation: what is asked, the loss of a pair, its weight and its price."""

import copy
import math
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mngnas.errors import UserError
from mngnas.methods.info import Answer
from mngnas.methods.supernet.landmark import Landmark, LandmarkConfig
from mngnas.methods.supernet.spos import Spos
from mngnas.methods.supernet_method import INHERITED
from mngnas.spaces.topology import TOPOLOGY
from tests.methods.cases import ARCHS, SHORT, Case, ToyOracle, all_scores, bits, done, make_task, run, weights

ONE, OTHER = (3, 1, 2, 4, 3, 1), (1, 0, 0, 1, 0, 2)


class Counting(ToyOracle):
    """Remembers its questions, and knows some architectures only."""

    def __init__(self, known=None, accuracy=None):
        self.known, self.accuracy, self.asked = known, accuracy, []

    def knows(self, arch):
        return super().knows(arch) if self.known is None else TOPOLOGY.to_index(arch) in self.known

    def query(self, arch):
        self.asked.append(arch)
        return super().query(arch) if self.accuracy is None else Answer(self.accuracy, 1.0)


def landmark(oracle=None, passes=30, seed=0, **config):
    return Landmark(LandmarkConfig(**config), make_task(seed, skeleton=SHORT, passes=passes), oracle or Counting())


def test_it_asks_so_many_different_architectures_once_and_only_ones_that_are_known():
    oracle = Counting()
    method = landmark(oracle, landmarks=20)
    assert not oracle.asked
    run(method)
    assert len(oracle.asked) == len(set(oracle.asked)) == 20
    assert all(oracle.knows(arch) for arch in oracle.asked)
    assert method.outcome().cost.queries == 20
    (table,) = method.diary().tables
    assert [row[0] for row in table.rows] == [TOPOLOGY.to_index(arch) for arch in oracle.asked]
    assert [row[1] for row in table.rows] == [oracle.query(TOPOLOGY.from_index(row[0])).accuracy for row in table.rows]
    drawn = [index for index in range(TOPOLOGY.n_arch) if index % 3]  # a third is not known: others take their places
    assert {row[0] for row in table.rows} <= set(drawn)


def test_a_resumed_run_asks_nothing_again():
    first, oracle = run(landmark(landmarks=5), 3), Counting()
    second = landmark(oracle, landmarks=5)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert run(second).outcome().cost.queries == 5
    assert not oracle.asked
    assert bits(all_scores(second)) == bits(all_scores(run(first)))


def test_another_seed_has_other_landmarks():
    oracles = [Counting() for _ in range(2)]
    for seed, oracle in enumerate(oracles):
        run(landmark(oracle, seed=seed, landmarks=5), 1)
    assert set(oracles[0].asked) != set(oracles[1].asked)


@pytest.mark.parametrize(
    ("oracle", "message"),
    [
        (Counting(known=()), "landmark asks for 5 accuracies, and the ground truth has 0"),
        (Counting(known=(1, 77, 15_000)), "landmark asks for 5 accuracies, and the ground truth has 3"),
        (Counting(accuracy=0.5), "landmark: all 5 landmarks have the same accuracy"),
    ],
)
def test_ground_truth_that_does_not_do_is_told_in_one_line(oracle, message):
    with pytest.raises(UserError) as caught:
        run(landmark(oracle, landmarks=5, warmup=0.0))
    assert str(caught.value) == message


def test_the_loss_of_a_pair_is_zero_in_order_and_what_is_missing_to_it_otherwise():
    method = landmark()
    batch = method.task.validation_batch(0)
    losses = [F.cross_entropy(method.supernet(batch.images, a).logits, batch.labels).item() for a in (ONE, OTHER)]
    assert losses[0] != losses[1]
    both = [method.ranking_loss(batch, ONE, OTHER).item(), method.ranking_loss(batch, OTHER, ONE).item()]
    assert both == pytest.approx([max(0, losses[0] - losses[1]), max(0, losses[1] - losses[0])])
    assert both.count(0.0) == 1


def test_swapping_a_pair_changes_which_side_is_active_alone():
    """Out of order the gradient is L(better)'s minus L(worse)'s; in order there is none."""
    method = landmark()
    batch = method.task.validation_batch(0)
    parameters = list(method.supernet.parameters())

    def gradient(loss):
        return torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters, materialize_grads=True)])

    alone = [gradient(F.cross_entropy(method.supernet(batch.images, a).logits, batch.labels)) for a in (ONE, OTHER)]
    for pair, expected in (((ONE, OTHER), alone[0] - alone[1]), ((OTHER, ONE), alone[1] - alone[0])):
        loss = method.ranking_loss(batch, *pair)
        torch.testing.assert_close(gradient(loss), expected if loss > 0 else torch.zeros_like(expected))


def test_pairs_are_ordered_by_accuracy_and_ties_are_none():
    method = landmark(landmarks=12)
    method.ask(12, np.random.default_rng(0))
    tied = replace(method.told[0], arch=(0, 0, 0, 0, 0, 0))
    method.told.append(tied)
    accuracy = {query.arch: query.answer.accuracy for query in method.told}
    pairs = method._pairs()
    assert all(accuracy[better] > accuracy[worse] for better, worse in pairs)
    distinct = [1 for a, b in combinations(method.told, 2) if a.answer.accuracy != b.answer.accuracy]
    assert len(pairs) == len(set(pairs)) == len(distinct) < math.comb(13, 2)


def test_the_weight_rises_along_a_cosine_after_the_warm_up():
    method = landmark(weight=8.0, warmup=0.2)
    assert [method.weight(spent) for spent in (0.2, 0.4, 0.6, 1.0)] == pytest.approx(
        [0.0, 4 * (1 - math.cos(math.pi / 4)), 4.0, 8.0]
    )


def test_before_the_warm_up_ends_it_is_spos():
    method, plain = landmark(warmup=0.5), Spos(Spos.Config(), make_task(skeleton=SHORT, passes=30))
    for one in (run(method, 15), run(plain, 15)):
        assert one.passes == 15
    assert torch.equal(weights(method), weights(plain))
    run(method, 3)
    run(plain, 3)
    assert not torch.equal(weights(method), weights(plain))


def test_a_pair_costs_two_passes_out_of_order_and_two_forward_passes_in_order():
    method, costs = landmark(passes=60, pairs=1), []
    while not method.done:
        before = method.passes, method.images_seen, method.spent
        method.advance()
        costs.append((before[2] >= 150 / 400, round(method.passes - before[0], 6), method.images_seen - before[1]))
    assert {cost[1:] for cost in costs if not cost[0]} == {(1.0, 16)}
    assert {cost[1:] for cost in costs if cost[0]} == {(3.0, 48), (round(5 / 3, 6), 16)}
    assert run(landmark(pairs=3, warmup=0.0), 1).passes in [1 + 2 * k + (3 - k) * 2 / 3 for k in range(4)]


def test_landmarks_are_held_in_order():
    """With an oracle that says the opposite of what the shared weights would, its losses come to follow it."""
    oracle = Counting()
    plain = done(Case("spos")).method
    ranked = sorted({TOPOLOGY.canonical(arch) for arch in ARCHS}, key=lambda a: plain.scorer([a]).loss[0])
    worst_first = {TOPOLOGY.to_index(arch): place / 20 for place, arch in enumerate(ranked)}
    oracle.known = worst_first
    oracle.query = lambda arch: Answer(worst_first[TOPOLOGY.to_index(arch)], 1.0)
    method = run(landmark(oracle, passes=200, landmarks=len(ranked), warmup=0.1, pairs=2))
    told = [worst_first[TOPOLOGY.to_index(arch)] for arch in ranked]

    def agreement(one):
        return np.corrcoef(told, one.scores(INHERITED, ranked)["minus_loss"])[0, 1]

    assert agreement(plain) < -0.5
    assert agreement(method) > 0.3
