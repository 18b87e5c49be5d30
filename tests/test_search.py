import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.truth import Measure
from bench.truth.sources import nb201 as compact
from mngnas.errors import UserError
from mngnas.methods.evolution import SearchConfig, SearchResult, at_most, evolve, random_search
from mngnas.spaces.topology import (
    CONV_3X3,
    EDGES,
    N_ARCH,
    all_archs,
    from_index,
    live_graph,
    live_indices,
    network_canonical,
    to_index,
    to_str,
)

ROOT = Path(__file__).resolve().parent.parent
ARCHS = all_archs().astype(int)
LIVE = np.unique(live_indices())
SEARCHES = pytest.mark.parametrize("search", [evolve, random_search])


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
        return self.truth[[to_index(arch) for arch in archs]]

    @property
    def asked(self):
        return [arch for call in self.calls for arch in call]


@pytest.fixture(scope="module")
def nb201(shared):
    return compact.build({file.name: shared / "nb201" / file.name for file in compact.FILES})


def first_hit(result, score):
    """Evaluations until a score was reached."""
    assert result.scores.max() == score
    return int(np.argmax(result.scores == score)) + 1


# What it finds


@pytest.mark.parametrize("live_graphs", [True, False])
@pytest.mark.parametrize(("truth_seed", "interaction"), [(0, 0.5), (1, 0.5), (0, 1.0), (4, 1.0)])
def test_finds_the_optimum_of_a_made_up_truth(truth_seed, interaction, live_graphs):
    truth = made_up_truth(truth_seed, interaction)
    third = np.sort(truth[LIVE] if live_graphs else truth)[-3]
    config = SearchConfig(budget=1500, live_graphs=live_graphs)
    found = [evolve(TableScorer(truth), config, rng(seed)) for seed in range(5)]
    assert all(truth[to_index(result.best)] >= third for result in found)
    by_chance = [random_search(TableScorer(truth), config, rng(seed)) for seed in range(5)]
    assert not all(truth[to_index(result.best)] >= third for result in by_chance), "the truth is too easy to tell"


@pytest.mark.parametrize("live_graphs", [True, False])
def test_finds_the_optimum_of_the_real_table_sooner_than_chance(nb201, live_graphs):
    """In 1,000 evaluations, the default budget, from each of ten seeds."""
    truth = nb201.mean(Measure("cifar10", "test", 200))
    config = SearchConfig(live_graphs=live_graphs)
    whole = SearchConfig(budget=N_ARCH, live_graphs=live_graphs)
    evolved = [first_hit(evolve(TableScorer(truth), config, rng(seed)), truth.max()) for seed in range(10)]
    drawn = [first_hit(random_search(TableScorer(truth), whole, rng(seed)), truth.max()) for seed in range(5)]
    assert np.mean(evolved) < np.mean(drawn) / 4


@SEARCHES
@pytest.mark.parametrize("live_graphs", [True, False])
def test_a_budget_above_the_space_ends_with_the_true_optimum(search, live_graphs):
    scorer = TableScorer(rng(5).random(N_ARCH))  # nothing to learn
    space = LIVE if live_graphs else np.arange(N_ARCH)
    result = search(scorer, SearchConfig(budget=100_000, population=999, tries=2, live_graphs=live_graphs), rng())
    assert sorted(map(to_index, result.archs)) == space.tolist()
    assert to_index(result.best) == space[np.argmax(scorer.truth[space])]


# What it evaluates


