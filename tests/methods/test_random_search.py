"""Random search: uniform, with replacement, whatever it has been told."""

import numpy as np

from mngnas.methods.base import SearchTask
from mngnas.methods.info import Answer
from mngnas.methods.searcher import Query, SearcherConfig
from mngnas.methods.searchers.random_search import RandomSearch
from mngnas.spaces.topology import TOPOLOGY
from tests.methods.cases import ToyOracle, run


def test_draws_are_uniform_on_every_edge():
    method = RandomSearch(SearcherConfig(1e4), SearchTask(TOPOLOGY, 0), ToyOracle())
    run(method)
    known = [i for i in range(TOPOLOGY.n_arch) if i % 3]
    asked = np.array([query.arch for query in method.history])
    for place in range(6):
        seen = np.bincount(asked[:, place], minlength=5)
        expected = len(asked) * np.bincount(TOPOLOGY.all_archs[known, place], minlength=5) / len(known)
        assert ((seen - expected) ** 2 / expected).sum() < 18.5  # the 99.9 % quantile of 4 degrees


def test_what_it_was_told_changes_nothing():
    method = RandomSearch(SearcherConfig(), SearchTask(TOPOLOGY, 0), ToyOracle())
    asked = [Query((3,) * 6, Answer(0.9, 1.0))]
    assert method.propose(asked, np.random.default_rng(4)) == method.propose([], np.random.default_rng(4))
