"""Regularised evolution: who is in the population, who dies, what a mutant is."""

from collections import Counter

import numpy as np
import pytest

from mngnas.methods.base import SearchTask
from mngnas.methods.info import Answer
from mngnas.methods.searcher import Query
from mngnas.methods.searchers.rea import ReaConfig, RegularisedEvolution
from mngnas.spaces.topology import EDGES, TOPOLOGY
from tests.methods.cases import ToyOracle, run
from tests.spaces.bare import TwoOptions


def rea(seed=0, **config):
    return RegularisedEvolution(ReaConfig(**config), SearchTask(TOPOLOGY, seed), ToyOracle())


def history(accuracies):
    """Architectures that differ in every position from all others but the next in line."""
    return [Query((i % 5,) * 6, Answer(accuracy, 1.0)) for i, accuracy in enumerate(accuracies)]


def distance(one, other):
    return sum(a != b for a, b in zip(one, other, strict=True))


def test_it_begins_with_random_architectures():
    method = rea()
    drawn = {method.propose(history([0.9] * n), np.random.default_rng(0)) for n in range(10)}
    assert drawn == {TOPOLOGY.sample_uniform(np.random.default_rng(0), 1)[0]}


def test_the_oldest_dies_even_if_it_is_the_best():
    """A sample so large that the best of the population is in it: the parent is the best of the newest ten."""
    method = rea(sample=1000)
    asked = history([0.99, 0.98, 0.5, 0.6, 0.1, 0.2, 0.3, 0.4, 0.1, 0.1, 0.1, 0.1])
    for seed in range(20):
        child = method.propose(asked, np.random.default_rng(seed))
        assert distance(child, asked[3].arch) == 1


def test_a_sample_of_one_makes_every_member_a_parent_and_nobody_else():
    method = rea(sample=1, population=3)
    asked = history([0.9, 0.1, 0.2, 0.3])
    children = [method.propose(asked, np.random.default_rng(seed)) for seed in range(300)]
    parents = Counter(next(q.arch for q in asked if distance(q.arch, child) == 1) for child in children)
    assert set(parents) == {query.arch for query in asked[1:]}
    assert min(parents.values()) > 70


def test_samples_are_drawn_with_replacement():
    """The best of three is in a sample of three with probability 1 - (2/3)^3."""
    method = rea(sample=3, population=3)
    asked = history([0.9, 0.1, 0.2])
    best = sum(distance(method.propose(asked, np.random.default_rng(s)), asked[0].arch) == 1 for s in range(2000))
    assert abs(best / 2000 - 19 / 27) < 0.035


def test_a_mutant_differs_in_one_operation_nodes_being_equally_likely():
    """Chi-squared against 1/3, 1/6 x 2, 1/9 x 3 for the edges and 1/4 for the new operation."""
    arch, rng, n = (0, 1, 2, 3, 4, 0), np.random.default_rng(1), 9000
    edges, operations = Counter(), Counter()
    for _ in range(n):
        child = TOPOLOGY.mutant(arch, rng)
        ((place, new),) = [(i, b) for i, (a, b) in enumerate(zip(arch, child, strict=True)) if a != b]
        edges[place] += 1
        operations[place, new] += 1
    expected = [n / 3 / target for _, target in EDGES]
    assert sum((edges[i] - e) ** 2 / e for i, e in enumerate(expected)) < 20.5  # the 99.9 % quantile of 5 degrees
    cells = [(operations[i, new], e / 4) for i, e in enumerate(expected) for new in range(5) if new != arch[i]]
    assert sum((seen - e) ** 2 / e for seen, e in cells) < 49.7  # of 23


def test_elsewhere_positions_are_equally_likely():
    rng, arch = np.random.default_rng(2), (0, 1, 0, 1)
    children = Counter(TwoOptions().mutant(arch, rng) for _ in range(4000))
    assert set(children) == set(TwoOptions().neighbours(arch))
    assert sum((seen - 1000) ** 2 / 1000 for seen in children.values()) < 16.3


def test_it_climbs():
    """On answers that reward every 3x3 convolution it finds what a random search of equal length does not."""

    class Convolutions(ToyOracle):
        budget = 120.0

        def knows(self, arch):  # noqa: ARG002
            return True

        def query(self, arch):
            return Answer(arch.count(3) / 6, 1.0)

    found = []
    for seed in range(5):
        method = RegularisedEvolution(ReaConfig(), SearchTask(TOPOLOGY, seed), Convolutions())
        found.append(run(method).outcome().proposal[0].count(3))
    assert np.mean(found) >= 5


@pytest.mark.parametrize(("within", "most"), [(True, 0.0), (False, 12.0)])
def test_how_it_stops(within, most):
    """Before the budget is exceeded, as in NAS-Bench-201, or with the answer that exceeds it, as in NATS-Bench."""
    method = run(rea(seconds=200.0, within=within))
    over = method.clock - 200.0
    assert over <= most
    assert (over > 0) != within