@SEARCHES
@pytest.mark.parametrize("live_graphs", [True, False])
@pytest.mark.parametrize(("budget", "population"), [(1, 50), (49, 50), (50, 50), (130, 50), (20, 1)])
def test_generations_fill_the_budget_and_nothing_comes_twice(search, budget, population, live_graphs):
    scorer, told = TableScorer(made_up_truth(0)), []
    config = SearchConfig(budget=budget, population=population, live_graphs=live_graphs)
    result = search(scorer, config, rng(), progress=lambda done, total: told.append((done, total)))
    sizes = [len(call) for call in scorer.calls]
    assert sizes == [population] * (budget // population) + [budget % population] * (budget % population > 0)
    assert result.generation_ends.tolist() == np.cumsum(sizes).tolist()
    assert told == [(end, budget) for end in np.cumsum(sizes)]
    assert list(result.archs) == scorer.asked
    assert len(set(result.archs)) == budget
    np.testing.assert_array_equal(result.scores, scorer.truth[[to_index(arch) for arch in result.archs]])
    if live_graphs:
        assert all(arch == live_graph(arch) for arch in result.archs)


def test_dead_edges_are_a_difference_only_when_asked():
    result = evolve(TableScorer(made_up_truth(0)), SearchConfig(live_graphs=False), rng())
    assert len({live_graph(arch) for arch in result.archs}) < len(result.archs) == 1000


def elite_before(result, config, generation):
    """The parents, by the slow way: every earlier evaluation sorted by score, then by place."""
    n = result.generation_ends[generation - 1]
    order = sorted(range(n), key=lambda i: (-result.scores[i], i))
    return [result.archs[i] for i in order[: config.parents]]


def children(result, generation):
    return result.archs[result.generation_ends[generation - 1] : result.generation_ends[generation]]


def test_crossover_takes_each_edge_from_the_best_so_far():
    config = SearchConfig(budget=200, population=40, parents=15, crossover=1.0, tries=100_000, live_graphs=False)
    result = evolve(TableScorer(made_up_truth(3)), config, rng())
    mixed = 0
    for generation in range(1, 5):
        elite = elite_before(result, config, generation)
        for child in children(result, generation):
            pairs = ([{*both} for both in zip(one, other, strict=True)] for one in elite for other in elite)
            assert any(all(op in both for op, both in zip(child, pair, strict=True)) for pair in pairs)
            mixed += all(sum(c != p for c, p in zip(child, parent, strict=True)) > 1 for parent in elite)
    assert mixed > 20  # real mixtures, not a parent with one edge changed
    assert not set(elite_before(result, config, 4)) <= set(children(result, 3))  # so far is not the last generation


@pytest.mark.parametrize(("mutation", "low", "high"), [(0.5, 2.85, 3.4), (1.0, 6, 6)])
def test_mutants_differ_from_the_best_by_the_mutation_probability(mutation, low, high):
    best = from_index(1234)
    scorer = TableScorer((np.arange(N_ARCH) == 1234).astype(float))
    config = SearchConfig(
        budget=600, population=300, parents=1, crossover=0.0, mutation=mutation, tries=10_000, live_graphs=False
    )
    result = evolve(scorer, config, rng(), seeds=[best])
    shifts = (np.array(children(result, 1)) - best) % 5
    assert low <= (shifts > 0).sum(axis=1).mean() <= high
    counts = np.bincount(shifts[shifts > 0], minlength=5)[1:]
    expected = counts.sum() / 4
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected)


def test_random_architectures_step_in_where_no_child_is_new():
    """One parent crossed with itself has only itself for a child."""
    config = SearchConfig(budget=3000, parents=1, crossover=1.0, tries=3)
    evolved = evolve(TableScorer(made_up_truth(0)), config, rng())
    assert len(set(evolved.archs)) == 3000
    assert_uniform(evolved.archs)


def test_random_search_is_uniform_and_ignores_scores():
    config = SearchConfig(budget=3000)
    results = [random_search(TableScorer(made_up_truth(seed)), config, rng(1)) for seed in range(2)]
    assert results[0].archs == results[1].archs
    assert_uniform(results[0].archs)


def assert_uniform(archs):
    for edge in range(len(EDGES)):
        share = np.bincount(ARCHS[LIVE, edge], minlength=5) / len(LIVE)
        found = np.bincount(np.array(archs)[:, edge], minlength=5) / len(archs)
        assert np.all(np.abs(found - share) < 4 * np.sqrt(share * (1 - share) / len(archs)))


@SEARCHES
def test_same_seed_same_search(search):
    results = [search(TableScorer(made_up_truth(0)), SearchConfig(budget=300), rng(seed)) for seed in (7, 7, 8)]
    assert results[0].archs == results[1].archs
    assert results[0].archs != results[2].archs


# Seeds


