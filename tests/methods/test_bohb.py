"""BOHB's model: a density that is one, draws that follow it, and what is proposed."""

from collections import Counter
from itertools import product

import numpy as np

from mngnas.methods.base import SearchTask
from mngnas.methods.info import Answer
from mngnas.methods.searcher import Query
from mngnas.methods.searchers.bohb import Bohb, BohbConfig, Density
from mngnas.spaces.topology import TOPOLOGY
from tests.methods.cases import ToyOracle, run

POINTS = np.array([[0, 2], [1, 2], [1, 0]])
GRID = np.array(list(product(range(2), range(3))))


def test_a_density_sums_to_one_and_is_highest_at_its_points():
    density = Density(POINTS, (2, 3), 0.2)
    values = density.at(GRID)
    np.testing.assert_allclose(values.sum(), 1)
    assert values[GRID.tolist().index([1, 2])] == values.max()


def test_a_density_by_hand():
    """Equal points, so bandwidths are the least, .4: an option is kept with .6, or the rest is shared out."""
    density = Density(np.array([[1, 2]] * 7), (2, 3), 0.4)
    np.testing.assert_allclose(density.bandwidths, [0.4, 0.4])
    np.testing.assert_allclose(density.at(np.array([[1, 2], [0, 2], [1, 0], [0, 1]])), [0.36, 0.24, 0.12, 0.08])


def test_bandwidths_follow_the_rule_between_their_bounds():
    points = np.array([[0, 0], [0, 1], [1, 4], [1, 3], [0, 0]])
    rule = 1.06 * points.std(axis=0) * 5 ** (-1 / 6)
    np.testing.assert_allclose(Density(points, (9, 9), 0.01).bandwidths, np.minimum(rule, 8 / 9))
    np.testing.assert_allclose(Density(points, (2, 5), 0.01).bandwidths, np.minimum(rule, [1 / 2, 4 / 5]))


def test_draws_are_points_with_some_options_drawn_anew():
    """A uniform draw may give the option back, so one stays with probability 1 - b (m - 1) / m; chi-squared."""
    density, n = Density(POINTS, (2, 3), 0.2), 6000
    rng = np.random.default_rng(0)
    seen = Counter(tuple(density.draw(rng).tolist()) for _ in range(n))
    sizes, b = np.array([2, 3]), density.bandwidths
    kernel = np.where(GRID[:, None] == POINTS, 1 - b + b / sizes, b / sizes).prod(axis=2).mean(axis=1)
    expected = n * kernel
    assert sum((seen[tuple(g)] - e) ** 2 / e for g, e in zip(GRID.tolist(), expected, strict=True)) < 20.5


def bohb(**config):
    return Bohb(BohbConfig(**config), SearchTask(TOPOLOGY, 0), ToyOracle())


def history(n):
    """All-3x3 cells and their like are good, all-none cells are bad."""
    rng = np.random.default_rng(0)
    found = []
    for i in range(n):
        arch = tuple(int(x) for x in np.where(rng.random(6) < 0.2, rng.integers(0, 5, 6), 3 if i % 5 == 0 else 0))
        found.append(Query(arch, Answer(arch.count(3) / 6, 1.0)))
    return found


def test_it_begins_with_random_architectures():
    method = bohb()
    for n in range(8):
        rng = np.random.default_rng(n)
        assert method.propose(history(n), rng) == TOPOLOGY.sample_uniform(np.random.default_rng(n), 1)[0]


def test_it_proposes_what_is_like_the_good():
    method, asked = bohb(samples=16), history(60)
    proposed = [method.propose(asked, np.random.default_rng(seed)).count(3) for seed in range(40)]
    drawn = [arch.count(3) for arch in TOPOLOGY.sample_uniform(np.random.default_rng(0), 40)]
    assert np.mean(proposed) > np.mean(drawn) + 2


def test_the_random_share_is_random():
    method, asked = bohb(random_share=1.0), history(60)
    rng, same = np.random.default_rng(9), np.random.default_rng(9)
    same.random()
    assert method.propose(asked, rng) == TOPOLOGY.sample_uniform(same, 1)[0]


def test_it_finds_more_than_random_draws():
    class Convolutions(ToyOracle):
        def knows(self, arch):  # noqa: ARG002
            return True

        def query(self, arch):
            return Answer(arch.count(3) / 6, 1.0)

    best = [
        run(Bohb(BohbConfig(100.0), SearchTask(TOPOLOGY, seed), Convolutions())).outcome().proposal[0].count(3)
        for seed in range(5)
    ]
    assert np.mean(best) >= 5
