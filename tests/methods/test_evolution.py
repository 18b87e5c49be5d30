"""The evolutionary search on made-up truths, on a real table, and step by step."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mngnas
from bench.truth import Measure
from bench.truth.sources import nb201 as compact
from mngnas.errors import UserError
from mngnas.methods.evolution import EvolutionConfig, EvolutionResult, evolve
from mngnas.spaces.topology import CONV_3X3, EDGES, TOPOLOGY, live_graph
from tests.spaces.bare import Bare

ROOT = Path(mngnas.__file__).resolve().parents[1]
ARCHS = TOPOLOGY.all_archs.astype(int)
LIVE = np.unique(TOPOLOGY.canonical_indices)


def rng(seed=0):
    return np.random.default_rng(seed)


def made_up_truth(seed, interaction=0.5):
    """A value for each operation on each edge and for each pair of them, `[15625]`."""
    draw = rng(seed)
    truth = sum(draw.normal(size=5)[ARCHS[:, edge]] for edge in range(6))
    for first in range(6):
        for second in range(first):
            truth = truth + interaction * draw.normal(size=(5, 5))[ARCHS[:, first], ARCHS[:, second]]
    return truth


class TableScorer:
    """Looks scores up by official index and keeps what it was asked."""

    def __init__(self, truth):
        self.truth = truth
        self.calls = []

    def __call__(self, archs):
        self.calls.append(list(archs))
        return self.truth[[TOPOLOGY.to_index(arch) for arch in archs]]

    @property
    def asked(self):
        return [arch for call in self.calls for arch in call]


@pytest.fixture(scope="module")
def nb201(shared):
    return compact.build({file.name: shared / "nb201" / file.name for file in compact.FILES})


def by_chance(n, canonical, seed):
    """Official indices of different random architectures in the order of their drawing."""
    return rng(seed).permutation(LIVE if canonical else TOPOLOGY.n_arch)[:n]


def first_hit(result, score):
    """Evaluations until a score was reached."""
    assert result.scores.max() == score
    return int(np.argmax(result.scores == score)) + 1


# What it finds


@pytest.mark.parametrize("canonical", [True, False])
@pytest.mark.parametrize(("truth_seed", "interaction"), [(0, 0.5), (1, 0.5), (0, 1.0), (4, 1.0)])
def test_finds_the_optimum_of_a_made_up_truth(truth_seed, interaction, canonical):
    truth = made_up_truth(truth_seed, interaction)
    third = np.sort(truth[LIVE] if canonical else truth)[-3]
    config = EvolutionConfig(budget=1500, canonical=canonical)
    found = [evolve(TOPOLOGY, TableScorer(truth), config, rng(seed)) for seed in range(5)]
    assert all(truth[TOPOLOGY.to_index(result.best)] >= third for result in found)
    drawn = [truth[by_chance(1500, canonical, seed)].max() for seed in range(5)]
    assert not all(value >= third for value in drawn), "the truth is too easy to tell"


@pytest.mark.parametrize("canonical", [True, False])
def test_finds_the_optimum_of_the_real_table_sooner_than_chance(nb201, canonical):
    """In 1,000 evaluations, the default budget, from each of ten seeds."""
    truth = nb201.mean(Measure("cifar10", "test", 200))
    config = EvolutionConfig(canonical=canonical)
    evolved = [first_hit(evolve(TOPOLOGY, TableScorer(truth), config, rng(seed)), truth.max()) for seed in range(10)]
    drawn = [np.argmax(truth[by_chance(None, canonical, seed)]) + 1 for seed in range(5)]
    assert np.mean(evolved) < np.mean(drawn) / 4


@pytest.mark.parametrize("canonical", [True, False])
def test_a_budget_above_the_space_ends_with_the_true_optimum(canonical):
    scorer = TableScorer(rng(5).random(TOPOLOGY.n_arch))  # nothing to learn
    space = LIVE if canonical else np.arange(TOPOLOGY.n_arch)
    result = evolve(
        TOPOLOGY, scorer, EvolutionConfig(budget=100_000, population=999, tries=2, canonical=canonical), rng()
    )
    assert sorted(map(TOPOLOGY.to_index, result.archs)) == space.tolist()
    assert TOPOLOGY.to_index(result.best) == space[np.argmax(scorer.truth[space])]


# What it evaluates


@pytest.mark.parametrize("canonical", [True, False])
@pytest.mark.parametrize(("budget", "population"), [(1, 50), (49, 50), (50, 50), (130, 50), (20, 1)])
def test_generations_fill_the_budget_and_nothing_comes_twice(budget, population, canonical):
    scorer = TableScorer(made_up_truth(0))
    config = EvolutionConfig(budget=budget, population=population, canonical=canonical)
    result = evolve(TOPOLOGY, scorer, config, rng())
    sizes = [len(call) for call in scorer.calls]
    assert sizes == [population] * (budget // population) + [budget % population] * (budget % population > 0)
    assert list(result.archs) == scorer.asked
    assert len(set(result.archs)) == budget
    np.testing.assert_array_equal(result.scores, scorer.truth[[TOPOLOGY.to_index(arch) for arch in result.archs]])
    if canonical:
        assert all(arch == live_graph(arch) for arch in result.archs)


def test_dead_edges_are_a_difference_only_when_asked():
    result = evolve(TOPOLOGY, TableScorer(made_up_truth(0)), EvolutionConfig(canonical=False), rng())
    assert len({live_graph(arch) for arch in result.archs}) < len(result.archs) == 1000


def elite_before(result, config, generation):
    """The parents, by the slow way: every earlier evaluation sorted by score, then by place."""
    n = generation * config.population
    order = sorted(range(n), key=lambda i: (-result.scores[i], i))
    return [result.archs[i] for i in order[: config.parents]]


def children(result, config, generation):
    return result.archs[generation * config.population : (generation + 1) * config.population]


def test_crossover_takes_each_edge_from_the_best_so_far():
    config = EvolutionConfig(budget=200, population=40, parents=15, crossover=1.0, tries=100_000, canonical=False)
    result = evolve(TOPOLOGY, TableScorer(made_up_truth(3)), config, rng())
    mixed = 0
    for generation in range(1, 5):
        elite = elite_before(result, config, generation)
        for child in children(result, config, generation):
            pairs = ([{*both} for both in zip(one, other, strict=True)] for one in elite for other in elite)
            assert any(all(op in both for op, both in zip(child, pair, strict=True)) for pair in pairs)
            mixed += all(sum(c != p for c, p in zip(child, parent, strict=True)) > 1 for parent in elite)
    assert mixed > 20  # real mixtures, not a parent with one edge changed
    # so far is not the last generation
    assert not set(elite_before(result, config, 4)) <= set(children(result, config, 3))


@pytest.mark.parametrize(("mutation", "low", "high"), [(0.5, 2.85, 3.4), (1.0, 6, 6)])
def test_mutants_differ_from_the_best_by_the_mutation_probability(mutation, low, high):
    scorer = TableScorer(made_up_truth(0))
    config = EvolutionConfig(
        budget=600, population=300, parents=1, crossover=0.0, mutation=mutation, tries=10_000, canonical=False
    )
    result = evolve(TOPOLOGY, scorer, config, rng())
    parent = elite_before(result, config, 1)[0]
    shifts = (np.array(children(result, config, 1)) - parent) % 5
    assert low <= (shifts > 0).sum(axis=1).mean() <= high
    counts = np.bincount(shifts[shifts > 0], minlength=5)[1:]
    expected = counts.sum() / 4
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected)


def test_random_architectures_step_in_where_no_child_is_new():
    """One parent crossed with itself has only itself for a child."""
    config = EvolutionConfig(budget=3000, parents=1, crossover=1.0, tries=3)
    evolved = evolve(TOPOLOGY, TableScorer(made_up_truth(0)), config, rng())
    assert len(set(evolved.archs)) == 3000
    assert_uniform(evolved.archs)


def assert_uniform(archs):
    for edge in range(len(EDGES)):
        share = np.bincount(ARCHS[LIVE, edge], minlength=5) / len(LIVE)
        found = np.bincount(np.array(archs)[:, edge], minlength=5) / len(archs)
        assert np.all(np.abs(found - share) < 4 * np.sqrt(share * (1 - share) / len(archs)))


def test_same_seed_same_search():
    results = [
        evolve(TOPOLOGY, TableScorer(made_up_truth(0)), EvolutionConfig(budget=300), rng(seed)) for seed in (7, 7, 8)
    ]
    assert results[0].archs == results[1].archs
    assert results[0].archs != results[2].archs


# Constraints


def convolutions(arch):
    return sum(op == CONV_3X3 for op in arch)


@pytest.mark.parametrize("seed", range(3))
def test_finds_the_feasible_optimum(seed):
    costs = (ARCHS == CONV_3X3).sum(axis=1) * 1000
    truth = made_up_truth(0) + costs / 500  # so that the optimum is costly
    allowed = LIVE[costs[LIVE] <= 2000]
    assert truth[LIVE].max() > truth[allowed].max()
    scorer = TableScorer(truth)
    result = evolve(
        TOPOLOGY, scorer, EvolutionConfig(budget=1500), rng(seed), constraint=lambda arch: convolutions(arch) <= 2
    )
    assert all(convolutions(arch) <= 2 for arch in scorer.asked)
    assert truth[TOPOLOGY.to_index(result.best)] >= np.sort(truth[allowed])[-3]


def test_stops_where_all_that_is_feasible_is_evaluated():
    asked = []

    def constraint(arch):
        asked.append(arch)
        return convolutions(arch) >= 5

    feasible = {tuple(ARCHS[i]) for i in LIVE if (ARCHS[i] == CONV_3X3).sum() >= 5}
    config = EvolutionConfig(budget=1000, population=9)
    result = evolve(
        TOPOLOGY,
        TableScorer(made_up_truth(0)),
        config,
        rng(),
        constraint=constraint,
    )
    assert set(result.archs) == feasible
    assert len(result.archs) == len(feasible)
    assert len(asked) == len(set(asked)) == len(LIVE)


# Results


def result_of(*scores):
    archs = tuple(TOPOLOGY.from_index(i) for i in range(len(scores)))
    return EvolutionResult(archs, np.array(scores, dtype=float))


def test_ties_go_to_the_earlier_and_nan_ranks_last():
    result = result_of(np.nan, 0.5, -np.inf, 0.75, 0.5, np.nan, 0.75)
    assert result.best == TOPOLOGY.from_index(3)
    assert [arch for arch, _ in result.top(99)] == [TOPOLOGY.from_index(i) for i in (3, 6, 1, 4, 2, 0, 5)]
    assert result.top(2) == [(TOPOLOGY.from_index(3), 0.75), (TOPOLOGY.from_index(6), 0.75)]
    assert result.top(0) == result.top(-1) == []


def test_generations_get_better():
    result = evolve(TOPOLOGY, TableScorer(made_up_truth(2)), EvolutionConfig(budget=620), rng())
    assert result.scores.max() > result.scores[:50].max()
    assert result.scores[-120:].mean() > result.scores[:50].mean()


def test_nan_scores_are_not_parents():
    """Half of the space has no score, among it the best; the search goes on with the other half."""
    truth = made_up_truth(0)
    unknown = np.zeros(TOPOLOGY.n_arch, dtype=bool)
    unknown[LIVE[np.argsort(-truth[LIVE])[::2]]] = True
    known_third = np.sort(truth[LIVE][~unknown[LIVE]])[-3]
    for seed in range(3):
        scorer = TableScorer(np.where(unknown, np.nan, truth))
        result = evolve(TOPOLOGY, scorer, EvolutionConfig(budget=1500), rng(seed))
        assert truth[TOPOLOGY.to_index(result.best)] >= known_third
        assert np.isnan(result.scores).sum() > 100


def test_without_any_score_the_first_is_the_best():
    result = evolve(TOPOLOGY, TableScorer(np.full(TOPOLOGY.n_arch, np.nan)), EvolutionConfig(budget=120), rng())
    assert result.best == result.archs[0]
    assert len(result.archs) == 120


def test_scores_are_a_copy():
    buffer = np.zeros(5)

    def scorer(archs):
        buffer[:] = [TOPOLOGY.to_index(arch) for arch in archs]
        return buffer

    result = evolve(TOPOLOGY, scorer, EvolutionConfig(budget=15, population=5), rng())
    assert result.scores.tolist() == [TOPOLOGY.to_index(arch) for arch in result.archs]


def test_whole_numbers_and_lists_are_scores():
    result = evolve(TOPOLOGY, lambda archs: [convolutions(arch) for arch in archs], EvolutionConfig(budget=400), rng())
    assert result.scores.dtype == np.float64
    assert result.best == (CONV_3X3,) * 6


# Mistakes


def test_nothing_is_feasible():
    scorer = TableScorer(made_up_truth(0))
    with pytest.raises(UserError) as raised:
        evolve(TOPOLOGY, scorer, EvolutionConfig(budget=4), rng(), constraint=lambda _: False)
    assert str(raised.value) == "the constraint excludes all 9,445 architectures of the search space"
    assert not scorer.calls


@pytest.mark.parametrize(("scores", "shape"), [(np.zeros(3), (3,)), (np.zeros((4, 1)), (4, 1)), (0.5, ())])
def test_wrong_scores(scores, shape):
    with pytest.raises(UserError) as raised:
        evolve(TOPOLOGY, lambda _: scores, EvolutionConfig(budget=4), rng())
    assert str(raised.value) == f"the score returned shape {shape} for 4 architectures"


def test_importing_needs_no_torch():
    code = "import sys, mngnas.methods.evolution; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# Another space


class Uneven(Bare):
    """Positions with different numbers of options; nothing is equivalent."""

    name = label = "uneven"
    positions = ("a", "b", "c")
    options = (("0", "1"), ("0", "1", "2", "3", "4", "5", "6"), ("0", "1", "2"))


@pytest.mark.parametrize("budget", [20, 1000])
def test_positions_may_have_different_numbers_of_options(budget):
    space = Uneven()
    config = EvolutionConfig(budget=budget, population=5, parents=3, crossover=0.3, mutation=0.5)
    result = evolve(space, lambda archs: [sum(arch) for arch in archs], config, rng())
    assert len(set(result.archs)) == len(result.archs) == min(budget, 42)
    assert all(0 <= option < size for arch in result.archs for option, size in zip(arch, space.sizes, strict=True))
    if budget == 1000:
        assert result.best == (1, 6, 2)