@SEARCHES
def test_seeds_come_first_once_for_each_live_graph(search):
    live, dead = (3, 0, 0, 1, 0, 0), (1, 0, 0, 1, 0, 0)  # edge 0->1 leads nowhere
    assert live_graph(live) == live_graph(dead) == (0, 0, 0, 1, 0, 0)
    other = (3, 3, 3, 1, 3, 3)
    seeds = [live, np.array(other), dead, other]
    archs = search(TableScorer(made_up_truth(0)), SearchConfig(budget=60), rng(), seeds=seeds).archs
    assert archs[:2] == ((0, 0, 0, 1, 0, 0), other)
    assert len(archs) == 60
    archs = search(TableScorer(made_up_truth(0)), SearchConfig(60, live_graphs=False), rng(), seeds=seeds).archs
    assert archs[:3] == (live, other, dead)


def test_seeds_may_be_more_than_a_generation():
    seeds = [from_index(int(i)) for i in LIVE[:30]]
    result = evolve(TableScorer(made_up_truth(0)), SearchConfig(budget=50, population=20), rng(), seeds=seeds)
    assert result.archs[:30] == tuple(seeds)
    assert result.generation_ends.tolist() == [30, 50]


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
    result = evolve(scorer, SearchConfig(budget=1500), rng(seed), constraint=at_most(costs, 2000))
    assert all(convolutions(arch) <= 2 for arch in scorer.asked)
    assert truth[to_index(result.best)] >= np.sort(truth[allowed])[-3]


@SEARCHES
def test_stops_where_all_that_is_feasible_is_evaluated(search):
    asked, told = [], []

    def constraint(arch):
        asked.append(arch)
        return convolutions(arch) >= 5

    feasible = {tuple(ARCHS[i]) for i in LIVE if (ARCHS[i] == CONV_3X3).sum() >= 5}
    config = SearchConfig(budget=1000, population=9)
    result = search(
        TableScorer(made_up_truth(0)),
        config,
        rng(),
        constraint=constraint,
        progress=lambda *counts: told.append(counts),
    )
    assert set(result.archs) == feasible
    assert len(result.archs) == len(feasible) == told[-1][0] == told[-1][1]
    assert len(asked) == len(set(asked)) == len(LIVE)


def test_at_most_includes_the_limit_and_never_an_unknown_cost():
    costs = np.arange(N_ARCH, dtype=float)
    costs[5] = np.nan
    allow = at_most(costs, 7)
    assert [i for i in range(N_ARCH) if allow(from_index(i))] == [0, 1, 2, 3, 4, 6, 7]


# Results


def result_of(*scores, ends=None):
    archs = tuple(from_index(i) for i in range(len(scores)))
    return SearchResult(archs, np.array(scores, dtype=float), np.array(ends or [len(scores)]))


def test_ties_go_to_the_earlier_and_nan_ranks_last():
    result = result_of(np.nan, 0.5, -np.inf, 0.75, 0.5, np.nan, 0.75, ends=[1, 3, 7])
    assert result.best == from_index(3)
    assert [arch for arch, _ in result.top(99)] == [from_index(i) for i in (3, 6, 1, 4, 2, 0, 5)]
    assert result.top(2) == [(from_index(3), 0.75), (from_index(6), 0.75)]
    assert result.top(0) == result.top(-1) == []
    np.testing.assert_array_equal(result.best_so_far, [np.nan, 0.5, 0.5, 0.75, 0.75, 0.75, 0.75])
    np.testing.assert_array_equal(result.history, [np.nan, 0.5, 0.75])


def test_the_best_score_never_falls():
    result = evolve(TableScorer(made_up_truth(2)), SearchConfig(budget=620), rng())
    assert len(result.history) == 13
    assert result.history.tolist() == [result.scores[:end].max() for end in result.generation_ends]
    assert np.all(np.diff(result.history) >= 0)
    assert result.history[-1] > result.history[0]
    assert result.scores[-120:].mean() > result.scores[:50].mean()  # generations do get better


