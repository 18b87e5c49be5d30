"""Local search: it ends in local optima, starts anew, and pays nothing twice."""

import numpy as np

from mngnas.methods.base import SearchTask
from mngnas.methods.info import Answer
from mngnas.methods.searcher import SearcherConfig
from mngnas.methods.searchers.local_search import LocalSearch
from mngnas.spaces.topology import TOPOLOGY
from tests.methods.cases import ToyOracle, run
from tests.spaces.bare import TwoOptions


class Told(ToyOracle):
    """Answers by a table of values, of a space whose architectures are all known; a second each."""

    def __init__(self, space, values, known=None):
        self.space, self.values, self.known = space, values, known

    def knows(self, arch):
        return self.known is None or arch in self.known

    def query(self, arch):
        assert self.knows(arch)
        return Answer(float(self.values[self.space.to_index(arch)]), 1.0)


def searched(space, values, seconds, seed=0, known=None):
    return run(LocalSearch(SearcherConfig(seconds), SearchTask(space, seed), Told(space, values, known)))


def test_from_a_start_it_climbs_to_the_top_of_a_hill():
    """The value is the number of ones: at most four steps, each by the whole neighbourhood."""
    space = TwoOptions()
    values = np.array([sum(space.from_index(i)) for i in range(space.n_arch)]) / 4
    for seed in range(10):
        method = searched(space, values, 16.0, seed)
        assert method.outcome().proposal == ((1, 1, 1, 1),)


def test_every_hill_ends_in_a_local_optimum_before_a_new_start():
    values = np.random.default_rng(0).random(TOPOLOGY.n_arch)
    method = LocalSearch(SearcherConfig(400.0), SearchTask(TOPOLOGY, 1), Told(TOPOLOGY, values))
    starts = []
    while not method.done:
        begins = method.centre is None
        method.advance()
        starts += [method.history[-1].arch] if begins else []
    asked = {query.arch: query.answer.accuracy for query in method.history}
    assert len(starts) > 3
    for start in starts[:-1]:  # the last one may not be at its end
        top = start
        while max(near := {one: asked[one] for one in TOPOLOGY.neighbours(top)}.values()) > asked[top]:
            top = max(TOPOLOGY.neighbours(top), key=asked.__getitem__)
        assert len(near) == 24


def test_it_goes_to_the_best_neighbour_once_all_are_known():
    values = np.random.default_rng(3).random(TOPOLOGY.n_arch)
    method = LocalSearch(SearcherConfig(1e4), SearchTask(TOPOLOGY, 0), Told(TOPOLOGY, values))
    method.advance()
    start = method.centre
    near = TOPOLOGY.neighbours(start)
    for _ in near[:-1]:
        method.advance()
        assert method.centre == start
    method.advance()
    assert {query.arch for query in method.history} == {start, *near}
    best = max(near, key=lambda arch: values[TOPOLOGY.to_index(arch)])
    better = values[TOPOLOGY.to_index(best)] > values[TOPOLOGY.to_index(start)]
    assert method.centre == (best if better else None)


def test_neighbours_are_never_paid_twice():
    values = np.random.default_rng(1).random(TOPOLOGY.n_arch)
    method = searched(TOPOLOGY, values, 500.0, 4)
    assert len({query.arch for query in method.history}) >= 499  # a start may have been known


def test_unknown_neighbours_are_passed_over():
    """Three architectures in a row are all that is known: the best is found from any start."""
    space, known = TwoOptions(), [(0, 0, 0, 0), (1, 0, 0, 0), (1, 1, 0, 0)]
    values = np.array([sum(space.from_index(i)) for i in range(space.n_arch)]) / 4
    for seed in range(6):
        assert searched(space, values, 4.0, seed, known).outcome().proposal == (known[-1],)


def test_all_equal_is_a_plain_and_no_endless_walk():
    space = TwoOptions()
    method = searched(space, np.full(space.n_arch, 0.5), 40.0)
    assert len(method.history) == 40
