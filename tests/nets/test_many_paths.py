"""Several paths at once against their readable twin, one path at a time."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mngnas.methods.base import Task
from mngnas.methods.mngnas.mngnas import MngnasConfig
from mngnas.methods.registry import method_entry
from mngnas.nets.build import fair_set_step
from mngnas.nets.cell_supernet import CellSupernet
from mngnas.nets.many_paths import FairSetStep, fair_route, forward_paths, route
from mngnas.settings import Augmentation, RetrainingConfig, ScoringConfig, TrainingConfig
from mngnas.spaces.skeleton import Skeleton
from mngnas.spaces.topology import EDGES, TOPOLOGY, live_graph
from mngnas.train.scoring import Scorer
from tests.nets.weights import moved
from tests.train.pictures import learnable_data, learnable_images, random_batch

SKELETONS = [
    Skeleton(channels=4, cells=1),
    Skeleton(channels=8, cells=2, residual_reduction=False),
    Skeleton(channels=16, cells=1, affine=True),  # with a learnt shift a dead edge would not give zero by itself
    Skeleton(channels=5, cells=1),
]


def supernet(skeleton):
    return moved(CellSupernet(skeleton, 0), seed=0)


@pytest.mark.parametrize("skeleton", SKELETONS, ids=str)
def test_outputs_are_those_of_single_paths(skeleton):
    """Random architectures, each operation alone on all edges, disconnected ones, and many dead edges."""
    net, (images, _) = supernet(skeleton), random_batch()
    archs = [
        *TOPOLOGY.sample_uniform(np.random.default_rng(0), 40),
        *((op,) * 6 for op in range(5)),
        (0, 3, 3, 0, 2, 0),
    ]
    with torch.no_grad():
        found = forward_paths(net, images, route(archs))
        for place, arch in enumerate(archs):
            twin = net(images, arch)
            torch.testing.assert_close(found.logits[place], twin.logits, rtol=1e-4, atol=1e-5)
            for feature, expected in zip(found.features, twin.features, strict=True):
                torch.testing.assert_close(feature[place], expected, rtol=1e-4, atol=1e-5)


def test_one_path_and_disconnected_paths_alone():
    net, (images, _) = supernet(SKELETONS[0]), random_batch()
    with torch.no_grad():
        for archs in ([(3, 2, 1, 4, 3, 2)], [(0,) * 6], [(0,) * 6, (3, 0, 0, 0, 0, 0)]):
            twin = torch.stack([net(images, arch).logits for arch in archs])
            torch.testing.assert_close(forward_paths(net, images, route(archs)).logits, twin)


@pytest.mark.parametrize("skeleton", SKELETONS, ids=str)
def test_gradients_of_a_fair_set_are_those_of_its_paths(skeleton):
    net, (images, labels) = supernet(skeleton), random_batch()
    for seed in range(3):
        archs = TOPOLOGY.sample_strictly_fair(np.random.default_rng(seed))
        net.zero_grad()
        loss = FairSetStep(net)(images, labels, archs)
        fast = [parameter.grad.clone() for parameter in net.parameters()]
        net.zero_grad()
        losses = [F.cross_entropy(net(images, arch).logits, labels) for arch in archs]
        torch.stack(losses).sum().backward()
        assert loss.item() == pytest.approx(sum(losses).item() / 5, rel=1e-5)
        for gradient, parameter in zip(fast, net.parameters(), strict=True):
            expected = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            assert (gradient - expected).norm() <= 1e-4 * expected.norm() + 1e-6


def make_method(name, skeleton, at_once, dtype=torch.float32, config=None):
    """A method on a supernet of `skeleton` that computes in `dtype`, its fair sets one by one or at once."""
    entry = method_entry(name).load()

    class InDtype(Task):
        def training_batch(self, number, seed=None):
            found = super().training_batch(number, seed)
            return replace(found, images=found.images.to(dtype))

    scoring = ScoringConfig(images=40, batch_size=20)
    training = TrainingConfig(passes=100_000, batch_size=16)
    settings = training, Augmentation(flip=True), scoring, scoring, RetrainingConfig()
    method = entry(config or entry.Config(), InDtype(TOPOLOGY, 0, learnable_data(), skeleton, *settings))
    method.supernet.to(dtype)
    method.search_scorer = Scorer(method.supernet, scoring, method.task.images.valid, method.task.images.train, dtype)
    method._fair_set = fair_set_step(method.supernet) if at_once else None
    return method


def relative_difference(one, other):
    pairs = list(zip(one.parameters(), other.parameters(), strict=True))
    return max(((a - b).norm() / b.norm()).item() for a, b in pairs if b.norm() > 0)


@pytest.mark.parametrize("skeleton", SKELETONS, ids=str)
def test_weights_after_twenty_steps_are_those_of_the_twin(skeleton):
    """In double precision: at a ReLU's kink single precision's rounding alone moves some weights by a hundredth."""
    fast, twin = (make_method("fairnas", skeleton, at_once, torch.float64) for at_once in (True, False))
    start = CellSupernet(skeleton, 0).double()
    for _ in range(20):
        fast.advance()
        twin.advance()
    assert relative_difference(fast.supernet, twin.supernet) < 1e-6
    assert relative_difference(start, twin.supernet) > 0.05  # they have moved much more than that


@pytest.mark.parametrize("skeleton", SKELETONS, ids=str)
def test_each_of_twenty_steps_is_the_twins_in_single_precision(skeleton):
    fast, twin = (make_method("fairnas", skeleton, at_once) for at_once in (True, False))
    for _ in range(20):
        fast.advance()
        twin.advance()
        assert relative_difference(fast.supernet, twin.supernet) < 1e-4
        fast.load_state_dict(copy.deepcopy(twin.state_dict()))


def test_guided_steps_are_those_of_the_twin():
    config = MngnasConfig(
        warmup=0.0, rounds=1, candidates=2, perturbation="off", search_share=1e-4, retraining_share=1e-4
    )
    fast, twin = (make_method("mngnas", SKELETONS[0], at_once, torch.float64, config) for at_once in (True, False))
    for _ in range(8):
        fast.advance()
        twin.advance()
    assert fast.pool
    assert fast.passes == twin.passes
    assert relative_difference(fast.supernet, twin.supernet) < 1e-4


def test_shapes_of_a_fair_set_do_not_depend_on_it():
    """What a recorded graph needs: another set is other numbers in the same places."""
    routes = [fair_route(TOPOLOGY.sample_strictly_fair(np.random.default_rng(seed))) for seed in range(20)]
    assert {one.counts for one in routes} == {((1,) * 4,) * len(EDGES)}
    assert {(one.order.shape, one.where.shape) for one in routes} == {(routes[0].order.shape, routes[0].where.shape)}


def test_cosets_are_fair_sets_that_make_up_the_space():
    rest, seen = {TOPOLOGY.from_index(index) for index in range(TOPOLOGY.n_arch)}, 0
    while rest:
        arch = next(iter(rest))
        coset = [tuple((op + k) % 5 for op in arch) for k in range(5)]
        rest -= set(coset)
        seen += 1
        if seen % 500 == 0:
            assert fair_route(coset).counts == ((1,) * 4,) * len(EDGES)
    assert seen == TOPOLOGY.n_arch // 5


def test_an_unfair_set_is_refused():
    with pytest.raises(AssertionError, match="not fair"):
        fair_route([(0,) * 6] * 5)


@pytest.mark.parametrize("at_once", [2, 7, 64])
def test_scores_are_those_of_single_paths(at_once):
    net, valid = supernet(SKELETONS[1]), learnable_images(60, seed=1)
    scorer = Scorer(net, ScoringConfig(images=60, batch_size=20), valid, valid)
    archs = [*TOPOLOGY.sample_uniform(np.random.default_rng(1), 50), (0,) * 6]
    twin = scorer(archs)
    scorer.paths_at_once = at_once
    found = scorer(archs)
    np.testing.assert_array_equal(found.accuracy, twin.accuracy)
    np.testing.assert_allclose(found.loss, twin.loss, rtol=1e-4)


def test_out_of_memory_halves_the_paths_at_once_and_says_so(monkeypatch):
    """The size of the scored batches decides BatchNorm's statistics, so it stays; scores do not change."""
    net, valid = supernet(SKELETONS[0]), learnable_images(40, seed=1)
    scorer = Scorer(net, ScoringConfig(images=40, batch_size=20), valid, valid)
    archs = TOPOLOGY.sample_uniform(np.random.default_rng(1), 40)
    twin = scorer(archs)

    def small_memory(supernet, images, paths):
        if paths.where.shape[1] > 9:
            raise torch.OutOfMemoryError("made up")
        return forward_paths(supernet, images, paths)

    monkeypatch.setattr("mngnas.nets.cell_supernet.forward_paths", small_memory)
    scorer.paths_at_once = 32
    with pytest.warns(UserWarning, match="out of memory: scoring (16|8) architectures at once"):
        found = scorer(archs)
    assert scorer.paths_at_once == 8
    np.testing.assert_array_equal(found.accuracy, twin.accuracy)
    monkeypatch.setattr("mngnas.nets.cell_supernet.forward_paths", lambda *_: small_memory(net, None, route(archs)))
    with pytest.raises(torch.OutOfMemoryError), pytest.warns(UserWarning, match="at once"):
        scorer(archs)


def test_live_routes_run_no_dead_edge():
    archs = TOPOLOGY.sample_uniform(np.random.default_rng(3), 100)
    counted = np.zeros(5, dtype=int)
    for arch in archs:
        for op in live_graph(arch):
            counted[op] += 1
    np.testing.assert_array_equal(np.sum(route(archs).counts, axis=0), counted[1:])


def test_bfloat16_paths_are_close_to_the_twin():
    net, (images, _) = supernet(replace(SKELETONS[0], channels=8)), random_batch()
    archs = TOPOLOGY.sample_uniform(np.random.default_rng(0), 10)
    with torch.no_grad():
        low = forward_paths(net, images.bfloat16(), route(archs)).logits
        twin = torch.stack([net(images.bfloat16(), arch).logits for arch in archs])
    torch.testing.assert_close(low, twin, rtol=0.05, atol=0.05)