def test_nan_scores_are_not_parents():
    """Half of the space has no score, among it the best; the search goes on with the other half."""
    truth = made_up_truth(0)
    unknown = np.zeros(N_ARCH, dtype=bool)
    unknown[LIVE[np.argsort(-truth[LIVE])[::2]]] = True
    known_third = np.sort(truth[LIVE][~unknown[LIVE]])[-3]
    for seed in range(3):
        scorer = TableScorer(np.where(unknown, np.nan, truth))
        result = evolve(scorer, SearchConfig(budget=1500), rng(seed))
        assert truth[to_index(result.best)] >= known_third
        assert np.isnan(result.scores).sum() > 100


def test_without_any_score_the_first_is_the_best():
    result = evolve(TableScorer(np.full(N_ARCH, np.nan)), SearchConfig(budget=120), rng())
    assert result.best == result.archs[0]
    assert len(result.archs) == 120
    assert np.isnan(result.history).all()


def test_scores_are_a_copy():
    buffer = np.zeros(5)

    def scorer(archs):
        buffer[:] = [to_index(arch) for arch in archs]
        return buffer

    result = evolve(scorer, SearchConfig(budget=15, population=5), rng())
    assert result.scores.tolist() == [to_index(arch) for arch in result.archs]


def test_whole_numbers_and_lists_are_scores():
    result = evolve(lambda archs: [convolutions(arch) for arch in archs], SearchConfig(budget=400), rng())
    assert result.scores.dtype == np.float64
    assert network_canonical(result.best) == network_canonical((CONV_3X3,) * 6)


# Mistakes


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"budget": 0}, "search.budget = 0 must be a positive whole number"),
        ({"population": -3}, "search.population = -3 must be a positive whole number"),
        ({"parents": 2.5}, "search.parents = 2.5 must be a positive whole number"),
        ({"tries": "9"}, "search.tries = '9' must be a positive whole number"),
        ({"crossover": 1.5}, "search.crossover = 1.5 is outside 0..1"),
        ({"crossover": float("nan")}, "search.crossover = nan is outside 0..1"),
        ({"mutation": 0.0}, "search.mutation = 0.0 must be above 0 and at most 1"),
        ({"mutation": 1.01}, "search.mutation = 1.01 must be above 0 and at most 1"),
    ],
)
def test_wrong_configurations(fields, message):
    with pytest.raises(UserError) as raised:
        SearchConfig(**fields)
    assert str(raised.value) == message


EXCLUDED = (3, 0, 0, 1, 0, 0)


@SEARCHES
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"constraint": lambda _: False}, "the constraint excludes all 9,445 architectures of the search space"),
        (
            {"constraint": lambda arch: convolutions(arch) > 0, "seeds": [EXCLUDED]},
            f"seed architecture {to_str(EXCLUDED)} is excluded by the constraint",
        ),
        (
            {"seeds": [(op, 3, 3, 3, 3, 3) for op in range(5)]},
            "5 seed architectures are more than search.budget = 4",
        ),
        ({"seeds": [(0, 1, 2)]}, "key '012' has 3 digits, not 6"),
        ({"seeds": [(0, 1, 2, 3, 4, 5)]}, "key '012345' has '5' at character 5; each digit is 0 to 4"),
    ],
)
def test_wrong_arguments(search, arguments, message):
    scorer = TableScorer(made_up_truth(0))
    with pytest.raises(UserError) as raised:
        search(scorer, SearchConfig(budget=4), rng(), **arguments)
    assert str(raised.value) == message
    assert not scorer.calls


@SEARCHES
@pytest.mark.parametrize(("scores", "shape"), [(np.zeros(3), (3,)), (np.zeros((4, 1)), (4, 1)), (0.5, ())])
def test_wrong_scores(search, scores, shape):
    with pytest.raises(UserError) as raised:
        search(lambda _: scores, SearchConfig(budget=4), rng())
    assert str(raised.value) == f"the scorer returned shape {shape} for 4 architectures"


def test_wrong_costs():
    with pytest.raises(UserError) as raised:
        at_most(np.zeros(3), 1)
    assert str(raised.value) == "costs have shape (3,), not (15625,)"
    with pytest.raises(UserError) as raised:
        at_most(np.arange(N_ARCH) + 10, 9.5)
    assert str(raised.value) == "cost limit 9.5 excludes every architecture; the cheapest costs 10"


def test_importing_needs_no_torch():
    code = "import sys, mngnas.methods.evolution; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
